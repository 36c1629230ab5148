"""What scan and updates say of a SUSE host is what the real zypper says: lists, locks, vendors, priorities, reboots.

One host; the repositories that make it hard are built here: another vendor, another architecture, a lower version from
a repository that counts more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.lab.rpm_repository import Rpm, RpmRepository
from tests.proof.project import Project

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

Row = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    [host] = lab.up(names=["suse"], dress="leap")
    project = Project(tmp_path_factory.mktemp("lists") / "project", lab, [host])
    wardrobe = lab.wardrobe("leap")
    other = RpmRepository(wardrobe.served(lab) / "other", wardrobe.home)
    other.add(Rpm("lab-plain", "3.0", "1.el9", header="Vendor: Somebody else"), Rpm("lab-native", "4.0", "1.el9"))
    other.index()
    first = RpmRepository(wardrobe.served(lab) / "first", wardrobe.home)
    first.add(Rpm("lab-service", "1.5", "1.el9"))
    first.index()
    for name, priority in (("other", 99), ("first", 10)):
        host.exec('printf "[%s]\\nname=%s\\nbaseurl=%s/%s\\nenabled=1\\npriority=%s\\ngpgcheck=1\\nrepo_gpgcheck=1\\n" '
                  '"$1" "$1" "$2" "$1" "$3" > "/etc/zypp/repos.d/$1.repo"', name, wardrobe.url(lab), str(priority))
    host.fault("addlock", "lab-config")
    host.exec("zypper -n refresh")
    try:
        yield project
    finally:
        project.close()
        lab.down(host)


def listed(host: LabHost, *options: str) -> set[Row]:
    """Return zypper's own list: (name, arch, installed, candidate)."""
    text = host.exec(f"zypper -x -n --no-refresh list-updates {' '.join(options)}")
    found = set()
    for line in re.findall(r"<update ([^>]*)>", text):
        own = dict(re.findall(r'([a-z-]+)="([^"]*)"', line))
        found.add((own["name"], own["arch"], own["edition-old"], own["edition"]))
    return found


def shown(project: Project) -> list[dict[str, Any]]:
    found = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
    assert [row["status"] for row in found["hosts"]] == ["ok"], found["hosts"]
    return [u for u in found["updates"] if u["state"] != "new"]


def rows(updates: list[dict[str, Any]], *states: str) -> set[Row]:
    return {(u["package"], u["arch"], u["installed"], u["candidate"]) for u in updates if u["state"] in states}


def test_the_list_is_zyppers_own(project: Project) -> None:
    [host] = project.hosts
    updates, whole = shown(project), listed(host, "--all")
    usable = listed(host)
    assert {row[0] for row in whole} >= {"lab-plain", "lab-service", "lab-native", "lab-config"}, whole
    assert rows(updates, "upgradable") == usable - {row for row in usable if row[0] == "lab-config"}
    assert rows(updates, "upgradable", "held", "kept-back") == whole | usable
    assert {row[0] for row in rows(updates, "held")} == {"lab-config"}
    assert not [u for u in updates if u["candidate"].startswith("0:")], "one form of versions everywhere"


def test_a_lock_of_a_pattern_or_of_one_repository_holds_nothing_else(project: Project) -> None:
    [host] = project.hosts
    locks = ("-t pattern lab-service", "-r lab-plain lab-plain")
    host.exec("; ".join(f"zypper -n addlock {lock}" for lock in locks))
    try:
        updates, both = shown(project), listed(host) | listed(host, "--all")
        assert project.run("scan", "-o", "json").json()["hosts"][0]["held"] == [
            "lab-config", "lab-plain (from lab-plain)", "pattern lab-service"]
    finally:
        host.exec("; ".join(f"zypper -n removelock {lock}" for lock in locks))
    states = {u["package"]: u["state"] for u in updates}
    assert (states["lab-plain"], states["lab-config"]) == ("held", "held")
    assert states["lab-service"] != "held", "a pattern is not the package of that name"
    assert rows(updates, "upgradable", "held", "kept-back") == both, "none is forgotten"


def test_patches_have_what_zypper_says_of_them(project: Project) -> None:
    [host] = project.hosts
    text = host.exec("zypper -x -n --no-refresh list-patches --with-optional")
    names = set(re.findall(r'<update [^>]*name="([^"]*)"[^>]*kind="patch"', text)) or set(
        re.findall(r'<update [^>]*kind="patch"[^>]*name="([^"]*)"', text)) or set(
        re.findall(r'name="(AL[BES]A-[^"]*)"', text))
    found = {name for u in shown(project) for name in u["advisories"]}
    assert found
    assert found <= names
    security = {u["package"] for u in shown(project) if u["security"]}
    assert {"lab-service", "lab-native", "kernel-core"} & security


@pytest.mark.parametrize(("command", "code"), [
    ("patch-check", 101), ("install nothing-has-this-name", 104), ("list-updates", 0), ("needs-rebooting", 0),
])
def test_zyppers_exit_codes_are_what_we_take_them_for(project: Project, command: str, code: int) -> None:
    [host] = project.hosts
    assert host.exec(f"zypper -n --no-refresh {command} >/dev/null 2>&1; echo $?", check=False) == f"{code}\n"


def test_a_reboot_is_needed_when_zypper_says_so(project: Project) -> None:
    [host] = project.hosts
    before = project.run("scan", "-o", "json").expect(0).json()["hosts"][0]
    host.exec(": > /run/reboot-needed")
    try:
        assert host.exec("zypper -q needs-rebooting >/dev/null; echo $?", check=False) == "102\n"
        after = project.run("scan", "-o", "json").expect(0).json()["hosts"][0]
    finally:
        host.exec("rm /run/reboot-needed")
    assert after["reboot_required"] is True
    assert set(after["reasons"]) - set(before["reasons"]) == {
        "asked for by what was installed (zypper needs-rebooting)"}


def test_services_with_deleted_files_are_those_of_zypper_ps(project: Project) -> None:
    [host] = project.hosts
    host.exec("cp /bin/sleep /usr/local/bin/lab-old; systemd-run -q --unit=lab-old /usr/local/bin/lab-old 1000; "
              "sleep 0.2; rm /usr/local/bin/lab-old")
    try:
        said = host.exec("zypper -n ps -s")
        found = project.run("scan", "-o", "json").expect(0).json()["hosts"][0]
    finally:
        host.exec("systemctl stop lab-old")
    assert "lab-old" in said
    assert any("lab-old" in str(one) for one in found["restarts"]), found["restarts"]
