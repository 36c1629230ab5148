"""The whole patch cycle through `connection: winrm` by the real command line, beside a real Debian host.

Windows hosts are simulated (tests/winrm/fleet.py says what of them is real). They are patched when Windows Installer's
own registry keys say so; that each install ran once, the packages themselves have logged.
"""

from __future__ import annotations

import csv
import json
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean
from tests.windows.model import Offer
from tests.windows.runner import BASE
from tests.windows.wine import why_not
from tests.winrm.fleet import NEW, OLD, WindowsFleet, windows_fleet

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]

POLICY = """
policy: mixed
approve: [{package: "lab-*"}, {package: "demo-*"}]
rings: [{name: canary, hosts: win1}, {name: rest}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 20m}
refresh: never
reboot: if_required
health: [{no_new_failed_units: true}]
"""
BASELINE = Path(__file__).parents[2] / "baselines" / "windows-server.yaml"
APPLY = ("apply", "--policy", "mixed", "--yes", "-v")


@dataclass
class Mixed:
    project: Project
    windows: WindowsFleet
    debian: list[LabHost]


@pytest.fixture(scope="module", params=[
    pytest.param((2, 1), id="three-hosts"), pytest.param((5, 2), id="soak", marks=pytest.mark.soak)])
def mixed(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mixed]:
    if why_not():
        pytest.skip(why_not())
    count, linux = request.param
    folder = tmp_path_factory.mktemp("windows")
    with windows_fleet(folder / "fleet", count) as fleet:
        hosts = lab.up(linux)
        project = Project(folder / "project", lab, hosts)
        fleet.write_inventory(project.folder / "inventories/windows.yaml")
        project.policy(POLICY + fleet.offers())
        (project.folder / "baselines").mkdir()
        shutil.copy(BASELINE, project.folder / "baselines")
        try:
            yield Mixed(project, fleet, hosts)
        finally:
            project.close()
            lab.down(*hosts)


def by_host(rows: list[Any], name: str) -> Any:
    return next(row for row in rows if row["host"] == name)


def test_no_login_is_sent_before_a_certificate_is_trusted(mixed: Mixed) -> None:
    """Without the authority: refused, then pinned by `trust`, then reached."""
    text = mixed.windows.inventory_yaml().replace(f"ca: {mixed.windows.hosts['win1'].peer.authority.file}", "")
    (mixed.project.folder / "bare.yaml").write_text(text)
    words, peer = ("-i", "bare.yaml", "--limit", "win1", "-o", "json"), mixed.windows.hosts["win1"].peer
    (refused,) = mixed.project.run("scan", *words, "--fail-on", "any").expect(13).json()["hosts"]
    assert (refused["status"], refused["error"]["code"]) == ("host-key", "certificate-untrusted")
    assert "patchctl trust --limit win1" in refused["error"]["hint"]
    assert peer.credentials_seen == 0
    (key,) = mixed.project.run("trust", *words, "--yes").expect(0).json()["keys"]
    assert key["fingerprint"] in refused["error"]["message"]
    assert peer.credentials_seen == 0
    (reached,) = mixed.project.run("scan", *words).expect(0).json()["hosts"]
    assert reached["status"] == "ok"


def test_scan_tells_of_all_in_the_same_terms(mixed: Mixed) -> None:
    document = mixed.project.run("scan", "-o", "json").expect(0).json()
    assert {host["status"] for host in document["hosts"]} == {"ok"}, document
    for name in mixed.windows.hosts:
        found = by_host(document["hosts"], name)
        assert found["os"] == {"id": "windows", "version": "10.0.20348.2031", "family": "windows"}
        assert (found["packages"], found["pending"], found["reboot_required"]) == (2, 0, False), found  # and a hotfix
        assert found["boot_id"] == mixed.windows.hosts[name].model.boot_id


def test_updates_are_what_the_update_agent_lists(mixed: Mixed) -> None:
    first = "11111111-2222-4333-8444-555555555555"
    for number, host in enumerate(mixed.windows.hosts.values()):
        host.model.offers = [
            Offer("KB5031364", first, cves=("CVE-2023-36434",)),
            Offer("KB5030999", first.replace("1", "2"), revision=101 + number, security=False, severity=""),
            Offer("KB2267602", first.replace("1", "3"), hidden=True),
            Offer("KB1", first.replace("1", "4"), installed=True),
        ]
    document = mixed.project.run("updates", "-o", "json").expect(0).json()
    for number, (name, host) in enumerate(mixed.windows.hosts.items()):
        found = {u["package"]: u for u in document["updates"] if u["host"] == name}
        pending = [o for o in host.model.offers if not o.installed]
        assert {k: u["candidate"] for k, u in found.items()} == {o.kb: f"{o.id}.{o.revision}" for o in pending}
        assert {k: u["security"] for k, u in found.items()} == {o.kb: o.security for o in pending}
        assert found["KB5031364"]["cves"] == ["CVE-2023-36434"]
        assert found["KB2267602"]["approval"] == "held", found
        assert found["KB5030999"]["candidate"].endswith(f".{101 + number}")
    for host in mixed.windows.hosts.values():
        host.model.offers = []


