"""On real hosts: what is broken there fails, what needed root and did not have it is unknown, drift is seen."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab

pytestmark = pytest.mark.lab
BASELINE = """baseline: lab
title: Lab
rules:
  - id: passwd-mode
    title: Everybody may read the list of users, only root may change it
    check: {file: {path: /etc/passwd, owner: root, mode: "0644"}}
  - id: sudoers-root
    title: Root may use sudo
    check: {file: {path: /etc/sudoers, contains: "^root"}}
  - id: has-sshd
    title: The server is there
    check: {package: {name: openssh-server}}
"""


class Project:
    def __init__(self, folder: Path, lab: Lab, hosts: list[Any], user: str) -> None:
        self.folder = folder
        (folder / "inventories").mkdir(parents=True)
        (folder / "baselines").mkdir()
        (folder / "patchctl.yaml").write_text("{}\n")
        (folder / "baselines" / "lab.yaml").write_text(BASELINE)
        text = lab.inventory_yaml(hosts, user)
        (folder / "inventories" / "lab.yaml").write_text(text)
        (folder / ".patchctl").mkdir(mode=0o700)
        shutil.copy(lab.known_hosts, folder / ".patchctl" / "known_hosts")

    def call(self, *words: str, code: int) -> dict[str, Any]:
        command = [sys.executable, "-m", "patchctl", *words, "-o", "json"]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == code, done.stdout[-3000:] + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def verdicts(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(r["host"], r["rule"]): r["verdict"] for r in document["results"]}


def test_assess_break_see_and_repair(lab: Lab, fresh_hosts: Any, tmp_path: Path) -> None:
    one, _ = hosts = fresh_hosts(2)
    project = Project(tmp_path / "p", lab, hosts, "ops")
    before = project.call("assess", "--baseline", "lab", code=0)
    assert set(verdicts(before).values()) == {"PASS"}
    assert before["summary"]["round_trips"] <= 3
    one.exec("chmod 666 /etc/passwd")
    broken = project.call("assess", "--baseline", "lab", code=3)
    bad = {key for key, verdict in verdicts(broken).items() if verdict != "PASS"}
    assert bad == {(one.name, "passwd-mode")}
    (event,) = project.call("drift", code=3)["events"]
    assert (event["host"], event["rule"], event["change"], event["cause"]) == (one.name, "passwd-mode", "broke", "host")
    one.exec("chmod 644 /etc/passwd")
    assert verdicts(project.call("assess", "--baseline", "lab", "--from-snapshot", code=3)) == verdicts(broken)
    project.call("assess", "--baseline", "lab", "--fail-on", "new", code=0)
    (event,) = project.call("drift", code=3)["events"]
    assert event["change"] == "repaired"


def test_without_root_what_needs_it_is_unknown(lab: Lab, module_hosts: Any, tmp_path: Path) -> None:
    (host,) = module_hosts(1)
    project = Project(tmp_path / "p", lab, [host], "ops")
    path = project.folder / "inventories" / "lab.yaml"
    path.write_text(path.read_text().replace("  user: ops\n", "  user: ops\n  become: none\n", 1))
    document = project.call("assess", "--baseline", "lab", code=3)
    assert verdicts(document)[host.name, "sudoers-root"] == "UNKNOWN"
    (found,) = [r for r in document["results"] if r["rule"] == "sudoers-root"]
    assert "not readable" in found["reason"]
    assert document["scores"][0]["score"] < 100
