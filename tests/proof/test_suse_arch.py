"""Sick hosts under the real pacman and zypper: what is pending, and each failure with its class and its words.

One scan and one rollout over sick hosts among healthy ones; each test looks at one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean, read_log

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

NAMES = ("well", "locked", "stale", "broken", "badkey", "half", "full")
SUSE = ("swell", "slocked", "sbroken", "spost", "sbadkey", "shalf", "sfull", "sremoves")
OFFERED = {"well": "lab-plain", "broken": "lab-broken", "badkey": "lab-badkey", "half": "lab-half",
           "sbroken": "lab-broken", "spost": "lab-broken-post", "sbadkey": "lab-badkey", "shalf": "lab-half",
           "sremoves": "lab-removes"}
POLICY = """
policy: sick
approve: [{package: "*"}]
reject: [{package: lab-epoch, reason: not this month}]
rings: [{name: canary, hosts: well}, {name: rest}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 20m, retries: 0}
refresh: always
reboot: never
on_failure: continue
"""


class Sick(Project):
    """The project and what its first `updates` said."""

    updates: dict[str, Any]
    sick: str = ""
    """The name of the one rollout that most tests look at."""

    def named(self, name: str) -> LabHost:
        return next(host for host in self.hosts if host.name == name)


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sick]:
    hosts = [*lab.up(names=NAMES, dress="arch"), *lab.up(names=SUSE, dress="leap")]
    project = Sick(tmp_path_factory.mktemp("sick") / "project", lab, hosts)
    try:
        project.policy(POLICY)
        for name, package in OFFERED.items():
            project.named(name).fault("offer", package)
        project.named("locked").fault("ignore", "lab-native")
        project.updates = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
        project.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
        project.named("locked").fault("lock", "pamac-daemon")
        project.named("slocked").fault("lock", "packagekitd")
        project.named("sfull").fault("disk-full")
        project.named("swell").fault("edit-config")
        project.named("stale").fault("lock-stale")
        project.named("full").fault("disk-full")
        project.named("well").fault("edit-config")
        project.done = project.run("apply", "plan.json", "--yes", "-v", patience=900)
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def pacman_changes(host: LabHost) -> list[str]:
    """Return what pacman's own log says was changed, each as `upgraded NAME (OLD -> NEW)`."""
    lines = read_log(host, "pacman.log")
    return [line.split("[ALPM] ")[1] for line in lines if "[ALPM] upgraded" in line or "[ALPM] installed" in line]


def check(project: Sick, name: str, *, code: str, cls: str, words: str) -> None:
    shown = project.host(name)
    assert (shown["state"], shown["error"]["code"], shown["diagnosis"]["class"]) == ("failed", code, cls), shown
    assert words in shown["error"]["message"], shown


def test_updates_equal_pacmans_own_list_on_every_host(project: Sick) -> None:
    for host in map(project.named, NAMES):
        host.exec("mv /var/lib/pacman/db.lck /run/kept 2>/dev/null; pacman -Sy --noconfirm --dbpath /var/lib/pacman; "
                  "[ ! -e /run/kept ] || mv /run/kept /var/lib/pacman/db.lck", check=False)
    found = {name: sorted((u["package"], u["installed"], u["candidate"], u["state"] == "held")
                          for u in project.updates["updates"] if u["host"] == name) for name in NAMES}
    assert len(found["well"]) == 6
    assert ("lab-native", "1.0-1", "2.0-3", True) in found["locked"]
    # The first scan looked at untouched hosts: two of them are so still, and the rest differ by what was planned.
    for name in ("locked", "stale"):
        rows = [line.split() for line in project.named(name).exec("pacman -Qu").splitlines()]
        assert found[name] == sorted((row[0], row[1], row[3], row[-1] == "[ignored]") for row in rows), name
    assert {u["security"] for u in project.updates["updates"] if u["host"] in NAMES} == {None}


def test_a_healthy_host_is_patched_once_from_signed_files(project: Sick) -> None:
    assert project.done is not None
    assert project.done.code == 5, str(project.done)
    host = project.named("well")
    assert project.host("well")["state"] == "succeeded", str(project.done)
    changed = {line.split()[1] for line in pacman_changes(host)}
    assert changed == {"lab-config", "lab-dependency", "lab-extra", "lab-native", "lab-plain", "lab-service"}
    assert host.exec("pacman -Q lab-epoch") == "lab-epoch 1:1.0-1\n"
    assert "Installed as a dependency" in host.exec("pacman -Qi lab-extra")
    assert len(read_log(host, "lab-service.post")) == 1
    assert (host.root / "etc/lab-config.conf.pacnew").exists()
    assert "lab-config.conf" in str(project.status()), "the administrator's file was kept, and that is told"
    assert "partial upgrades" in (project.folder / "plan.json").read_text()
    assert_clean(host)


def test_a_held_lock_names_its_holder(project: Sick) -> None:
    check(project, "locked", code="pacman-lock-held", cls="package-manager", words="pamac-daemon[")
    assert pacman_changes(project.named("locked")) == []


def test_a_lock_left_behind_is_told_apart_from_a_held_one(project: Sick) -> None:
    check(project, "stale", code="pacman-lock-stale", cls="package-manager", words="held by nobody")
    assert pacman_changes(project.named("stale")) == []


