"""What a host's answers come to: no success that was not seen, and no start forgotten. No host needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from patchctl.connect.contract import Command, Result
from patchctl.deliver.cache import ArtefactCache
from patchctl.model.errors import PrivilegeError
from patchctl.model.evidence import NOT_APPLICABLE, OK, Evidence, Snapshot
from patchctl.model.facts import Artefact
from patchctl.model.hosts import HealthCheck, Host, Inventory
from patchctl.model.plan import Change, HostPlan
from patchctl.model.rollout import HostJob, JobOutcome
from patchctl.platforms import read_facts
from patchctl.usecases.hostjobs import HostVisits
from tests.platforms.cases import load_case
from tests.sim.fleet import make_plan

BOOT, OTHER_BOOT = "d0877d51-98c6-4f6b-8076-72316236473f", "11111111-98c6-4f6b-8076-72316236473f"
CASE = load_case("apt", "patched-reboot-needed")
FOUND = next(p for p in read_facts(CASE.snapshot).packages or () if p.status == "installed")
DONE = Change(FOUND.name, FOUND.arch, "0.1", FOUND.version, "ab" * 32)
Say = Mapping[str, Sequence[str]]


class Answering:
    """Opens sessions in which the runner answers `says` (None: not to its end) and probes what `evidence` holds."""

    def __init__(self, says: Say | None, evidence: Mapping[str, Evidence], fail: Callable[[Command], None]) -> None:
        self.host, self.says, self.evidence, self.fail = Host("h1"), says, evidence, fail

    def open(self, host: Host) -> Answering:
        return self

    def close(self) -> None: ...

    def run(self, command: Command) -> Result:
        self.fail(command)
        said = self._collect(command.script) if "patchctl_collect()" in command.script else self._reply(command.script)
        return Result(0, said.encode(), b"", 0.1, as_root=True)

    def _reply(self, script: str) -> str:
        found = re.search(r"^NONCE=([0-9a-f]+)$", script, re.M)
        assert found is not None
        lines = [f"{found[1]} {key} {line}" for key, lines in (self.says or {}).items() for line in lines]
        end = [f"{found[1]} end"] if self.says is not None else []
        return "\n".join([f"{found[1]} boot {BOOT}", *lines, *end, ""])

    def _collect(self, script: str) -> str:
        found = re.search(r"^N=([0-9a-f]+)$", script, re.M)
        assert found is not None
        n, ids = found[1], re.findall(r"^pc_probe (\S+) ", script, re.M)
        out = [f"{n}#BEGIN 1 root ."]
        for name in ids:
            one = self.evidence.get(name)
            if one is not None and one.status == NOT_APPLICABLE:
                out += [f"{n}+{name} .", f"{n}>{name} na 0 0 0 ."]
            elif one is not None and one.status == OK:
                lines = one.output.split("\n")
                out += [f"{n}+{name} .", *(f"{n}={name} {line}" for line in lines),
                        f"{n}>{name} {one.rc} {len(one.output.encode()) + 1} {len(lines)} 0 ."]
        return "\n".join([*out, f"{n}#END {len(ids)} .", ""])


class Store:
    store_id, epoch = "store-a", 1

    def save_snapshot(self, snapshot: Snapshot) -> str:
        return "1"

    def save_snapshots(self, snapshots: Sequence[Snapshot], kind: str = "scan") -> list[str]:
        return ["1"]


class Clock:
    def now(self) -> float:
        return CASE.snapshot.taken_at


def perform(
    folder: Path, kind: str, says: Say | None = None, evidence: Mapping[str, Evidence] = CASE.snapshot.evidence,
    fail: Callable[[Command], None] = lambda command: None, change: Change = DONE,
    health: Sequence[HealthCheck] = (), data: Mapping[str, Any] | None = None,
) -> JobOutcome:
    host = HostPlan("h1", "all", 1, "apt", (change,), health=tuple(health))
    file = Artefact(change.package, change.to_version, change.arch, change.sha256, 10, "a_1_all.deb")
    plan = replace(make_plan(["h1"]), hosts={"h1": host}, artefacts={file.sha256: file})
    session = Answering(says, evidence, fail)
    visits = HostVisits(plan, Inventory({"h1": Host("h1")}, {}, {}), session, ArtefactCache(folder), Store(), Clock())
    return visits.perform(HostJob("j1", "r1", "h1", kind, "r1.0a1b2c3d.1", 1, boot_id=BOOT, data=dict(data or {})))


def code(outcome: JobOutcome) -> str:
    return outcome.error.code if outcome.error is not None else ""


@pytest.mark.parametrize("kind", ["preflight", "start", "poll", "reboot", "boot", "cleanup"])
def test_an_answer_that_is_not_whole_promises_nothing(tmp_path: Path, kind: str) -> None:
    found = perform(tmp_path, kind)
    assert (found.result, code(found)) == ("unreachable", "answer-lost")


@pytest.mark.parametrize(("kind", "result"), [("start", "unreachable"), ("poll", "failed"), ("cleanup", "failed")])
def test_a_start_that_broke_somewhere_may_have_happened(tmp_path: Path, kind: str, result: str) -> None:
    def fail(command: Command) -> None:
        raise ZeroDivisionError("a bug of ours")

    assert (perform(tmp_path, kind, {}, fail=fail).result) == result


@pytest.mark.parametrize(("says", "result"), [
    ({"state": ["finished"], "result": ["0 100 160 x"]}, "finished"),
    ({"state": ["finished"], "result": [" 100 160 x"]}, "interrupted"),
    ({"state": ["finished"]}, "interrupted"),
    ({"state": ["finished"], "result": ["zero 100 160"]}, "interrupted"),
    ({"state": ["interrupted"], "result": ["0 100 160 x"]}, "interrupted"),
    ({"state": ["running"]}, "running"),
])
def test_an_attempt_is_finished_only_with_a_result_that_can_be_read(tmp_path: Path, says: Say, result: str) -> None:
    assert perform(tmp_path, "poll", says).result == result


def test_the_attempt_of_another_store_is_nobody_elses_result(tmp_path: Path) -> None:
    says = {"state": ["finished"], "result": ["0 100 160 x"], "foreign": ["store-b"]}
    found = perform(tmp_path, "poll", says)
    assert (found.result, code(found)) == ("failed", "fenced")


@pytest.mark.parametrize(("says", "result"), [
    ({}, "waiting"), ({"boot": [OTHER_BOOT]}, "rebooted"), ({"boot": ["cat: No such file"]}, "unreachable"),
    ({"boot": [OTHER_BOOT], "settling": ["updates are configured"]}, "waiting"),
])
def test_rebooted_means_another_boot_id(tmp_path: Path, says: Say, result: str) -> None:
    assert perform(tmp_path, "boot", {**says, "state": ["seen"]}).result == result


@pytest.mark.parametrize(("says", "result", "why"), [
    ({"state": ["clean"]}, "ok", ""), ({"state": ["clean"], "residue": ["/var/lib/patchctl/x"]}, "failed", "residue"),
    ({"state": ["failed"], "code": ["busy"], "reason": ["attempt still works"]}, "failed", "busy"),
])
def test_clean_means_that_nothing_is_left(tmp_path: Path, says: Say, result: str, why: str) -> None:
    found = perform(tmp_path, "cleanup", says)
    assert found.result == result
    assert code(found) == why or why == "busy"


@pytest.mark.parametrize(("says", "result", "why"), [
    ({"fenced": ["belongs to the controller of store-b"]}, "failed", "fenced"), ({"veto": ["ask Ann"]}, "veto", ""),
    ({}, "ok", ""),
])
def test_fence_and_veto_are_seen_before_anything_is_staged(tmp_path: Path, says: Say, result: str, why: str) -> None:
    evidence = fingerprinted(f"{FOUND.name}:{FOUND.arch} 0.1\n")
    found = perform(tmp_path, "preflight", {**says, "state": ["seen"]}, evidence)
    assert (found.result, code(found)) == (result, why)


@pytest.mark.parametrize(("output", "result", "why"), [
    (f"{FOUND.name}:{FOUND.arch} 0.1\n", "ok", ""), (f"{FOUND.name}:{FOUND.arch} 0.2\n", "changed", ""),
    (f"{FOUND.name}:{FOUND.arch} {FOUND.version}\n", "done", ""), (None, "failed", "fingerprint-unknown"),
])
def test_only_a_host_as_planned_goes_on(tmp_path: Path, output: str | None, result: str, why: str) -> None:
    found = perform(tmp_path, "preflight", {"state": ["seen"]}, fingerprinted(output))
    assert (found.result, code(found)) == (result, why)


def fingerprinted(output: str | None) -> dict[str, Evidence]:
    from patchctl.platforms.registry import platform_named

    name = platform_named("apt").fingerprint_probe([FOUND.name]).id
    return {} if output is None else {name: Evidence(name, OK, output, 0)}


def test_success_is_what_a_new_look_shows(tmp_path: Path) -> None:
    assert perform(tmp_path, "verify").result == "ok"
    other = perform(tmp_path, "verify", change=replace(DONE, to_version=f"{FOUND.version}+x"))
    assert other.result == "failed"
    assert other.data["pending"]


def test_what_cannot_be_verified_is_no_success(tmp_path: Path) -> None:
    unread = {name: one for name, one in CASE.snapshot.evidence.items() if "packages" not in name}
    found = perform(tmp_path, "verify", evidence=unread)
    assert (found.result, code(found)) == ("failed", "packages-unknown")

    def refuse(command: Command) -> None:
        if command.become:
            raise PrivilegeError("sudo-denied", "h1: sudo: not allowed")

    refused = perform(tmp_path, "verify", fail=refuse)
    assert (refused.result, code(refused)) == ("unreachable", "sudo-denied")


def test_a_package_that_is_half_configured_is_no_success_whichever_it_is(tmp_path: Path) -> None:
    listed = CASE.snapshot.evidence["apt.packages"]
    assert FOUND.name != "bash"
    broken = replace(listed, output=listed.output.replace("ii |bash|", "iF |bash|"))
    found = perform(tmp_path, "verify", evidence={**CASE.snapshot.evidence, "apt.packages": broken})
    assert (found.result, code(found)) == ("failed", "dpkg-broken")
    assert found.error is not None
    assert "bash (half-configured)" in found.error.message


def test_a_service_that_stopped_serving_is_no_success(tmp_path: Path) -> None:
    health = [HealthCheck("unit", "web.service")]
    before = [{"check": "unit web.service", "kind": "unit", "target": "web.service", "ok": True}]
    for said, result in (("active\n", "ok"), ("failed\n", "failed")):
        evidence = {**CASE.snapshot.evidence, "health.0": Evidence("health.0", OK, said, 0 if result == "ok" else 3)}
        first = perform(tmp_path, "verify", evidence=evidence, health=health, data={"health_before": before})
        assert first.result == result, first
