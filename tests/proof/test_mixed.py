"""One policy over hosts of several package managers: what is pending is what each says itself, one rollout in rings
patches all of them, one report tells of it in the same terms, and again there is nothing to do.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean

pytestmark = [pytest.mark.lab, pytest.mark.timeout(2400)]

POLICY = """
policy: mixed
approve: [{package: "lab-*"}, {package: kernel-core}]
rings: [{name: canary, size: 1}, {name: rest}]
limits: {concurrency: 50%, errors: 0, unreachable: 0, changed: 0, host_time: 30m}
refresh: always
reboot: if_required
health: [{no_new_failed_units: true}]
"""
Row = tuple[str, str, str]


def zypper_says(host: LabHost) -> set[Row]:
    """Return (package, installed, candidate) of `zypper list-updates`, an epoch of 0 left out."""
    text = host.exec("zypper -n -q refresh >/dev/null; zypper -x -q --no-refresh list-updates")
    found = set()
    for own in re.findall(r"<update ([^>]*)>", text):
        word = dict(re.findall(r'([a-z-]+)="([^"]*)"', own))
        found.add((word["name"], word["edition-old"].removeprefix("0:"), word["edition"].removeprefix("0:")))
    return found


def pacman_says(host: LabHost) -> set[Row]:
    rows = [line.split() for line in host.exec("pacman -Sy >/dev/null; pacman -Qu", check=False).splitlines()]
    return {(row[0], row[1], row[3]) for row in rows}


def dnf_says(host: LabHost) -> set[Row]:
    """Return (package, installed, candidate) of `dnf check-update`, which names no installed versions: rpm does."""
    text = host.exec("rpm -qa --qf 'rpm %{NAME}.%{ARCH} %|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}\\n'; "
                     "dnf -q check-update", check=False)
    lines = [line.split() for line in text.splitlines()]
    old = {line[1]: line[2] for line in lines if line[:1] == ["rpm"]}
    new = {line[0]: line[1] for line in lines if len(line) == 3 and line[0] in old}
    return {(name.rpartition(".")[0], old[name].removeprefix("0:"), version) for name, version in new.items()}


def apt_says(host: LabHost) -> set[Row]:
    return {(package, old, new) for package, _, old, new in host.upgradable()}


SAYS: dict[str, Callable[[LabHost], set[Row]]] = {
    "leap": zypper_says, "arch": pacman_says, "alma": dnf_says, "": apt_says}


@pytest.fixture(scope="module", params=[
    pytest.param((2, 1), id="five-hosts"), pytest.param((5, 3), id="soak", marks=pytest.mark.soak)])
def project(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    suse, arch = request.param
    hosts = [*lab.up(suse, dress="leap"), *lab.up(arch, dress="arch"), *lab.up(1, dress="alma"), *lab.up(1)]
    project = Project(tmp_path_factory.mktemp("mixed") / "project", lab, hosts)
    project.policy(POLICY)
    try:
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def test_updates_are_what_each_package_manager_lists(project: Project) -> None:
    document = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
    for host in project.hosts:
        found = {(u["package"], u["installed"], u["candidate"]) for u in document["updates"] if u["host"] == host.name}
        assert found == SAYS[host.dress](host), host
        assert found, host
    by_dress = {host.name: host.dress for host in project.hosts}
    suse = [u for u in document["updates"] if by_dress[u["host"]] == "leap"]
    assert {u["package"] for u in suse if u["security"]} == {"kernel-core", "lab-native", "lab-service"}
    assert {"CVE-2026-10001", "CVE-2026-10002"} <= {cve for u in suse for cve in u["cves"]}
    assert {u["security"] for u in document["updates"] if by_dress[u["host"]] == "arch"} == {None}


def test_one_rollout_patches_all_of_them(project: Project) -> None:
    boots = {host.name: host.boot_id() for host in project.hosts}
    project.done = project.run("apply", "--policy", "mixed", "--yes", "-v", patience=1800).expect(0)
    assert f"COMPLETED  {len(project.hosts)}/{len(project.hosts)} verified" in project.done.out
    for host in project.hosts:
        assert {row for row in SAYS[host.dress](host) if row[0].startswith(("lab-", "kernel-"))} == set(), host
        assert_clean(host)
        if host.dress == "leap":
            assert host.boot_id() != boots[host.name], "a patch has reboot_suggested; packages alone ask for nothing"
            assert host.exec("rpm -q --qf '%{VERSION}' lab-epoch lab-extra") == "2.02.0"
            assert host.exec("wc -l < /var/log/lab-service.post") == "1\n"
        if host.dress == "arch":
            assert host.exec("pacman -Q lab-epoch lab-extra") == "lab-epoch 1:2.0-1\nlab-extra 2.0-1\n"
            assert host.exec("wc -l < /var/log/lab-service.post") == "1\n"
    project.audit()


def test_one_report_tells_of_all_of_them(project: Project) -> None:
    rows = [row for one in project.folder.glob("reports/**/*.csv") for row in csv.DictReader(one.open())]
    for host in project.hosts:
        changed = {row["package"]: row["after"] for row in rows if row["host"] == host.name}
        assert len(changed) >= 4, (host, changed)
        assert "lab-service" in changed
        assert "lab-extra" in changed, "what was pulled in is told too"


def test_again_there_is_nothing_to_do(project: Project) -> None:
    before = {host.name: marks(host) for host in project.hosts}
    done = project.run("apply", "--policy", "mixed", "--yes").expect(0)
    assert "Nothing to change" in done.out + done.err
    assert {host.name: marks(host) for host in project.hosts} == before


def marks(host: LabHost) -> Any:
    return host.exec("cat /var/log/lab-*.post* | sort")