def test_a_plan_changes_what_the_policy_offers(mixed: Mixed) -> None:
    document = mixed.project.run("plan", "--policy", "mixed", "-o", "json").expect(0).json()
    for name in mixed.windows.hosts:
        found = by_host(document["hosts"], name)
        assert [(c["package"], c["from"], c["to"]) for c in found["changes"]] == [("demo-tool", OLD, NEW)]
        assert found["ring"] == ("canary" if name == "win1" else "rest")
    assert "lab-service" in {c["package"] for c in by_host(document["hosts"], mixed.debian[0].name)["changes"]}
    assert {mixed.windows.installed(name)["demo-tool"] for name in mixed.windows.hosts} == {OLD}


def test_one_rollout_patches_all_of_them(mixed: Mixed) -> None:
    total = len(mixed.debian) + len(mixed.windows.hosts)
    done = mixed.project.run(*APPLY, patience=1800).expect(0)
    assert f"COMPLETED  {total}/{total} verified" in done.out, str(done)
    check_patched(mixed)
    mixed.project.audit()


def check_patched(mixed: Mixed) -> None:
    for name, host in mixed.windows.hosts.items():
        assert mixed.windows.installed(name) == {"demo-tool": NEW}
        assert mixed.windows.runs(name) == [f"demo-tool {OLD}", f"demo-tool {NEW}"]
        assert len(host.model.launched) == 1
        assert [p.name for p in host.model.disk.path(BASE).iterdir()] == ["fence"]
    for debian in mixed.debian:
        assert [row for row in debian.upgradable() if row[0].startswith("lab-")] == []
        assert_clean(debian)


def test_again_there_is_nothing_to_do(mixed: Mixed) -> None:
    done = mixed.project.run(*APPLY).expect(0)
    assert "Nothing to change" in done.out + done.err
    check_patched(mixed)


def test_reports_and_history_tell_of_all_of_them(mixed: Mixed) -> None:
    mixed.project.run("report").expect(0)
    rows = [row for one in mixed.project.folder.glob("reports/**/*.csv") for row in csv.DictReader(one.open())]
    for name in mixed.windows.hosts:
        assert ("demo-tool", NEW) in {(row["package"], row["after"]) for row in rows if row["host"] == name}
        history = mixed.project.run("history", name, "-o", "json").expect(0).json()
        assert "demo-tool" in json.dumps(history), history


def test_a_registry_value_decides_a_rule(mixed: Mixed) -> None:
    """The registry is Wine's own: what reg.exe writes there is what the baseline is judged by."""
    key = r"HKLM\SYSTEM\CurrentControlSet\Services\LanmanServer\Parameters"
    names = list(mixed.windows.hosts)
    model = mixed.windows.hosts[names[0]].model
    model.checks = {"windows-policy": {"all": "Unicode=yes\nMinimumPasswordLength=14\nClearTextPassword=1"}}
    words = ("/v", "RequireSecuritySignature", "/t", "REG_DWORD", "/d", "1", "/f")
    assert model.disk.run("reg", "add", key, *words)[0] == 0
    done = mixed.project.run("assess", "--baseline", "windows-server", "--limit", "windows", "-o", "json").expect(3)
    verdicts = {(r["host"], r["rule"]): r["verdict"] for r in done.json()["results"]}
    assert verdicts[names[0], "password-length"] == "PASS"
    assert verdicts[names[0], "password-reversible"] == "FAIL"
    assert (verdicts[names[0], "smb-server-signing"], verdicts[names[1], "smb-server-signing"]) == ("PASS", "FAIL")
    assert verdicts[names[1], "password-length"] == "UNKNOWN", "the model was told nothing of it"


def test_nothing_is_left_open(mixed: Mixed) -> None:
    mixed.windows.assert_quiet()


@pytest.mark.soak
@pytest.mark.parametrize("line", [6, 10, 14, 18, 22, 26])
def test_the_controller_is_killed_and_goes_on(lab: Lab, tmp_path: Path, line: int) -> None:
    _kill_and_resume(lab, tmp_path, line)


def test_the_controller_is_killed_while_an_installer_runs(lab: Lab, tmp_path: Path) -> None:
    _kill_and_resume(lab, tmp_path, 0)


def _kill_and_resume(lab: Lab, tmp_path: Path, line: int) -> None:
    """kill -9 after so many lines of `apply -v`, 0 = once an installer was started; resume. Each install ran once."""
    if why_not():
        pytest.skip(why_not())
    with windows_fleet(tmp_path / "fleet", 2, slot=62) as fleet:
        project = Project(tmp_path / "project", lab, [])
        (project.folder / "inventories/lab.yaml").unlink()
        fleet.write_inventory(project.folder / "inventories/windows.yaml")
        project.policy(POLICY + fleet.offers())
        try:
            running = project.start(*APPLY)
            while running.process.poll() is None and not (
                running.err().count("\n") >= line if line else any(h.model.launched for h in fleet.hosts.values())
            ):
                time.sleep(0.05)
            running.send(signal.SIGKILL)
            killed = running.wait()
            assert killed.code in (0, -signal.SIGKILL), str(killed)
            begun = project.run("rollout", "status", "-o", "json")
            resumable = begun.code == 0 and begun.json()["state"] != "planned"
            project.run(*(("rollout", "resume", "-v") if resumable else APPLY)).expect(0)
            assert {(h["state"], h["attempts"]) for h in project.status()["hosts"]} == {("succeeded", 1)}
            for name, host in fleet.hosts.items():
                assert fleet.installed(name) == {"demo-tool": NEW}
                assert fleet.runs(name) == [f"demo-tool {OLD}", f"demo-tool {NEW}"]
                assert len(host.model.launched) == 1
            project.audit()
        finally:
            project.close()
