"""Real dnf and rpm under the real command line: on lab hosts dressed as AlmaLinux (dnf 4) and, in the soak, as Fedora
(dnf 5), beside a Debian host.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab
from tests.proof.project import Project, assert_clean
from tests.proof.rpm_hosts import check_update, offer, versions

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

MIXED = """
policy: mixed
approve: [{package: "lab-*"}, {package: kernel-core}]
rings: [{name: canary, size: 1}, {name: rest}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 20m}
refresh: never
reboot: never
"""
SICK = """
policy: sick
approve: [{package: lab-broken}, {package: lab-half}, {package: lab-unsigned}, {package: lab-config},
          {package: lab-removes}]
remove: [{package: lab-victim, reason: lab-removes replaces it}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 20m, retries: 1}
refresh: never
reboot: never
on_failure: continue
"""
NEW = {"kernel-core", "lab-config", "lab-dependency", "lab-epoch", "lab-extra", "lab-native", "lab-plain",
       "lab-service"}


DRESSES = ["alma", pytest.param("fedora", marks=pytest.mark.soak)]


@pytest.fixture(scope="module", params=DRESSES)
def project(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    hosts = [*lab.up(names=["rock1", "rock2"], dress=request.param), *lab.up(names=["deb1"])]
    project = Project(tmp_path_factory.mktemp("dnf") / "project", lab, hosts)
    project.policy(MIXED)
    try:
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def test_updates_equal_what_dnf_says(project: Project) -> None:
    document = project.run("updates", "-o", "json").expect(0).json()
    for host in project.hosts[:2]:
        rows = [u for u in document["updates"] if u["host"] == host.name and u["state"] != "new"]
        assert {(u["package"], u["arch"], u["candidate"]) for u in rows} == check_update(host) != set()
    service = next(u for u in document["updates"] if (u["host"], u["package"]) == ("rock1", "lab-service"))
    assert (service["security"], service["severity"], service["advisories"], service["cves"]) == (
        True, "important", ["ALSA-2026:1001"], ["CVE-2026-10001", "CVE-2026-10002"])
    plain = next(u for u in document["updates"] if (u["host"], u["package"]) == ("rock1", "lab-plain"))
    assert plain["security"] is None, "its repository has no advisories: unknown, not no"


def test_one_rollout_patches_dnf_and_apt_hosts(project: Project) -> None:
    project.run("plan", "--policy", "mixed", "--out", "plan.json").expect(0)
    done = project.run("apply", "plan.json", "--yes").expect(0)
    assert "COMPLETED  3/3 verified" in done.out, str(done)
    for host in project.hosts[:2]:
        assert check_update(host) == set()
        found = versions(host)
        assert {f"{name} 2.0" for name in NEW - {"kernel-core"}} <= found
        assert int(host.exec("rpm -q kernel-core | wc -l")) == 2, "the kernel before stays"
        assert len(host.exec("cat /var/log/lab-native.post").splitlines()) == 1
        assert_clean(host)
    project.audit()


def test_run_again_it_changes_nothing(project: Project) -> None:
    before = [host.exec("dnf history list | wc -l") for host in project.hosts[:2]]
    project.run("apply", "--policy", "mixed", "--yes").expect(0)
    assert [host.exec("dnf history list | wc -l") for host in project.hosts[:2]] == before


@pytest.mark.parametrize("dress", DRESSES)
def test_failures_are_told_by_their_cause_and_a_cut_transaction_is_mended(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, dress: str
) -> None:
    hosts = lab.up(names=["broken", "half", "unsigned", "removes", "locked"], dress=dress)
    project = Project(tmp_path_factory.mktemp("sick") / "project", lab, hosts)
    try:
        project.policy(SICK)
        for host in hosts[:4]:
            offer(host, f"lab-{host.name}")
        planned = project.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
        assert "lab-victim removed" in planned.out
        project.policy(SICK)
        hosts[4].fault("lock", "packagekitd")
        hosts[4].exec("systemd-run -q --collect --on-active=20s systemctl stop lab-rpm-lock")
        project.run("apply", "plan.json", "--yes").expect(5)
        shown: dict[str, Any] = {host.name: project.host(host.name) for host in hosts}
        assert (shown["broken"]["diagnosis"]["class"], shown["broken"]["diagnosis"]["signature"]) == (
            "patch", "scriptlet-failed"), shown["broken"]
        assert "lab-broken" in shown["broken"]["diagnosis"]["evidence"]
        assert (shown["unsigned"]["diagnosis"]["class"], shown["unsigned"]["diagnosis"]["signature"]) == (
            "repository", "unsigned-package"), shown["unsigned"]
        assert (shown["half"]["state"], shown["half"]["attempts"]) == ("succeeded", 2), shown["half"]
        assert hosts[1].exec("rpm -q lab-half") == "lab-half-2.0-1.el9.noarch\n"
        assert shown["locked"]["state"] == "succeeded", shown["locked"]
        assert shown["removes"]["state"] == "succeeded", shown["removes"]
        assert hosts[3].exec("rpm -q lab-removes lab-victim", check=False).splitlines() == [
            "lab-removes-2.0-1.el9.noarch", "package lab-victim is not installed"], "planned, shown, and just that"
        assert "lab-config 1.0" in versions(hosts[2]), "nothing of a set with an unsigned file was installed"
    finally:
        project.close()
        lab.down(*hosts)
