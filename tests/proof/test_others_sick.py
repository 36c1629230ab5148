"""The table of failures of zypper, pacman and apk: each fault on a real host, its class, code, words and remedy, what
the host's journal says; then the fault is mended, and the same rollout, taken up again, ends with the host patched.

Faults that only another package mends (a strange signature, a broken script) end with the rest of the updates in place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.lab.apk_repository import ARCH
from tests.lab.dresses.alpine import HASHES
from tests.proof.project import Project, read_log

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(2400)]

POLICY = """
policy: NAME
approve: [{package: "*"}]
reject: [{package: lab-epoch, reason: not this month}]
rings: [{name: only}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 10m, retries: 0}
refresh: always
reboot: never
on_failure: continue
"""


@dataclass(frozen=True)
class Told:
    """What patchctl has to say of one fault; `remedy` is that of the diagnosis."""

    code: str
    cls: str
    words: str
    remedy: str = ""
    state: str = "failed"


@dataclass(frozen=True)
class Manager:
    dress: str
    version: str
    """sh text: prints the version of package $1, without its release."""
    lock: Told
    half: Told
    key: Told
    script: str
    """The package whose script keeps it from being installed whole."""
    broken: Told
    gone: str
    """A package that nobody fetches before its repository is gone."""
    unsigned: Told | None = None
    full: Told = field(default_factory=lambda: Told("disk-full", "disk", "free"))


MANAGERS = (
    Manager(
        "leap", "rpm -q --qf '%{VERSION}\\n' \"$1\"",
        lock=Told("zypper-lock-held", "package-manager", "packagekitd[", "wait-for-lock"),
        half=Told("rpm-interrupted", "package-manager", "lab-half-1.0", "rpm-remove-duplicates"),
        key=Told("bad-signature", "repository", "lab-badkey"),
        unsigned=Told("bad-signature", "repository", "lab-unsigned"),
        script="lab-broken", broken=Told("maintainer-script-failed", "patch", "prein script of lab-broken-2.0"),
        gone="lab-reboot"),
    Manager(
        "arch", "pacman -Q \"$1\" | sed 's/.* //; s/-.*//'",
        lock=Told("pacman-lock-held", "package-manager", "pamac-daemon[", "wait-for-lock"),
        half=Told("pacman-lock-stale", "package-manager", "held by nobody", "pacman-unlock"),
        key=Told("keyring", "repository", "keyring"),
        unsigned=Told("", "", "signature", state="blocked"),
        script="lab-broken", broken=Told("", "", "ended with rc 1", state="succeeded"),
        gone="lab-plain"),
    Manager(
        "alpine", "apk info -v | sed -n \"s/^$1-\\([0-9].*\\)-r[0-9]*\\$/\\1/p\"",
        lock=Told("apk-lock-held", "package-manager", "flock[", "wait-for-lock"),
        half=Told("apk-interrupted", "package-manager", "cut off"),
        key=Told("bad-signature", "repository", "lab-badkey"),
        script="lab-broken-pre", broken=Told("maintainer-script-failed", "patch", "lab-broken-pre"),
        gone="lab-broken"),
)


class Ward(Project):
    manager: Manager

    def named(self, name: str) -> LabHost:
        return next(host for host in self.hosts if host.name == name)

    def write(self, name: str) -> str:
        return self.policy(POLICY.replace("NAME", name))

    def version(self, name: str, package: str) -> str:
        return self.named(name).exec(self.manager.version, package, check=False).strip()

    def check(self, name: str, told: Told) -> dict[str, Any]:
        shown: dict[str, Any] = self.host(name)
        error, diagnosis = shown["error"] or {}, shown["diagnosis"] or {}
        found = shown["state"], error.get("code", ""), diagnosis.get("class", ""), diagnosis.get("remedy") or ""
        assert found == (told.state, told.code, told.cls, told.remedy), shown
        assert told.words in f"{error.get('message', '')} {shown['message']}", shown
        if told.state == "failed":
            assert diagnosis["evidence"], "the line that shows it"
            history = self.run("history", name).expect(0).out
            assert told.words in history, history
        return shown


@pytest.fixture(scope="module", params=MANAGERS, ids=lambda manager: manager.dress)
def ward(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    manager: Manager = request.param
    if manager.dress == "alpine" and ARCH not in HASHES:
        pytest.skip(f"no image of Alpine is known for {ARCH}")
    hosts = lab.up(names=["locked", "full", "half", "down"], dress=manager.dress)
    ward = Ward(tmp_path_factory.mktemp(manager.dress) / "project", lab, hosts)
    ward.manager = manager
    try:
        ward.named("half").fault("offer", "lab-half")
        ward.write("sick")
        ward.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
        ward.named("locked").fault("lock")
        ward.named("full").fault("disk-full")
        ward.named("down").fault("repo-down")
        ward.done = ward.run("apply", "plan.json", "--yes", "-v", patience=900)
        yield ward
    finally:
        lab.repository.start()
        ward.close()
        lab.down(*hosts)


def test_a_held_lock_names_its_holder(ward: Ward) -> None:
    assert ward.done is not None
    assert ward.done.code == 5, str(ward.done)
    ward.check("locked", ward.manager.lock)
    assert ward.version("locked", "lab-service") == "1.0"


def test_a_full_disk(ward: Ward) -> None:
    ward.check("full", ward.manager.full)
    assert ward.version("full", "lab-service") == "1.0"


def test_an_interrupted_transaction(ward: Ward) -> None:
    ward.check("half", ward.manager.half)


def test_a_repository_that_only_the_host_cannot_reach(ward: Ward) -> None:
    """The files come from the controller then."""
    assert ward.host("down")["state"] in ("succeeded", "reboot-pending"), ward.host("down")
    assert ward.version("down", "lab-service") == "2.0"
    assert len(read_log(ward.named("down"), "lab-service.post")) == 1


def test_a_plan_is_not_made_of_lists_that_cannot_be_refreshed(ward: Ward) -> None:
    done = ward.run("plan", "--policy", "sick", "--limit", "down", "-o", "json")
    [host] = done.json()["hosts"]
    assert host["changes"] == []
    assert host["state"] in ("blocked", "skipped", "unreachable"), host
    assert "failed" in str(host), host


def test_healed_hosts_end_patched_by_the_same_rollout(ward: Ward) -> None:
    for name in ("locked", "full", "down"):
        ward.named(name).clear()
    ward.write("sick")
    rollout = ward.status()["rollout"]
    done = ward.run("rollout", "retry", rollout, "--failed", "-v", patience=900)
    for name in ("locked", "full", "half"):
        assert ward.version(name, "lab-service") == "2.0", done
        assert len(read_log(ward.named(name), "lab-service.post")) == 1, name
    assert ward.version("half", "lab-half") == "2.0", done
    found = ward.run("scan", "--limit", "half", "-o", "json").expect(0).json()["hosts"][0]
    assert (found["status"], found["broken"]) == ("ok", []), found
    ward.audit()


def test_a_signature_of_a_stranger_and_none(ward: Ward) -> None:
    ward.named("locked").fault("offer", "lab-badkey")
    limit = ["locked"]
    if ward.manager.unsigned is not None:
        ward.named("full").fault("offer", "lab-unsigned")
        limit.append("full")
    ward.named("down").fault("offer", ward.manager.script)
    ward.write("strange")
    done = ward.run("apply", "--policy", "strange", "--limit", ",".join([*limit, "down"]), "--yes", "-v", patience=900)
    ward.check("locked", ward.manager.key)
    assert ward.version("locked", "lab-badkey") == "1.0", done
    if ward.manager.unsigned is not None:
        ward.check("full", ward.manager.unsigned)
        assert ward.version("full", "lab-unsigned") == "1.0", done
    ward.check("down", ward.manager.broken)
    for name in (*limit, "down"):
        ward.named(name).clear()


def test_a_repository_that_nobody_can_reach_when_it_comes_to_installing(ward: Ward, lab: Lab) -> None:
    host = ward.named("half")
    host.clear()
    host.fault("offer", ward.manager.gone)
    ward.write("gone")
    ward.run("plan", "--policy", "gone", "--limit", "half", "--out", "gone.json").expect(0)
    lab.repository.stop()
    done = ward.run("apply", "gone.json", "--yes", "-v", patience=900)
    shown = ward.host("half")
    assert shown["state"] == "failed", done
    assert (shown["error"]["code"], shown["diagnosis"]["class"]) == ("artefact-unreachable", "repository"), shown
    assert ward.version("half", ward.manager.gone) == "1.0"
    lab.repository.start()
    ward.run("rollout", "retry", "--failed", "-v", patience=900)
    assert ward.version("half", ward.manager.gone) == "2.0", ward.host("half")
