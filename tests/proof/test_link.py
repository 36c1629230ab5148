"""sshd upgraded, cut off by a package, stopped, and the link dead for 60 s, each during the install of one host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean, assert_once, dpkg_changes, read_log

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

NAMES = ("upgraded", "selfcut", "stopped", "linkless", "untroubled")
POLICY = """
policy: links
approve:
  - {package: "openssh-*", hosts: upgraded}
  - {package: lab-sshcut}
  - {package: lab-slow}
  - {package: lab-service, hosts: untroubled}
rings: [{name: all}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 20m, retries: 0}
refresh: never
reboot: never
health: [{no_new_failed_units: true}, {unit: ssh.service}]
"""


def is_running_postinst(host: LabHost, package: str) -> bool:
    return bool(read_log(host, f"{package}.postinst"))


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One rollout over the five hosts; what happens to the links happens while the installs run."""
    hosts = lab.up(names=NAMES)
    project = Project(tmp_path_factory.mktemp("links") / "project", lab, hosts)
    try:
        _, selfcut, stopped, linkless, _ = hosts
        selfcut.fault("offer", "lab-sshcut")
        selfcut.exec("echo 20 > /etc/lab-sshcut")
        for host in (stopped, linkless):
            host.fault("offer", "lab-slow")
            host.exec("echo 30 > /etc/lab-slow")
        project.policy(POLICY)
        running = project.start("apply", "--policy", "links", "--yes", "-v")
        lab.wait(lambda: is_running_postinst(linkless, "lab-slow"), "linkless installs", 300)
        linkless.cut()
        cut_at = time.monotonic()
        lab.wait(lambda: is_running_postinst(stopped, "lab-slow"), "stopped installs", 300)
        stopped.fault("ssh-stop", "20")
        time.sleep(max(0.0, cut_at + 60 - time.monotonic()))  # the link is dead for 60 s: that is the promise
        linkless.mend()
        project.done = running.wait()
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def host_of(project: Project, name: str) -> LabHost:
    return next(host for host in project.hosts if host.name == name)


def check(project: Project, name: str, packages: tuple[str, ...]) -> Any:
    host, shown = host_of(project, name), project.host(name)
    assert shown["state"] == "succeeded", shown
    assert shown["attempts"] == 1
    assert_once(host, packages)
    assert_clean(host)
    return shown


def test_the_rollout_is_clean(project: Project) -> None:
    assert project.done is not None
    project.done.expect(0)
    assert "5/5 verified" in project.done.out
    project.audit()


def test_sshd_is_upgraded(project: Project) -> None:
    upgraded = host_of(project, "upgraded")
    names = sorted(name for name, _, _ in dpkg_changes(upgraded))
    assert "openssh-server" in names
    check(project, "upgraded", tuple(names))


def test_sshd_is_stopped_by_a_package_and_all_sessions_end(project: Project) -> None:
    check(project, "selfcut", ("lab-sshcut",))


def test_sshd_is_stopped_by_somebody(project: Project) -> None:
    check(project, "stopped", ("lab-slow",))


def test_the_link_is_dead_for_60_s(project: Project) -> None:
    check(project, "linkless", ("lab-slow",))


def test_the_others_are_not_held_up(project: Project) -> None:
    check(project, "untroubled", ("lab-service",))
    ends = {host["host"]: host["ended_at"] for host in project.status()["hosts"]}
    assert ends["untroubled"] < ends["linkless"]
