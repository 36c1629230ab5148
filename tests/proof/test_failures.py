"""What goes wrong on real hosts: each failure has its own words, class and code, and stops nothing but its own host.

One scan and one rollout over sick hosts among healthy ones; each test looks at one of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, apt_runs, assert_clean, assert_once, dpkg_changes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

NAMES = ("well1", "strange", "wrongpw", "silent", "full", "locked", "broken", "nomirror", "well2")
NOBODY = "nobody"
"""A host at an address where nobody listens."""
POLICY = """
policy: sick
approve: [{package: lab-service}, {package: lab-broken}]
rings: [{name: canary, hosts: well1}, {name: rest}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 20m, retries: 0}
refresh: never
reboot: never
on_failure: continue
"""


class Sick(Project):
    """The project, what its scan said of each host, and how its rollout ended."""

    scanned: dict[str, Any]
    seconds: float

    def named(self, name: str) -> LabHost:
        return next(host for host in self.hosts if host.name == name)


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sick]:
    hosts = lab.up(names=NAMES)
    project = Sick(tmp_path_factory.mktemp("sick") / "project", lab, hosts)
    try:
        yield prepare(project, lab)
    finally:
        project.close()
        lab.down(*hosts)


def write_inventory(project: Sick, password: str) -> None:
    """wrongpw needs a password for sudo; nobody stands in the inventory, but nowhere else."""
    text = project.lab.inventory_yaml(project.hosts, user="ops")
    address = project.named("wrongpw").address
    become = 'user: opspw, become: {method: sudo, password: "env:LAB_SUDO"}'
    text = text.replace(f"{{address: {address}}}", f"{{address: {address}, {become}}}")
    text = text.replace("hosts:\n", f"hosts:\n  {NOBODY}: {{address: {project.lab.slot.address(250)}}}\n", 1)
    project.inventory(text=text)
    project.env["LAB_SUDO"] = password


def prepare(project: Sick, lab: Lab) -> Sick:
    """Plan while all is well, make the hosts sick, scan, then apply."""
    write_inventory(project, "labpw")
    project.policy(POLICY)
    project.named("broken").fault("offer", "lab-broken")
    project.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
    write_inventory(project, "not the password")
    project.named("strange").fault("wrong-host-key")
    project.named("silent").cut()
    project.named("full").fault("disk-full", "var")
    project.named("locked").fault("apt-lock", "unattended-upgr")
    project.named("nomirror").fault("repo-down")
    scan = project.run("scan", "-o", "json", "--refresh", "always").expect(0).json()
    project.scanned = {host["host"]: host for host in scan["hosts"]}
    begun = time.monotonic()
    project.done = project.run("apply", "plan.json", "--yes", "-v")
    project.seconds = time.monotonic() - begun
    return project


def check(
    project: Sick, name: str, *, state: str, code: str, cls: str, words: str
) -> dict[str, Any]:
    """Hold a host's entry of the status, the summary for people, and the host's own log against what must be there."""
    shown: dict[str, Any] = project.host(name)
    assert shown["state"] == state, shown
    assert shown["error"], shown
    assert shown["error"]["code"] == code, shown
    assert words in shown["error"]["message"], shown
    assert shown["diagnosis"]["class"] == cls, shown
    assert shown["attempts"] == 1, shown
    assert project.done is not None
    line = next((one for one in project.done.out.splitlines() if one.split()[1:2] == [name]), "")
    assert line.startswith(state.upper()), project.done.out
    assert words in line, project.done.out
    return shown


def test_the_scan_tells_each_cause(project: Sick) -> None:
    statuses = {name: host["status"] for name, host in project.scanned.items()}
    assert statuses["well1"] == statuses["well2"] == "ok"
    assert statuses["strange"] == "host-key"
    assert statuses["wrongpw"] == "privilege-failed"
    assert statuses[NOBODY] == "unreachable"
    assert statuses["silent"] in ("unreachable", "timeout")
    nomirror = project.scanned["nomirror"]
    assert (nomirror["status"], nomirror["pending"]) == ("partial", None), nomirror
    codes = {name: host["error"]["code"] for name, host in project.scanned.items() if host["error"]}
    sick = ("strange", "wrongpw", NOBODY, "nomirror")
    assert len({codes[name] for name in sick}) == len(sick), codes
    for name in sick:
        assert project.scanned[name]["error"]["message"], name


def test_healthy_hosts_are_patched_and_the_exit_code_tells_of_the_others(project: Sick) -> None:
    assert project.done is not None
    assert project.done.code == 5, str(project.done)
    assert "COMPLETED, NOT CLEAN" in project.done.out
    for name in ("well1", "well2"):
        assert project.host(name)["state"] == "succeeded"
        assert_once(project.named(name), ("lab-service",))
        assert_clean(project.named(name))
    project.audit()
    assert {host["settled"] for host in project.status()["hosts"]} == {True}


def test_wrong_host_key(project: Sick) -> None:
    check(project, "strange", state="unreachable", code="host-key-changed", cls="access", words="host key")
    assert dpkg_changes(project.named("strange")) == []


def test_wrong_sudo_password(project: Sick) -> None:
    shown = check(project, "wrongpw", state="unreachable", code="sudo-password-wrong", cls="access", words="sudo")
    assert "not the password" not in str(shown)
    assert dpkg_changes(project.named("wrongpw")) == []


def test_unreachable_address(project: Sick) -> None:
    shown = project.host(NOBODY)
    assert shown["state"] == "unreachable"
    assert project.lab.slot.address(250) in shown["message"]


def test_silent_host(project: Sick) -> None:
    shown = project.host("silent")
    assert (shown["state"], shown["diagnosis"]["class"]) == ("unreachable", "access")


def test_full_disk(project: Sick) -> None:
    check(project, "full", state="failed", code="disk-full", cls="disk", words="free")
    assert dpkg_changes(project.named("full")) == []


def test_held_dpkg_lock(project: Sick) -> None:
    shown = check(
        project, "locked", state="failed", code="dpkg-lock-held", cls="package-manager", words="unattended-upgr[")
    assert "/var/lib/dpkg/lock" in shown["error"]["message"]
    assert dpkg_changes(project.named("locked")) == []


def test_package_whose_postinst_fails(project: Sick) -> None:
    check(project, "broken", state="failed", code="maintainer-script-failed", cls="patch", words="lab-broken")
    assert len(apt_runs(project.named("broken"))) == 1


def test_repository_down_for_one_host_is_helped_by_the_controller(project: Sick) -> None:
    assert project.host("nomirror")["state"] == "succeeded"
    assert_once(project.named("nomirror"), ("lab-service",))


def test_the_healed_hosts_are_patched_by_a_retry(project: Sick) -> None:
    """Last: it changes the rollout that the tests above look at."""
    for name in ("strange", "silent", "full", "locked"):
        project.named(name).clear()
    (project.folder / "known_hosts").write_text(project.lab.known_hosts.read_text())
    write_inventory(project, "labpw")
    done = project.run("rollout", "retry", "--failed", "-v", patience=900)
    assert done.code == 5, str(done)  # nobody and the broken package are still there
    for name in ("strange", "wrongpw", "silent", "full", "locked"):
        assert project.host(name)["state"] == "succeeded", str(done)
        assert_once(project.named(name), ("lab-service",))
        assert_clean(project.named(name))
    project.audit()


def test_repository_down_for_everybody(lab: Lab, fleet: Callable[[int], Project]) -> None:
    project = fleet(1)
    project.policy(POLICY.replace("hosts: well1", "size: 1"))
    project.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
    lab.repository.stop()
    try:
        done = project.run("apply", "plan.json", "--yes", "-v").expect(6, 5)
        (shown,) = project.status()["hosts"]
        assert (shown["state"], shown["diagnosis"]["class"]) == ("failed", "repository"), shown
        assert "lab-service" in shown["error"]["message"], shown
        assert "host unchanged" in done.out
        assert dpkg_changes(project.hosts[0]) == []
    finally:
        lab.repository.start()
    project.run("rollout", "retry", "--failed", "-v").expect(0)
    assert_once(project.hosts[0], ("lab-service",))
    project.audit()


def test_a_failing_canary_halts_before_the_rest(fleet: Callable[[int], Project]) -> None:
    project = fleet(2)
    canary, other = project.hosts
    canary.fault("offer", "lab-broken")
    name = project.policy(
        "policy: careful\napprove: [{package: lab-service}, {package: lab-broken}]\n"
        f"rings: [{{name: canary, hosts: {canary.name}}}, {{name: rest}}]\n"
        "limits: {concurrency: 100%, errors: 0, retries: 0}\nrefresh: never\nreboot: never\n")
    done = project.run("apply", "--policy", name, "--yes").expect(6)
    assert "HALTED" in done.out
    assert "errors 1/2, limit 0" in done.out
    assert f"rollout resume {project.status()['rollout']}" in done.out
    assert project.host(other.name)["state"] == "pending"
    assert dpkg_changes(other) == []
    project.run("rollout", "resume", "--reason", "the package is known to be bad").expect(5)
    assert project.host(other.name)["state"] == "succeeded"
    assert_once(other, ("lab-service",))
    project.audit()
