"""Sick hosts under the real apk of Alpine: what is pending, and each failure with its class and its words.

One scan and one rollout over sick hosts beside a healthy one; each test looks at one of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab, LabHost
from tests.lab.apk_repository import ARCH
from tests.lab.dresses.alpine import HASHES
from tests.proof.project import read_log
from tests.proof.test_suse_arch import POLICY, Sick, check

pytestmark = [
    pytest.mark.lab, pytest.mark.timeout(1800),
    pytest.mark.skipif(ARCH not in HASHES, reason=f"no image of Alpine is known for {ARCH}"),
]

NAMES = ("well", "locked", "broken", "pre", "badkey", "half", "full", "removes", "pinned")
OFFERED = {"broken": "lab-broken", "pre": "lab-broken-pre", "badkey": "lab-badkey", "half": "lab-half",
           "removes": "lab-removes"}
PENDING = ("lab-config", "lab-dependency", "lab-native", "lab-service")


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sick]:
    hosts = lab.up(names=NAMES, dress="alpine")
    project = Sick(tmp_path_factory.mktemp("alpine") / "project", lab, hosts)
    try:
        project.policy(POLICY)
        for name, package in OFFERED.items():
            project.named(name).fault("offer", package)
        project.named("pinned").fault("pin", "lab-native")
        project.updates = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
        project.run("plan", "--policy", "sick", "--out", "plan.json").expect(0)
        project.named("locked").fault("lock")
        project.named("full").fault("disk-full")
        project.named("well").fault("edit-config")
        project.done = project.run("apply", "plan.json", "--yes", "-v", patience=900)
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def installed(host: LabHost) -> dict[str, str]:
    rows = (line.rpartition("-")[0].rpartition("-")[::2] for line in host.exec("apk info -v").splitlines())
    return {name: version for name, version in rows if name.startswith("lab-")}


def test_it_is_alpines_own_user_space(project: Sick) -> None:
    host = project.named("well")
    assert "apk-tools 3." in host.exec("apk --version")
    assert host.exec("readlink -f /bin/sh") == "/bin/busybox\n"
    assert host.exec("command -v systemctl dpkg apt-get bash", check=False) == ""
    assert "Alpine Linux" in host.ssh("cat /etc/os-release")


def test_updates_equal_apks_own_list_on_every_host(project: Sick) -> None:
    assert {row["status"] for row in project.updates["hosts"]} == {"ok"}, project.updates["hosts"]
    for name in ("locked", "pinned"):  # the others have changed since, and "locked" may not
        host = project.named(name)
        if name == "locked":
            host.clear()
        rows = [line.split() for line in host.exec("apk update -q; apk version -l '<'").splitlines()[1:]]
        known = [(row[0].rsplit("-", 2)[0], "-".join(row[0].rsplit("-", 2)[1:]), row[2]) for row in rows]
        found = [(u["package"], u["installed"], u["candidate"]) for u in project.updates["updates"]
                 if u["host"] == name and u["state"] != "new" and (name == "locked" or u["approval"] == "held")]
        assert sorted(found) == sorted(known), "of pinned only what is held is still to come"
    [held] = [u for u in project.updates["updates"] if u["host"] == "pinned" and u["approval"] == "held"]
    assert (held["package"], held["candidate"]) == ("lab-native", "2.0-r0")
    assert {u["security"] for u in project.updates["updates"]} == {None}


def test_a_healthy_host_is_patched_once_and_its_world_stays(project: Sick) -> None:
    host = project.named("well")
    assert project.done is not None
    assert project.done.code == 5, str(project.done)
    assert project.host("well")["state"] == "succeeded", str(project.done)
    found = installed(host)
    assert {name: found[name] for name in (*PENDING, "lab-extra")} == dict.fromkeys((*PENDING, "lab-extra"), "2.0")
    assert len(read_log(host, "lab-service.post")) == 1
    assert "lab-extra" not in host.exec("cat /etc/apk/world"), "what is pulled in is not wanted by hand"
    assert not [x for x in host.exec("grep lab- /etc/apk/world").split() if set(x) & set("=<>~")], "nothing is pinned"
    assert (host.root / "etc/lab-config.conf.apk-new").exists()
    assert "lab-config.conf" in str(project.status()), "the administrator's file was kept, and that is told"
    left = host.exec("find / -xdev -name '*patchctl*' -o -xdev -path '/var/lib/patchctl/*'").split()
    assert sorted(left) == ["/var/lib/patchctl", "/var/lib/patchctl/fence"]


def test_a_held_lock_names_its_holder(project: Sick) -> None:
    check(project, "locked", code="apk-lock-held", cls="package-manager", words="flock[")
    assert installed(project.named("locked"))["lab-service"] == "1.0"


def test_an_install_script_that_fails(project: Sick) -> None:
    """apk puts the package in place all the same, and calls it broken: so does patchctl."""
    check(project, "broken", code="maintainer-script-failed", cls="patch", words="script of lab-broken 2.0-r0")
    found = project.run("scan", "--limit", "broken", "-o", "json").expect(0).json()["hosts"][0]
    assert found["broken"] == ["lab-broken (broken files or scripts: s)"]


def test_a_pre_script_that_fails(project: Sick) -> None:
    check(project, "pre", code="maintainer-script-failed", cls="patch", words="lab-broken-pre")


def test_a_package_signed_by_a_stranger_is_refused(project: Sick) -> None:
    check(project, "badkey", code="bad-signature", cls="repository", words="lab-badkey")
    assert installed(project.named("badkey"))["lab-service"] == "1.0"


def test_a_full_disk(project: Sick) -> None:
    check(project, "full", code="disk-full", cls="disk", words="free")


def test_a_removal_blocks_the_plan(project: Sick) -> None:
    assert "would remove lab-victim" in (project.folder / "plan.json").read_text()
    assert "lab-victim" in installed(project.named("removes"))


def test_repositories_that_do_not_answer_make_the_updates_unknown(project: Sick) -> None:
    project.named("badkey").fault("repo-down")
    found = project.run("scan", "--limit", "badkey", "-o", "json", "--refresh", "always").expect(0).json()["hosts"][0]
    assert (found["status"], found["pending"]) == ("partial", None)
    assert "failed" in found["error"]["message"]


def test_a_killed_apk_is_told_and_completed_by_a_retry_with_a_proven_reboot(project: Sick) -> None:
    check(project, "half", code="apk-interrupted", cls="package-manager", words="cut off")
    half = project.named("half")
    before = half.boot_id()
    name = project.policy(POLICY.replace("policy: sick", "policy: boot").replace("reboot: never", "reboot: always"))
    project.run("apply", "--policy", name, "--limit", "half", "--yes", "-v", patience=600).expect(0)
    assert installed(half)["lab-half"] == "2.0"
    assert len(read_log(half, "lab-half.post")) == 1
    assert half.boot_id() != before, "OpenRC has restarted it"
    assert project.host("half")["state"] == "succeeded"
