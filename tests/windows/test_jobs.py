"""Host jobs on the model of Windows: real MSI packages by Wine's msiexec, the runner's batch files by its cmd."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from patchctl.connect.connections import Connections
from patchctl.connect.credentials import Secrets
from patchctl.deliver.cache import ArtefactCache
from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import UsageError
from patchctl.model.facts import Artefact
from patchctl.model.fingerprint import planned_fingerprint
from patchctl.model.hosts import Connection, HealthCheck, Host, Inventory
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing
from patchctl.model.policy import Limits, PackageOffer
from patchctl.model.rollout import HostJob, JobOutcome
from patchctl.platforms import read_facts
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.windows import PLATFORM
from patchctl.platforms.windows.offers import add_offers
from patchctl.rollout.diagnose import diagnose, diagnose_interruption
from patchctl.store.database import open_store
from patchctl.usecases.hostjobs import HostVisits
from patchctl.usecases.scan import collect_snapshot
from tests.windows.model import ModelTransport, Offer, WindowsHost
from tests.windows.products import installer_runs
from tests.windows.runner import BASE

KB = "11111111-2222-4333-8444-555555555555"


class WallClock:
    def now(self) -> float:
        return time.time()


class Rig:
    """A controller for these model hosts, and a plan that brings demo-tool from 1.0.0 to 2.0.0."""

    def __init__(self, folder: Path, hosts: dict[str, WindowsHost], package: Path) -> None:
        self.hosts = hosts
        connection = Connection(transport="fake", options={"shell": "powershell"})
        self.inventory = Inventory({name: Host(name, connection) for name in hosts}, {}, {})
        self.connections = Connections(
            self.inventory, known_hosts=[], ssh_config=None, secrets=Secrets(None, None),
            transports={"fake": ModelTransport(hosts)})
        self.cache = ArtefactCache(folder / "cache")
        self.store = open_store(f"sqlite:///{folder}/state.db")
        data = package.read_bytes()
        self.offer = PackageOffer(
            "demo-tool", "2.0.0", "http://127.0.0.1:9/demo.msi", hashlib.sha256(data).hexdigest(), len(data),
            "demo-tool-2.0.0.msi")
        self.cache.add(self.offer.sha256, [data], len(data))
        self.artefact = Artefact(
            "demo-tool", "2.0.0", "x64", self.offer.sha256, len(data), self.offer.filename, self.offer.uri)
        self._jobs = 0
        self.token = 1
        self.use((Change("demo-tool", "x64", "1.0.0", "2.0.0", self.offer.sha256),))

    def use(self, changes: tuple[Change, ...], health: tuple[HealthCheck, ...] = ()) -> None:
        plans = {
            name: HostPlan(name, "all", 0, "windows", changes, health=health, fingerprint=planned_fingerprint(changes))
            for name in self.hosts
        }
        self.plan = Plan(
            "2026-11-windows", "test", time.time(), "tester@rig", "", "", "UTC", (),
            (PlannedRing("all", (tuple(self.hosts),)),), plans, {self.offer.sha256: self.artefact},
            Limits(host_time=120), 10)
        self.visits = HostVisits(self.plan, self.inventory, self.connections, self.cache, self.store, WallClock())

    def facts(self, name: str) -> Any:
        with closing(self.connections.open(self.inventory.hosts[name])) as session:
            return read_facts(collect_snapshot(session, "auto", WallClock()))

    def job(self, kind: str, host: str = "win1", number: int = 1, **fields: Any) -> JobOutcome:
        self._jobs += 1
        job = HostJob(
            f"job-{self._jobs}", self.plan.rollout, host, kind, f"{self.plan.rollout}.0123abcd.{number}", self.token,
            **fields)
        return from_json(JobOutcome, to_json(self.visits.perform(from_json(HostJob, to_json(job)))))

    def poll_until_over(self, host: str = "win1", number: int = 1) -> JobOutcome:
        deadline = time.monotonic() + 120
        while (outcome := self.job("poll", host, number)).result == "running":
            assert time.monotonic() < deadline, outcome
            time.sleep(0.1)
        return outcome


@pytest.fixture
def rig(tmp_path: Path, windows_hosts: Callable[[int], list[WindowsHost]], msi: dict[str, Path]) -> Rig:
    return Rig(tmp_path, {"win1": windows_hosts(1)[0]}, msi["2.0.0"])


def test_an_msi_goes_the_whole_way_and_the_registry_proves_it(rig: Rig) -> None:
    facts = rig.facts("win1")
    assert [(p.name, p.version, p.arch) for p in facts.packages if p.name == "demo-tool"] == [
        ("demo-tool", "1.0.0", "x64")]
    offered = add_offers(facts, [rig.offer])
    assert [(u.package, u.installed, u.candidate) for u in offered.updates or ()] == [("demo-tool", "1.0.0", "2.0.0")]
    assert rig.job("preflight").result == "ok"
    staged = rig.job("stage")
    assert (staged.result, staged.data.get("delivered")) == ("ok", [rig.offer.sha256]), staged
    started = rig.job("start")
    assert started.result == "started", started
    assert rig.job("start").result == "adopted"
    over = rig.poll_until_over()
    assert (over.result, over.data["rc"]) == ("finished", 0), over
    assert over.data["changes"] == [
        {"package": "demo-tool", "arch": "x64", "from": "1.0.0", "to": "2.0.0"}]
    assert "exit-code demo-tool-2.0.0.msi 0" in over.data["log"]
    verified = rig.job("verify", data={"health_before": []})
    assert (verified.result, verified.data["pending"]) == ("ok", []), verified
    assert rig.job("start").result == "adopted"
    assert rig.hosts["win1"].launched == [f"{rig.plan.rollout}.0123abcd.1"]
    cleaned = rig.job("cleanup")
    assert (cleaned.result, cleaned.data["residue"]) == ("ok", [])
    assert sorted(p.name for p in rig.hosts["win1"].disk.path(BASE).iterdir()) == ["fence"]
    assert rig.job("preflight", number=2).result == "done"
    # The spool is gone, and a request that comes late starts nothing.
    assert rig.job("start").result == "adopted"
    assert len(rig.hosts["win1"].launched) == 1


def test_a_package_that_is_none_fails_with_its_code_and_changes_nothing(rig: Rig) -> None:
    data = b"this is no package"
    sha256 = hashlib.sha256(data).hexdigest()
    rig.cache.add(sha256, [data], len(data))
    rig.artefact = replace(rig.artefact, sha256=sha256, size=len(data))
    rig.offer = replace(rig.offer, sha256=sha256, size=len(data))
    rig.use((Change("demo-tool", "x64", "1.0.0", "2.0.0", sha256),))
    assert rig.job("stage").result == "ok"
    assert rig.job("start").result == "started"
    over = rig.poll_until_over()
    assert over.result == "finished"
    assert over.data["rc"] not in (0, None)
    assert over.data["changes"] == []
    found = diagnose("poll", None, over.data, PLATFORM.signatures)
    assert (found.cls, found.evidence.split()[:3]) == ("patch", ["patchctl:", "exit-code", "demo-tool-2.0.0.msi"])
    assert rig.job("verify", data={"health_before": []}).data["pending"] == ["demo-tool 1.0.0 -> 2.0.0 (found 1.0.0)"]


def test_veto_fence_and_busy_start_nothing(rig: Rig) -> None:
    host = rig.hosts["win1"]
    rig.job("stage")
    base = host.disk.path(BASE)
    (base / "hold").write_text("month-end closing\n")
    assert rig.job("preflight").result == "veto"
    vetoed = rig.job("start")
    assert (vetoed.result, "month-end closing" in vetoed.data["reason"]) == ("veto", True)
    (base / "hold").unlink()
    (base / "fence").write_text("other-store 1 5 me@elsewhere -\n")
    assert rig.job("start").result == "fenced"
    assert "me@elsewhere" in str(rig.job("preflight").error)
    (base / "fence").unlink()
    host.task_late = True
    assert rig.job("start").result == "started"
    assert rig.job("poll").result == "running"  # the task scheduler may still begin
    busy = rig.job("start", number=2)
    assert (busy.result, busy.error.code if busy.error else "") == ("failed", "attempt-lock")
    host.reboot()
    lost = rig.job("poll")
    assert (lost.result, lost.data["reason"]) == ("interrupted", "was claimed, but its runner never began")
    assert host.launched == []


def test_a_reboot_is_bound_to_its_boot_and_waits_for_servicing(rig: Rig) -> None:
    host = rig.hosts["win1"]
    before = rig.job("preflight").data["boot_id"]
    assert before == host.boot_id
    host.settling = 2
    assert rig.job("reboot", boot_id=before).result == "requested"
    assert host.boot_id != before
    assert rig.job("reboot", boot_id=before).result == "rebooted"
    assert host.reboots == 1
    settling = [rig.job("boot", boot_id=before) for _ in range(3)]
    assert [outcome.result for outcome in settling] == ["waiting", "waiting", "rebooted"]
    assert settling[0].data["reason"] == "servicing in progress (2)"


def test_a_runner_that_was_called_off_never_runs_its_payload(rig: Rig) -> None:
    """run.cmd itself, by Wine's cmd: without its ticket it does nothing, with it exactly once."""
    host = rig.hosts["win1"]
    host.task_late = True
    rig.job("stage")
    assert rig.job("start").result == "started"
    spool = host.disk.path(f"{BASE}\\runs\\{rig.plan.rollout}.0123abcd.1")
    run = f"{BASE}\\runs\\{rig.plan.rollout}.0123abcd.1\\run.cmd"
    (spool / "payload.cmd").write_bytes(b"@echo off\r\necho patchctl: step ran\r\nexit /b 3010\r\n")
    (spool / "ticket").rename(spool / "void")
    host.disk.run("cmd", "/d", "/c", run)
    assert not (spool / "log").exists()
    (spool / "void").rename(spool / "ticket")
    host.disk.run("cmd", "/d", "/c", run)
    assert (spool / "result").read_text().strip() == "3010"
    assert (spool / "log").read_text().strip() == "patchctl: step ran"
    (spool / "log").unlink()
    host.disk.run("cmd", "/d", "/c", run)
    assert not (spool / "log").exists()


