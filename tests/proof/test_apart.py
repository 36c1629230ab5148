"""Hosts that are not like the plan says: vetoed, another controller's, changed, with held packages and own conffiles.

One plan over all of them, made while they were alike; each test looks at one host after the one `apply`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import TINY_PACKAGES, Project, assert_clean, assert_once, dpkg_changes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

NAMES = ("plain", "vetoed", "foreign", "changed", "edited", "heldback")
STRANGER = "22222222-2222-4222-8222-222222222222"
POLICY = """
policy: apart
approve: [{package: "lab-*"}]
rings: [{name: canary, hosts: plain}, {name: rest}]
limits: {concurrency: 100%, errors: 50%, unreachable: 0, changed: 50%, host_time: 10m, retries: 0}
refresh: never
reboot: if_required
on_failure: continue
"""


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    hosts = lab.up(names=NAMES)
    project = Project(tmp_path_factory.mktemp("apart") / "project", lab, hosts)
    _, vetoed, foreign, changed, edited, heldback = hosts
    try:
        project.policy(POLICY)
        edited.fault("edit-conffile")
        heldback.fault("hold", "lab-conffile")
        project.run("plan", "--policy", "apart", "--out", "plan.json").expect(0)
        vetoed.fault("veto", "no changes before the audit")
        foreign.fault("fence", STRANGER, "3", "9")
        changed.exec("apt-get -q -y install lab-service && rm -f /var/log/dpkg.log /var/log/apt/history.log")
        project.done = project.run("apply", "plan.json", "--yes", "-v")
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def named(project: Project, name: str) -> LabHost:
    return next(host for host in project.hosts if host.name == name)


def shown(project: Project, name: str, state: str) -> Any:
    found = project.host(name)
    assert found["state"] == state, (found, str(project.done))
    return found


def summary_line(project: Project, name: str) -> str:
    assert project.done is not None
    return next((line for line in project.done.out.splitlines() if line.split()[1:2] == [name]), project.done.out)


def test_the_exit_code_is_that_of_the_gravest_host(project: Project) -> None:
    assert project.done is not None
    assert project.done.code == 5, str(project.done)  # foreign failed; vetoed and changed alone would give 3
    shown(project, "plain", "succeeded")
    assert_once(named(project, "plain"), TINY_PACKAGES)
    assert_clean(named(project, "plain"))
    project.audit()


def test_a_vetoed_host_is_frozen_and_the_owner_is_quoted(project: Project) -> None:
    assert "no changes before the audit" in shown(project, "vetoed", "frozen")["message"]
    assert summary_line(project, "vetoed").startswith("FROZEN")
    assert dpkg_changes(named(project, "vetoed")) == []


def test_a_host_of_another_controller_is_refused_naming_it(project: Project) -> None:
    found = shown(project, "foreign", "failed")
    assert found["error"]["code"] == "fenced", found
    assert found["diagnosis"]["class"] == "policy"
    assert STRANGER in str(found["error"]) + found["message"], found
    assert dpkg_changes(named(project, "foreign")) == []
    assert STRANGER in (named(project, "foreign").root / "var/lib/patchctl/fence").read_text()


def test_a_host_that_changed_since_the_plan_is_skipped_and_counted(project: Project) -> None:
    found = shown(project, "changed", "skipped")
    assert "lab-service" in found["message"], found
    assert "2.0" in found["message"], found
    limits = {limit["name"]: limit["count"] for limit in project.status()["limits"]}
    assert limits["changed"] == 1
    assert project.done is not None
    assert "changed 1/6, limit 3" in project.done.out
    assert dpkg_changes(named(project, "changed")) == []


def test_a_changed_configuration_file_is_kept_and_reported(project: Project) -> None:
    found = shown(project, "edited", "succeeded")
    assert found["conffiles"] == ["/etc/lab-conffile.conf"], found
    text = (named(project, "edited").root / "etc/lab-conffile.conf").read_text()
    assert "# changed by the administrator" in text
    assert "answer = 1" in text
    (page,) = (project.folder / "reports").rglob("*.html")
    assert "/etc/lab-conffile.conf" in page.read_text()


def test_a_held_package_stays_where_it_is(project: Project) -> None:
    shown(project, "heldback", "succeeded")
    names = sorted(name for name, _, _ in dpkg_changes(named(project, "heldback")))
    assert names == sorted(set(TINY_PACKAGES) - {"lab-conffile"})
    assert "lab-conffile" in named(project, "heldback").exec("apt-mark showhold")


def test_a_version_that_vanished_comes_from_the_controllers_cache(
    lab: Lab, fleet: Callable[[int], Project]
) -> None:
    """The first ring is patched, its version leaves the mirror, a newer one comes; the second ring gets the first's."""
    project = fleet(2)
    first, second = project.hosts
    name = project.policy(
        f"policy: vanishing\napprove: [{{package: lab-service}}]\nrefresh: never\nreboot: never\n"
        f"rings: [{{name: canary, hosts: {first.name}}}, {{name: rest, approval: operator}}]\n"
        "limits: {concurrency: 100%}\n")
    project.run("plan", "--policy", name, "--out", "plan.json").expect(0)
    project.start("apply", "plan.json", "--yes", "-v")
    project.wait_status(lambda status: status["rings"][1]["gate"]["asked_at"] is not None, "it waits for approval")
    package = lab.repository.folder / "lab/pool/lab-service_2.0_all.deb"
    kept = package.read_bytes()
    lab.repository.withdraw(package.name)
    try:
        second.exec("rm -rf /var/lib/apt/lists/*_lab_dists_*; apt-get -q update")
        assert "lab-service" not in [row[0] for row in second.upgradable()]
        project.run("rollout", "approve", "--reason", "the canary is fine").expect(0)
        project.running[1].wait().expect(0)
    finally:
        copy = project.folder / package.name
        copy.write_bytes(kept)
        lab.repository.publish(copy)
    for host in project.hosts:
        assert_once(host, ("lab-service",))
    assert dpkg_changes(second) == [("lab-service", "1.0", "2.0")]
