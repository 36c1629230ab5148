"""Findings of Windows hosts are repaired by the real command line over WinRM; the registry is Wine's own.

Each rule of the shipped baseline that looks at a registry value is broken there, FAILs, is repaired and PASSes.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchctl.collect.fixing_windows import BACKUPS
from tests.proof.project import Project
from tests.windows.wine import Disk, why_not
from tests.winrm.fleet import WindowsFleet, windows_fleet
from tests.winrm.project import windows_project

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"Wine test left out: {why_not()}"), pytest.mark.timeout(1800),
]
BASELINE = yaml.safe_load((Path(__file__).parents[2] / "baselines" / "windows-server.yaml").read_text())
RULES = {r["id"]: r for r in BASELINE["rules"] if "windows_registry" in r["check"]}
SAMPLE = ("uac-prompt", "cached-logons", "smb-server-signing", "winrm-basic-service")
"""A value that is not there, one of texts, one that is wrong, and one that concerns the way in."""


def broken(rule: dict[str, Any]) -> str | None:
    """Return the value of the rule's failing case, None = not there."""
    case = next(c for c in rule["tests"] if c["expect"] == "FAIL")
    found = next(iter(case["host"]["windows-registry"].values()))
    return None if found is None else str(found)


def prepare(disk: Disk, rules: dict[str, Any]) -> None:
    """Break every rule, in one batch file."""
    lines = ["@echo off"]
    for rule in rules.values():
        check = rule["check"]["windows_registry"]
        where, value = f'"{check["key"]}" /v "{check["value"]}"', broken(rule)
        lines.append(f"reg delete {where} /f" if value is None
                     else f'reg add {where} /t {check.get("type", "REG_DWORD")} /d {value} /f')
    disk.path(r"C:\break.bat").write_bytes("\r\n".join([*lines, ""]).encode())
    disk.run("cmd", "/d", "/c", r"C:\break.bat")


def verdicts(project: Project, rules: dict[str, Any]) -> dict[tuple[str, str], str]:
    done = project.run("assess", "--baseline", "windows-server", "-o", "json").expect(3)
    return {(r["host"], r["rule"]): r["verdict"] for r in done.json()["results"] if r["rule"] in rules}


def repair(project: Project, fleet: WindowsFleet, rules: dict[str, Any], *, kill: bool) -> None:
    for host in fleet.hosts.values():
        prepare(host.model.disk, rules)
    both = [(name, rule) for name in fleet.hosts for rule in rules]
    assert verdicts(project, rules) == dict.fromkeys(both, "FAIL")
    command = ("remediate", "--baseline", "windows-server", *(w for rule in rules for w in ("--rule", rule)))
    shown = project.run(*command, "--check", "-o", "json").expect(0).json()
    for planned in shown["hosts"]:
        assert {fix["fix"].partition("/")[2] for fix in planned["fixes"]} == set(rules)
        assert "!RequireSecuritySignature: 0 -> 1" in str(planned)
    if kill:
        killed = project.run(*command, "--yes", "-v", env={"PATCHCTL_FAILPOINT": "start.submit.after"})
        assert killed.code == -signal.SIGKILL, str(killed)
        done = project.run("rollout", "resume", "-v").expect(0)
    else:
        done = project.run(*command, "--yes", "-v").expect(0)
    assert "was FAIL, intended PASS, is PASS" in done.out + done.err, str(done)
    assert verdicts(project, rules) == dict.fromkeys(both, "PASS")
    status = project.status()
    for name, host in fleet.hosts.items():
        assert [h["attempts"] for h in status["hosts"] if h["host"] == name] == [1]
        (attempt,) = [p.name for p in host.model.disk.path(BACKUPS).iterdir()]
        assert attempt in host.model.launched
        assert len(host.model.launched) == 1
        if not kill:
            host.model.disk.run("cmd", "/d", "/c", f"{BACKUPS}\\{attempt}\\restore.cmd")
    if not kill:
        assert verdicts(project, rules) == dict.fromkeys(both, "FAIL"), "taken back by hand, it is as it was"
    project.audit()
    fleet.assert_quiet()


def test_registry_findings_are_shown_repaired_once_and_proven(tmp_path: Path) -> None:
    with windows_fleet(tmp_path / "fleet", 1, slot=73) as fleet, windows_project(tmp_path / "p", fleet) as project:
        repair(project, fleet, {name: RULES[name] for name in SAMPLE}, kill=True)


@pytest.mark.soak
def test_every_registry_rule_is_repaired(tmp_path: Path) -> None:
    assert len(RULES) >= 40
    with windows_fleet(tmp_path / "fleet", 2, slot=74) as fleet, windows_project(tmp_path / "p", fleet) as project:
        repair(project, fleet, RULES, kill=False)


@pytest.mark.soak
def test_the_other_rules_are_repaired_by_powershell_as_far_as_the_model_goes(tmp_path: Path) -> None:
    """No PowerShell runs here: this shows plans, payloads and proof, and that each text is one that the model knows."""
    rules = {r["id"]: r for r in BASELINE["rules"] if r.get("remediation") and r["id"] not in RULES}
    assert len(rules) >= 35
    with windows_fleet(tmp_path / "fleet", 1, slot=75) as fleet, windows_project(tmp_path / "p", fleet) as project:
        (host,) = fleet.hosts.values()
        host.model.checks = failing(rules)
        before = verdicts(project, rules)
        assert before == {("win1", rule): "FAIL" for rule in rules}
        words = ("remediate", "--baseline", "windows-server", *(w for rule in rules for w in ("--rule", rule)))
        done = project.run(*words, "--yes", "-v").expect(0)
        assert "never run on Windows" in done.out + done.err
        assert verdicts(project, rules) == {("win1", rule): "PASS" for rule in rules}
        assert len(host.model.repaired) == len(rules), "each once"
        project.run(*words, "--yes").expect(0)
        assert len(host.model.repaired) == len(rules)
        fleet.assert_quiet()


def failing(rules: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what checks are told of a host on which these rules fail: the value of each rule's failing case."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for rule in rules.values():
        (kind, args), = rule["check"].items()
        batch = kind.replace("_", "-")
        case = next(c for c in rule["tests"] if c["expect"] == "FAIL")
        (question, said), = case["host"][batch].items()
        name = {"windows_policy": args.get("setting"), "windows_audit": args.get("guid"),
                "windows_service": "StartMode"}.get(kind, args.get("property"))  # fmt: skip
        lines = [line for line in said.splitlines() if name.lower() in line.lower()]
        found.setdefault(batch, {}).setdefault(question, {})[name] = "\n".join(lines)
    return {batch: {question: "\n".join(["Unicode=yes", *filter(None, lines.values())])
                    for question, lines in questions.items()} for batch, questions in found.items()}  # fmt: skip
