"""Sick hosts under the real dnf 4 and dnf 5: each fault with its class, its code and its words. One rollout over sick
hosts among healthy ones, and one host that has one fault after the other, looked at by scan.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(3000)]

NAMES = ("well", "locked", "badkey", "full", "post", "conflict", "odd")
OFFERED = {"badkey": "lab-badkey", "post": "lab-broken-post", "conflict": "lab-conflict", "well": "kernel-core"}
POLICY = """
policy: sick
approve: [{package: "*"}]
rings: [{name: canary, hosts: well}, {name: rest}]
limits: {concurrency: 100%, errors: 100%, unreachable: 100%, changed: 100%, host_time: 20m, retries: 0}
refresh: always
reboot: never
on_failure: continue
"""


@pytest.fixture(scope="module", params=["alma", "fedora"])
def dress(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def project(lab: Lab, dress: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    hosts = [*lab.up(names=NAMES[:4], dress=dress), *lab.up(names=NAMES[4:], dress=dress)]
    project = Project(tmp_path_factory.mktemp("dnfsick") / "project", lab, hosts)
    slow = "defaults:\n  timeouts: {connect: 60s, silence: 10m, total: 30m}\n"
    inventory = lab.inventory_yaml(hosts, user="ops").replace("defaults:\n", slow, 1)
    (project.folder / "inventories/lab.yaml").write_text(inventory)
    try:
        project.policy(POLICY)
        for name, package in OFFERED.items():
            named(project, name).fault("offer", package)
            named(project, name).exec("dnf -q -y makecache")
        named(project, "well").exec("sed -i s/installonly_limit=3/installonly_limit=2/ /etc/dnf/dnf.conf; "
                                    "dnf -q -y upgrade kernel-core-5.14.0-503.11.1.el9_5")
        limit = ",".join(NAMES[:-1])
        project.run("plan", "--policy", "sick", "--limit", limit, "--out", "plan.json").expect(0)
        named(project, "locked").fault("lock", "packagekitd")
        named(project, "full").fault("disk-full")
        project.done = project.run("apply", "plan.json", "--yes", "-v", patience=1500)
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def named(project: Project, name: str) -> LabHost:
    return next(host for host in project.hosts if host.name == name)


def check(project: Project, name: str, *, code: str, cls: str, words: str) -> None:
    shown = project.host(name)
    assert (shown["state"], shown["error"]["code"], shown["diagnosis"]["class"]) == ("failed", code, cls), shown
    assert words in shown["error"]["message"], shown


def scan(project: Project, *words: str) -> Any:
    return project.run("scan", "--limit", "odd", "-o", "json", *words).json()["hosts"][0]


def pending(project: Project) -> dict[str, Any]:
    done = project.run("updates", "--limit", "odd", "-o", "json", "--refresh", "always").expect(0)
    return {u["package"]: u for u in done.json()["updates"]}


def test_a_third_kernel_takes_the_place_of_the_oldest_and_that_is_no_removal(project: Project) -> None:
    assert project.done is not None
    assert project.done.code == 5, str(project.done)
    host = named(project, "well")
    assert project.host("well")["state"] == "succeeded", str(project.done)
    kernels = host.exec("rpm -q --qf '%{RELEASE}\\n' kernel-core").split()
    assert sorted(kernels) == ["503.11.1.el9_5", "570.12.1.el9_6"], "installonly_limit=2"
    assert_clean(host)


def test_a_held_lock_names_its_holder(project: Project) -> None:
    check(project, "locked", code="rpm-lock-held", cls="package-manager", words="packagekitd[")
    assert named(project, "locked").exec("rpm -q --qf '%{VERSION}' lab-service") == "1.0"


def test_a_package_signed_by_a_stranger_is_refused(project: Project) -> None:
    check(project, "badkey", code="unknown-key", cls="repository", words="lab-badkey")
    assert named(project, "badkey").exec("rpm -q --qf '%{VERSION}' lab-badkey") == "1.0"


def test_a_full_disk(project: Project) -> None:
    check(project, "full", code="disk-full", cls="disk", words="free")


def test_a_post_script_that_fails_is_told_and_the_host_is_judged_by_what_is_there(project: Project) -> None:
    shown = project.host("post")
    assert shown["diagnosis"] is None or shown["diagnosis"]["signature"] == "scriptlet-failed", shown
    assert named(project, "post").exec("rpm -q --qf '%{VERSION}' lab-broken-post") == "2.0"
    assert "rc 1" in shown["message"] or shown["state"] == "failed", shown


def test_a_file_of_two_packages(project: Project) -> None:
    check(project, "conflict", code="file-conflict", cls="patch", words="lab-service")


def test_a_module_stream_that_is_not_enabled_is_not_pending(project: Project, dress: str) -> None:
    if dress == "fedora":
        pytest.skip("Fedora has no modules any more")
    host = named(project, "odd")
    host.fault("offer", "lab-module")
    assert "lab-modular" not in pending(project), "no stream is enabled"
    host.exec("mkdir -p /etc/dnf/modules.d; printf '[lab-module]\\nname=lab-module\\nstream=1\\nprofiles=\\n"
              "state=enabled\\n' > /etc/dnf/modules.d/lab-module.module")
    found = pending(project)["lab-modular"]
    assert (found["candidate"], found["state"]) == ("1.1-1.el9", "upgradable"), "2.0 is of a stream that is not enabled"
    said = host.exec("dnf -q -y makecache; dnf -q check-update", check=False)
    assert "lab-modular.noarch" in said
    assert "1.1-1.el9" in said
    host.exec("rm /etc/dnf/modules.d/lab-module.module")
    host.clear()


def test_a_lock_holds_its_package_and_a_list_that_cannot_be_read_is_unknown(project: Project, dress: str) -> None:
    host = named(project, "odd")
    path = {"alma": "/etc/dnf/plugins/versionlock.list", "fedora": "/etc/dnf/versionlock.toml"}[dress]
    if dress == "fedora":
        host.exec("dnf -q -y versionlock add lab-native")
    else:
        host.fault("versionlock", "lab-native")
    found = pending(project)["lab-native"]
    assert (found["state"], "held by versionlock" in found["reason"]) == ("held", True)
    assert any("lab-native" in one for one in scan(project)["held"])
    host.exec(f"chmod 000 {path}")
    (project.folder / "inventories/lab.yaml").write_text(
        (project.folder / "inventories/lab.yaml").read_text().replace("user: ops", "user: guest"))
    try:
        seen = scan(project)
        assert seen["held"] is None, seen
        assert f"{path} cannot be read" in str(seen), seen
    finally:
        (project.folder / "inventories/lab.yaml").write_text(
            (project.folder / "inventories/lab.yaml").read_text().replace("user: guest", "user: ops"))
        host.exec(f"chmod 644 {path}; rm -f /etc/dnf/versionlock.toml")
        host.clear()


def test_two_versions_side_by_side_are_told(project: Project) -> None:
    host = named(project, "odd")
    host.exec("cd /root; dnf -q -y download lab-plain; rpm -i --force --nodeps lab-plain-2.0*.rpm")
    assert "lab-plain.noarch is installed as 1.0-1.el9 and 2.0-1.el9" in scan(project)["broken"]
    host.exec("rpm -e --nodeps lab-plain-1.0-1.el9")
    assert scan(project)["broken"] == []


def test_repositories_that_do_not_answer_make_the_updates_unknown(project: Project) -> None:
    host = named(project, "odd")
    host.fault("repo-down")
    found = scan(project, "--refresh", "always")
    assert (found["status"], found["pending"]) == ("partial", None)
    assert "refreshing the metadata failed" in found["error"]["message"], found
    host.clear()


def test_a_damaged_rpm_database_is_never_an_empty_one(project: Project) -> None:
    host = named(project, "odd")
    host.fault("rpmdb-broken")
    found = scan(project)
    assert (found["status"], found["packages"], found["pending"]) == ("partial", None, None), found
    assert "database" in found["error"]["message"], found
    host.clear()
    assert scan(project)["packages"] > 20