def test_windows_updates_are_read_judged_and_carried(rig: Rig) -> None:
    host = rig.hosts["win1"]
    host.offers = [
        Offer("KB5031364", KB, cves=("CVE-2023-36434",)),
        Offer("KB2267602", KB.replace("1", "2"), hidden=True),
        Offer("KB5005112", KB.replace("1", "3"), succeeded=2),
    ]
    facts = rig.facts("win1")
    found = {u.package: u for u in facts.updates or ()}
    assert found["KB5031364"].candidate == f"{KB}.200"
    assert (found["KB5031364"].security, found["KB5031364"].severity) == (True, "critical")
    assert (found["KB2267602"].state, facts.held) == ("held", ("KB2267602",))
    assert found["KB5005112"].state == "held"
    assert "update loop" in found["KB5005112"].reason
    change = Change("KB5031364", "", "", f"{KB}.200", carrier="windows-update")
    rig.use((change,))
    assert rig.job("preflight").result == "ok"
    assert rig.job("stage").data["bytes"] == 0
    host.offers[0].installed = True
    assert rig.job("preflight").result == "done"


def test_a_search_that_fails_makes_everything_unknown_and_says_why(rig: Rig) -> None:
    rig.hosts["win1"].search_failure = "0x8024402C"
    facts = rig.facts("win1")
    assert (facts.updates, facts.packages, facts.held) == (None, None, None)
    assert facts.why_unknown("updates") == "the update server's or the proxy's name does not resolve (0x8024402C)"
    assert rig.job("verify", data={"health_before": []}).error.code == "packages-unknown"  # type: ignore[union-attr]


