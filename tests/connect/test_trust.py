"""trust through the command line: one table, one confirmation, an atomic write, a record; never a credential sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.connect.conftest import StartServer
from tests.connect.server import USER, Sshd, keygen, public


@pytest.fixture()
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "inventories").mkdir(parents=True)
    (folder / "ssh_config").write_text("UserKnownHostsFile none\nGlobalKnownHostsFile none\n")
    (folder / "patchctl.yaml").write_text("ssh_config: ssh_config\n")
    return folder


def write_inventory(project: Path, key: Path, **servers: Sshd | None) -> None:
    hosts = {
        name: {"address": server.address if server else "127.0.0.1", "port": server.port if server else 1,
               "user": USER, "keys": [str(key)]}
        for name, server in servers.items()
    }
    (project / "inventories" / "hosts.yaml").write_text(json.dumps({"hosts": hosts}))


def trust(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    home = project / "home"
    home.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", "from patchctl.cli.main import run; run()", "trust", *words], cwd=project, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, check=False, env={**os.environ, "HOME": str(home)})


def known(project: Path) -> str:
    path = project / ".patchctl" / "known_hosts"
    return path.read_text() if path.exists() else ""


def records(project: Path) -> list[dict[str, object]]:
    from patchctl.store.database import open_store

    store = open_store(f"sqlite:///{project}/.patchctl/state.db", writable=False)
    try:
        return [record.event.data for record in store.records() if record.event.kind == "trust.accepted"]
    finally:
        store.close()


def test_accepts_many_new_keys_with_one_confirmation_that_is_recorded(
    start: StartServer, project: Path, user_key: Path
) -> None:
    one, two = start(), start()
    write_inventory(project, user_key, web01=one, web02=two)
    checked = trust(project, "--check", "-o", "json")
    assert (checked.returncode, known(project)) == (3, "")
    assert not (project / ".patchctl").exists()
    refused = trust(project)
    assert (refused.returncode, known(project)) == (7, "")
    done = trust(project, "--yes", "--reason", "console", "-o", "json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["keys"]
    assert [(row["host"], row["state"]) for row in rows] == [("web01", "new"), ("web02", "new")]
    for row, server in zip(rows, (one, two), strict=True):
        shown = subprocess.run(
            ["ssh-keygen", "-lf", f"{server.host_key}.pub"], capture_output=True, text=True, check=True).stdout
        assert row["fingerprint"] == shown.split()[1]
    assert known(project) == one.known_line() + two.known_line()
    assert "userauth-request" not in one.log + two.log
    assert [len(data["keys"]) for data in records(project)] == [2]  # type: ignore[arg-type]
    again = trust(project)
    assert again.returncode == 0
    assert again.stdout.count("known") >= 2
    assert len(records(project)) == 1


def test_a_changed_key_is_taken_only_when_its_host_is_named(
    start: StartServer, project: Path, tmp_path: Path, user_key: Path
) -> None:
    one, two = start(), start()
    write_inventory(project, user_key, web01=one, web02=two)
    old = f"{one.name} {public(keygen(tmp_path / 'old'))}\n"
    (project / ".patchctl").mkdir()
    (project / ".patchctl" / "known_hosts").write_text(old + two.known_line())
    refused = trust(project, "--yes")
    assert refused.returncode == 4
    assert "CHANGED" in refused.stdout
    assert known(project) == old + two.known_line()
    done = trust(project, "--yes", "--replace", "web01")
    assert done.returncode == 0, done.stderr
    assert known(project) == two.known_line() + one.known_line()
    only = trust(project, "--limit", "web02", "--replace", "web01", "--yes")
    assert only.returncode == 2


def test_keys_come_from_another_known_hosts_file_or_an_authority(
    start: StartServer, project: Path, tmp_path: Path, user_key: Path
) -> None:
    one, two = start(), start()
    write_inventory(project, user_key, web01=one, web02=two)
    other = tmp_path / "elsewhere"
    other.write_text(one.known_line())
    done = trust(project, "--from", "known_hosts", str(other), "--yes")
    assert done.returncode == 4
    assert "no key" in done.stdout
    assert known(project) == one.known_line()
    authority = keygen(tmp_path / "ca")
    done = trust(project, "--from", "ca", f"{authority}.pub", "--yes", "--limit", "web02")
    assert done.returncode == 0, done.stderr
    assert f"@cert-authority {two.name} {public(authority)}\n" in known(project)
    assert "SSH-2.0" not in two.log  # neither source touches a host


def test_hosts_that_do_not_answer_are_told_and_the_others_are_accepted(
    start: StartServer, project: Path, user_key: Path
) -> None:
    one = start()
    write_inventory(project, user_key, web01=one, web02=None)
    done = trust(project, "--yes", "-o", "json")
    assert done.returncode == 4
    failed = [host for host in json.loads(done.stdout)["hosts"] if host["error"]]
    assert [(host["host"], host["error"]["code"]) for host in failed] == [("web02", "tcp-refused")]
    assert known(project) == one.known_line()
