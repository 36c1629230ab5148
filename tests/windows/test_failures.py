"""Windows hosts that fail in the middle of `apply`: each in its own way, each with its class, code, message and remedy.

One rollout over WinRM by the real command line; the failures are the model's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.windows.model import Offer, WindowsHost
from tests.windows.wine import why_not
from tests.winrm.fleet import OLD, windows_fleet
from tests.winrm.project import windows_project

pytestmark = [
    pytest.mark.soak, pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(why_not()), reason=f"Wine test left out: {why_not()}"),
]
POLICY = """
policy: failing
approve: [{package: "demo-*"}, {package: "KB*"}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 0, host_time: 10m, retries: 0}
refresh: never
"""
ID = "11111111-2222-4333-8444-555555555555"
CODES = {
    "0x80240022": ("all-updates-failed", "patch", ""),
    "0x8024402C": ("update-server-unresolved", "repository", "wait"),
    "0x80070070": ("no-space", "disk", ""),
    "0x800F0823": ("servicing-stack-too-old", "package-manager", ""),
    "0x80131234": ("update-failed", "patch", ""),
}
FAULTS = {
    "task_dies": ("attempt-interrupted", "package-manager", ""),
    "spoils_result": ("attempt-interrupted", "package-manager", ""),
    "spoils_files": ("artefact-not-staged", "repository", "refetch"),
}


def test_each_failure_is_told_as_what_it_is(tmp_path: Path) -> None:
    wanted: dict[str, tuple[str, str, str]] = {}
    with windows_fleet(tmp_path / "fleet", len(CODES) + len(FAULTS), slot=76) as fleet:
        hosts = iter(fleet.hosts.items())
        for code, expected in CODES.items():
            name, host = next(hosts)
            host.model.offers = [Offer("KB5040000", ID, fails=code)]
            wanted[name] = expected
        for fault, expected in FAULTS.items():
            name, host = next(hosts)
            assert hasattr(WindowsHost, fault)
            setattr(host.model, fault, True)
            wanted[name] = expected
        with windows_project(tmp_path / "p", fleet) as project:
            project.policy(POLICY + fleet.offers())
            done = project.run("apply", "--policy", "failing", "--yes", "-v", patience=1200).expect(5)
            found = {host["host"]: host for host in project.status()["hosts"]}
            told = {name: _told(host) for name, host in found.items()}
            assert told == wanted, str(done)
            for name, host in found.items():
                assert host["state"] in ("failed", "interrupted")
                assert host["error"]["code"] == wanted[name][0]
                assert host["message"], host
                assert host["message"] in done.out + done.err
            for number, code in enumerate(CODES, 1):
                assert code in found[f"win{number}"]["message"]
            damaged = next(name for name, one in wanted.items() if one[0] == "artefact-not-staged")
            assert fleet.installed(damaged)["demo-tool"] == OLD
            assert fleet.hosts[damaged].model.launched == []
            reports = "".join(path.read_text() for path in project.folder.glob("reports/**/*.html"))
            assert all(code in reports for code, _, _ in wanted.values())
            project.audit()


def _told(host: dict[str, Any]) -> tuple[str, str, str]:
    found = host["diagnosis"] or {}
    return found.get("signature", ""), found.get("class", ""), found.get("remedy", "")