def test_a_product_is_removed_by_its_code(rig: Rig) -> None:
    """msiexec /x for real: the payload's uninstall, proven by the registry."""
    host = rig.hosts["win1"]
    product = next(p for p in rig.facts("win1").packages if p.name == "demo-tool")
    folder = host.disk.path("C:\\work")
    folder.mkdir()
    payload = PLATFORM.install_script(InstallRequest((), (), (product.source,), "C:\\work"))
    (folder / "payload.cmd").write_bytes(payload.replace("\n", "\r\n").encode())
    rc, said = host.disk.run("cmd", "/d", "/c", "C:\\work\\payload.cmd")
    assert (rc, f"patchctl: exit-code {product.source} 0" in said) == (0, True), said
    assert [p for p in rig.facts("win1").packages if p.name == "demo-tool"] == []
    rc, said = host.disk.run("cmd", "/d", "/c", "C:\\work\\payload.cmd")  # and again: it is gone, as wanted
    assert (rc, f"patchctl: already-gone {product.source}" in said) == (0, True), said


def test_a_lower_version_goes_in_after_the_higher_one_was_taken_off_by_its_own_file(
    rig: Rig, msi: dict[str, Path]
) -> None:
    host, folder = rig.hosts["win1"], rig.hosts["win1"].disk.path("C:\\work")
    folder.mkdir()
    files = []
    for version, path in msi.items():
        (folder / path.name).write_bytes(path.read_bytes())
        files.append(Artefact("demo-tool", version, "x64", version[0] * 64, 1, path.name))
    assert host.disk.run("msiexec", "/i", "C:\\work\\demo-tool-2.0.0.msi", "/qn")[0] == 0
    back = Change("demo-tool", "x64", "2.0.0", "1.0.0", "1" * 64, replaces="2" * 64)
    payload = PLATFORM.install_script(InstallRequest((back,), tuple(files), (), "C:\\work"))
    (folder / "payload.cmd").write_bytes(payload.replace("\n", "\r\n").encode())
    for _ in range(2):  # cut off in the middle and begun again, it comes to the same end
        rc, said = host.disk.run("cmd", "/d", "/c", "C:\\work\\payload.cmd")
        assert rc == 0, said
        found = [p.version for p in rig.facts("win1").packages if p.name == "demo-tool"]
        assert found == ["1.0.0"], said
    assert installer_runs(host.disk)[:3] == ["demo-tool 1.0.0", "demo-tool 2.0.0", "demo-tool 1.0.0"]
    own = replace(files[1], filename="setup.exe")
    request = InstallRequest((back,), (files[0], own), (), "C:\\work")
    with pytest.raises(UsageError, match="names no uninstall command"):
        PLATFORM.install_script(request)
    own = replace(own, uninstall='"C:\\Program Files\\demo-tool\\uninst.exe" /S')
    text = PLATFORM.install_script(replace(request, artefacts=(files[0], own)))
    assert 'start "" /wait "C:\\Program Files\\demo-tool\\uninst.exe" /S\n' in text
    with pytest.raises(UsageError, match="cannot stand in a batch file"):
        PLATFORM.install_script(replace(request, artefacts=(files[0], replace(own, uninstall="C:\\a.exe & calc"))))


def test_a_result_that_was_cut_to_nothing_is_no_exit_code(rig: Rig) -> None:
    """The time that follows it in the answer once was taken for one."""
    rig.hosts["win1"].spoils_result = True
    rig.job("stage")
    assert rig.job("start").result == "started"
    over = rig.poll_until_over()
    assert (over.result, over.data["rc"], over.data["reason"]) == ("interrupted", None, "its result cannot be read")


def test_an_interrupted_attempt_is_retried_without_dpkgs_remedy() -> None:
    found = diagnose_interruption({"step": "install", "boot_id": "x"}, PLATFORM.signatures)
    assert (found.signature, found.transient, found.remedy) == ("attempt-interrupted", True, "")