def test_an_install_script_that_fails_is_not_passed_over(project: Sick) -> None:
    """pacman itself ends with 0 then, and the package is in place: so the host counts, and it is told."""
    shown = project.host("broken")
    assert shown["state"] == "succeeded", shown
    assert "ended with rc 1" in shown["message"], shown
    assert len(read_log(project.named("broken"), "lab-broken.post")) == 1


def test_a_package_signed_by_a_stranger_is_refused(project: Sick) -> None:
    check(project, "badkey", code="keyring", cls="repository", words="keyring")
    assert pacman_changes(project.named("badkey")) == []


def test_a_full_disk(project: Sick) -> None:
    check(project, "full", code="disk-full", cls="disk", words="free")


def test_a_suse_host_is_patched_once(project: Sick) -> None:
    host = project.named("swell")
    shown = project.host("swell")
    assert shown["state"] in ("succeeded", "reboot-pending"), shown
    assert host.exec("rpm -q --qf '%{VERSION} ' lab-service lab-native lab-extra lab-epoch") == "2.0 2.0 2.0 1.0 "
    assert len(read_log(host, "lab-service.post")) == 1
    assert (host.root / "etc/lab-config.conf.rpmnew").exists()
    assert_clean(host)


def test_zypps_lock_names_its_holder(project: Sick) -> None:
    check(project, "slocked", code="zypper-lock-held", cls="package-manager", words="packagekitd[")
    assert project.named("slocked").exec("rpm -q --qf '%{VERSION}' lab-service") == "1.0"


def test_a_pre_script_that_fails(project: Sick) -> None:
    check(project, "sbroken", code="maintainer-script-failed", cls="patch", words="lab-broken")


def test_a_post_script_that_fails_is_not_passed_over(project: Sick) -> None:
    """This zypper itself ends with 0 then; the package is in place: so the host counts, and it is told."""
    shown = project.host("spost")
    assert shown["state"] in ("succeeded", "reboot-pending"), shown
    assert "rc 107" in shown["message"], shown


def test_an_rpm_signed_by_a_stranger_is_refused(project: Sick) -> None:
    check(project, "sbadkey", code="bad-signature", cls="repository", words="lab-badkey")
    assert project.named("sbadkey").exec("rpm -q --qf '%{VERSION}' lab-badkey") == "1.0"


def test_a_full_disk_on_suse(project: Sick) -> None:
    check(project, "sfull", code="disk-full", cls="disk", words="free")


def test_an_rpm_killed_in_the_middle_is_no_success(project: Sick) -> None:
    shown = project.host("shalf")
    assert shown["state"] == "failed", shown
    found = project.run("scan", "--limit", "shalf", "-o", "json").expect(0).json()["hosts"][0]
    assert "lab-half is installed in two versions: an install was cut off" in found["broken"]


def test_a_removal_blocks_the_plan(project: Sick) -> None:
    plan = (project.folder / "plan.json").read_text()
    assert "would remove lab-victim" in plan
    assert project.named("sremoves").exec("rpm -q lab-victim").startswith("lab-victim-1.0")


def test_repositories_that_do_not_answer_on_suse(project: Sick) -> None:
    project.named("sbadkey").fault("repo-down")
    found = project.run("scan", "--limit", "sbadkey", "-o", "json", "--refresh", "always").expect(0).json()["hosts"][0]
    assert (found["status"], found["pending"]) == ("partial", None)
    assert "failed" in found["error"]["message"]


def test_a_killed_pacman_is_put_right_by_the_remedy(project: Sick) -> None:
    check(project, "half", code="pacman-lock-stale", cls="package-manager", words="interrupted")
    half = project.named("half")
    name = project.policy(POLICY.replace("policy: sick", "policy: again").replace("retries: 0", "retries: 1"))
    half.exec("rm -f /var/lib/pacman/db.lck /var/lib/lab-half")
    project.sick = project.status()["rollout"]
    done = project.run("apply", "--policy", name, "--limit", "half", "--yes", "-v", patience=600).expect(0)
    assert "again with pacman-unlock" in done.err + done.out, str(done)
    assert half.exec("pacman -Q lab-half") == "lab-half 2.0-1\n"
    assert len(read_log(half, "lab-half.post")) == 1


def test_repositories_that_do_not_answer_make_the_updates_unknown(project: Sick) -> None:
    project.named("badkey").fault("repo-down")
    found = project.run("scan", "--limit", "badkey", "-o", "json", "--refresh", "always").expect(0).json()["hosts"][0]
    assert (found["status"], found["pending"]) == ("partial", None)
    assert "failed" in found["error"]["message"]


def test_healed_hosts_are_patched_and_then_nothing_is_left(project: Sick) -> None:
    for name in ("locked", "stale", "full", "slocked", "sfull"):
        project.named(name).clear()
    project.run("rollout", "retry", project.sick, "--failed", "-v", patience=600)
    for name in ("slocked", "sfull"):
        assert project.named(name).exec("rpm -q --qf '%{VERSION}' lab-service") == "2.0"
        assert len(read_log(project.named(name), "lab-service.post")) == 1
    for name in ("locked", "stale", "full"):
        assert project.named(name).exec("pacman -Qu").split()[:1] in ([], ["lab-epoch"], ["lab-native"]), name
        assert len(read_log(project.named(name), "lab-service.post")) == 1
    project.audit()
