"""Hosts under the real pacman, dressed as Arch Linux: what is pending, and each failure with its class and its words.

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
OFFERED = {"well": "lab-plain", "broken": "lab-broken", "badkey": "lab-badkey", "half": "lab-half"}
POLICY = """
policy: arch
approve: [{package: "*"}]
reject: [{package: lab-epoch, reason: not this month}]
rings: [{name: canary, hosts: well}, {name: rest}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 20m, retries: 0}
refresh: always
reboot: never
on_failure: continue
"""


class Arch(Project):
    """The project and what its first `updates` said."""

    updates: dict[str, Any]

    def named(self, name: str) -> LabHost:
        return next(host for host in self.hosts if host.name == name)


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arch]:
    hosts = lab.up(names=NAMES, dress="arch")
    project = Arch(tmp_path_factory.mktemp("arch") / "project", lab, hosts)
    try:
        project.policy(POLICY)
        for name, package in OFFERED.items():
            project.named(name).fault("offer", package)
        project.named("locked").fault("ignore", "lab-native")
        project.updates = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
        project.run("plan", "--policy", "arch", "--out", "plan.json").expect(0)
        project.named("locked").fault("lock", "pamac-daemon")
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


def check(project: Arch, name: str, *, code: str, cls: str, words: str) -> None:
    shown = project.host(name)
    assert (shown["state"], shown["error"]["code"], shown["diagnosis"]["class"]) == ("failed", code, cls), shown
    assert words in shown["error"]["message"], shown


def test_updates_equal_pacmans_own_list_on_every_host(project: Arch) -> None:
    for host in project.hosts:
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
    assert {u["security"] for u in project.updates["updates"]} == {None}


def test_a_healthy_host_is_patched_once_from_signed_files(project: Arch) -> None:
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


def test_a_held_lock_names_its_holder(project: Arch) -> None:
    check(project, "locked", code="pacman-lock-held", cls="package-manager", words="pamac-daemon[")
    assert pacman_changes(project.named("locked")) == []


def test_a_lock_left_behind_is_told_apart_from_a_held_one(project: Arch) -> None:
    check(project, "stale", code="pacman-lock-stale", cls="package-manager", words="held by nobody")
    assert pacman_changes(project.named("stale")) == []


def test_an_install_script_that_fails_is_not_passed_over(project: Arch) -> None:
    """pacman itself ends with 0 then, and the package is in place: so the host counts, and it is told."""
    shown = project.host("broken")
    assert shown["state"] == "succeeded", shown
    assert "ended with rc 1" in shown["message"], shown
    assert len(read_log(project.named("broken"), "lab-broken.post")) == 1


def test_a_package_signed_by_a_stranger_is_refused(project: Arch) -> None:
    check(project, "badkey", code="keyring", cls="repository", words="keyring")
    assert pacman_changes(project.named("badkey")) == []


def test_a_full_disk(project: Arch) -> None:
    check(project, "full", code="disk-full", cls="disk", words="free")


def test_a_killed_pacman_is_put_right_by_the_remedy(project: Arch) -> None:
    check(project, "half", code="pacman-lock-stale", cls="package-manager", words="interrupted")
    half = project.named("half")
    name = project.policy(POLICY.replace("policy: arch", "policy: again").replace("retries: 0", "retries: 1"))
    half.exec("rm -f /var/lib/pacman/db.lck /var/lib/lab-half")
    done = project.run("apply", "--policy", name, "--limit", "half", "--yes", "-v", patience=600).expect(0)
    assert "again with pacman-unlock" in done.err + done.out, str(done)
    assert half.exec("pacman -Q lab-half") == "lab-half 2.0-1\n"
    assert len(read_log(half, "lab-half.post")) == 1


def test_repositories_that_do_not_answer_make_the_updates_unknown(project: Arch) -> None:
    project.named("badkey").fault("repo-down")
    found = project.run("scan", "--limit", "badkey", "-o", "json", "--refresh", "always").expect(0).json()["hosts"][0]
    assert (found["status"], found["pending"]) == ("partial", None)
    assert "failed" in found["error"]["message"]


def test_healed_hosts_are_patched_and_then_nothing_is_left(project: Arch) -> None:
    for name in ("locked", "stale", "full"):
        project.named(name).clear()
    project.run("rollout", "retry", "2026-11-arch", "--failed", "-v", patience=600)
    for name in ("locked", "stale", "full"):
        assert project.named(name).exec("pacman -Qu").split()[:1] in ([], ["lab-epoch"], ["lab-native"]), name
        assert len(read_log(project.named(name), "lab-service.post")) == 1
    project.audit()
