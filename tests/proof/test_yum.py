"""Real yum 3.4.3 and rpm 4.11.3 under the real command line: on lab hosts dressed as CentOS 7, whose only Python is 2.

Only where their sources are at hand (tests/lab/yum_tools.py): no distribution on the mirrors has them any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.lab.yum_tools import why_not
from tests.proof.project import Project, assert_clean
from tests.proof.rpm_hosts import check_update, offer, versions

pytestmark = [
    pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(3000), pytest.mark.skipif(bool(why_not()), reason=why_not()),
]

PLAIN = """
policy: plain
approve: [{package: "lab-*"}]
rings: [{name: canary, size: 1}, {name: rest}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 20m}
refresh: never
reboot: never
"""
SICK = """
policy: sick
approve: [{package: "*"}]
remove: [{package: lab-victim, reason: lab-removes replaces it}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 20m, retries: 1}
refresh: never
reboot: never
on_failure: continue
"""
CHANGED = {"lab-config", "lab-dependency", "lab-epoch", "lab-extra", "lab-native", "lab-plain", "lab-service"}
OFFERED = {"broken": "lab-broken", "half": "lab-half", "unsigned": "lab-unsigned", "badkey": "lab-badkey",
           "removes": "lab-removes", "post": "lab-broken-post", "conflict": "lab-conflict"}
CAUSES = {"broken": ("patch", "scriptlet-failed"), "unsigned": ("repository", "unsigned-package"),
          "badkey": ("repository", "unknown-key"), "conflict": ("patch", "file-conflict")}


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    hosts = lab.up(names=["old1", "old2"], dress="centos")
    project = Project(tmp_path_factory.mktemp("yum") / "project", lab, hosts)
    project.policy(PLAIN)
    try:
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def test_updates_equal_what_yum_says(project: Project) -> None:
    document = project.run("updates", "-o", "json").expect(0).json()
    for host in project.hosts:
        rows = [u for u in document["updates"] if u["host"] == host.name and u["state"] != "new"]
        assert {(u["package"], u["arch"], u["candidate"]) for u in rows} == check_update(host) != set()
    found = {u["package"]: u for u in document["updates"] if u["host"] == "old1"}
    service = found["lab-service"]
    assert (service["security"], service["severity"], service["advisories"], service["cves"]) == (
        True, "important", ["ALSA-2026:1001"], ["CVE-2026-10001", "CVE-2026-10002"])
    assert found["lab-plain"]["security"] is None, "its repository has no advisories: unknown, not no"


def test_a_scan_leaves_no_trace(project: Project) -> None:
    host = project.hosts[1]
    look = "find /etc /var/cache /var/lib /var/log/yum.log -newer /root/mark -type f | grep -v -e journal -e __db"
    host.exec("touch /root/mark; sleep 1.1")
    project.run("scan", "--limit", host.name, "--refresh", "always", "-o", "json").expect(0)
    assert host.exec(look, check=False) == ""


def test_a_rollout_installs_just_the_plan_and_names_the_transaction(project: Project) -> None:
    project.run("plan", "--policy", "plain", "--out", "plan.json").expect(0)
    done = project.run("apply", "plan.json", "--yes").expect(0)
    assert "COMPLETED  2/2 verified" in done.out, str(done)
    for host in project.hosts:
        assert {f"{name} 2.0" for name in CHANGED} <= versions(host)
        assert {package for package, _, _ in check_update(host)} == {"kernel"}
        assert len(host.exec("cat /var/log/lab-native.post").splitlines()) == 1
        assert project.host(host.name)["transactions"] == ["yum history info 1"]
        assert "lab-native" in host.exec("yum history info 1")
        assert_clean(host)
    project.audit()


def test_the_way_back_is_in_yums_history_too(project: Project) -> None:
    project.run("rollback", "--yes", "--reason", "proof").expect(0)
    for host in project.hosts:
        assert {f"{name} 1.0" for name in CHANGED - {"lab-extra"}} <= versions(host)
        assert "lab-extra" not in " ".join(versions(host)), "what was new is gone"
        shown = project.host(host.name)
        assert (shown["state"], shown["transactions"]) == (
            "rolled-back", ["yum history info 2", "yum history info 3"]), shown
        said = host.exec("yum history list 2>&1; yum history info 3 2>&1")
        assert "altered outside" not in said
        assert "Erase lab-extra" in said
        assert_clean(host)


def test_a_lock_that_comes_after_the_plan_stops_its_package(project: Project) -> None:
    host = project.hosts[0]
    project.run("plan", "--policy", "plain", "--limit", "old1", "--out", "plan.json").expect(0)
    host.fault("versionlock", "lab-plain")
    project.run("apply", "plan.json", "--yes").expect(5, 6)
    shown = project.host("old1")
    assert (shown["state"], shown["error"]["code"]) == ("failed", "held-since-the-plan"), shown
    assert "lab-plain 1.0" in versions(host)
    host.clear()


def test_a_kernel_is_installed_beside_and_asks_for_a_reboot(project: Project) -> None:
    project.policy(PLAIN.replace("lab-*", "kernel"))
    project.run("apply", "--policy", "plain", "--limit", "old1", "--yes").expect(3)
    host = project.hosts[0]
    assert len(host.exec("rpm -q kernel").split()) == 2, "the kernel before stays"
    shown = project.host("old1")
    assert (shown["state"], "updated since the boot: kernel" in shown["message"]) == ("reboot-pending", True), shown


@pytest.mark.parametrize("names", [("broken", "half", "unsigned", "removes"),
                                   ("badkey", "post", "conflict", "locked", "full")], ids=["one", "two"])
def test_failures_are_told_by_their_cause(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, names: tuple[str, ...]
) -> None:
    hosts = {host.name: host for host in lab.up(names=names, dress="centos")}
    project = Project(tmp_path_factory.mktemp("yumsick") / "project", lab, list(hosts.values()))
    try:
        project.policy(SICK)
        for name in names:
            if name in OFFERED:
                offer(hosts[name], OFFERED[name])
        planned = project.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
        assert ("lab-victim removed" in planned.out) == ("removes" in names)
        if "locked" in names:
            hosts["locked"].fault("lock", "packagekitd")
            hosts["locked"].exec("systemd-run -q --collect --on-active=20s systemctl stop lab-rpm-lock")
            hosts["full"].fault("disk-full")
        project.run("apply", "plan.json", "--yes", patience=1500).expect(5)
        for name in names:
            check_failure(hosts[name], project.host(name))
    finally:
        project.close()
        lab.down(*hosts.values())


def check_failure(host: LabHost, shown: dict[str, Any]) -> None:
    """Compare what is told of a sick host, and what it has, with what its fault does."""
    if host.name in CAUSES:
        assert (shown["diagnosis"]["class"], shown["diagnosis"]["signature"]) == CAUSES[host.name], shown
    if host.name == "broken":
        assert "lab-broken" in shown["diagnosis"]["evidence"], shown
    elif host.name == "full":
        assert shown["error"]["code"] == "disk-full", shown
    elif host.name == "post":
        assert shown["diagnosis"] is None or shown["diagnosis"]["signature"] == "scriptlet-failed", shown
        assert host.exec("rpm -q --qf '%{VERSION}' lab-broken-post") == "2.0"
    elif host.name == "half":
        assert (shown["attempts"], shown["state"]) == (2, "reboot-pending"), shown
        assert host.exec("rpm -q lab-half") == "lab-half-2.0-1.el9.noarch\n"
    elif host.name in ("locked", "removes"):
        assert shown["state"] == "reboot-pending", shown
    if host.name == "removes":
        assert host.exec("rpm -q lab-removes lab-victim", check=False).splitlines() == [
            "lab-removes-2.0-1.el9.noarch", "package lab-victim is not installed"], "planned, shown, and just that"
    if host.name in ("unsigned", "badkey", "conflict", "full"):
        assert "lab-config 1.0" in versions(host), "nothing of the set was installed"


def test_a_damaged_database_and_dead_repositories_are_unknown(project: Project) -> None:
    host = project.hosts[1]
    host.fault("repo-down")
    found = project.run("scan", "--limit", "old2", "-o", "json", "--refresh", "always").json()["hosts"][0]
    assert (found["status"], found["pending"]) == ("partial", None)
    assert "refreshing the metadata failed" in found["error"]["message"], found
    host.clear()
    host.fault("rpmdb-broken")
    found = project.run("scan", "--limit", "old2", "-o", "json").json()["hosts"][0]
    assert (found["status"], found["packages"], found["pending"]) == ("partial", None, None), found
    host.clear()
    assert project.run("scan", "--limit", "old2", "-o", "json").json()["hosts"][0]["packages"] > 20
