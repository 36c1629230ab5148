"""The whole fleet in one rollout in rings: 10 dnf, 5 zypper, 3 pacman and 10 apt hosts, each with its own real package
manager, and 5 Windows peers. What is pending is what each package manager says itself; afterwards dpkg, rpm, pacman and
the peers' own MSI products have all of it; again there is nothing to do; one report tells of all in the same terms.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean
from tests.proof.test_mixed import SAYS, marks
from tests.winrm.fleet import NEW, OLD, WindowsFleet, windows_fleet

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(3600)]

FLEET = {"alma": ("rock", 10), "leap": ("suse", 5), "arch": ("arch", 3), "": ("deb", 10)}
WINDOWS = 5
POLICY = """
policy: whole
approve: [{package: "*"}]
rings:
  - {name: canary, hosts: "rock1:suse1:arch1:deb1:win1"}
  - {name: early, size: 25%}
  - {name: rest}
limits: {concurrency: 30%, errors: 0, unreachable: 0, changed: 0, host_time: 40m}
refresh: always
reboot: if_required
health: [{no_new_failed_units: true}]
"""
DATABASE = {  # lines `NAME VERSION` as the database itself has them; an epoch only where there is one
    "alma": "rpm -qa --qf '%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n'",
    "leap": "rpm -qa --qf '%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n'",
    "arch": "pacman -Q",
    "": "dpkg-query -W -f '${Package} ${Version}\\n'",
}


class Whole(Project):
    """The project, what its first `updates` said, and what the rollout changed."""

    updates: dict[str, Any]
    windows: WindowsFleet

    @property
    def names(self) -> list[str]:
        return [*(host.name for host in self.hosts), *self.windows.hosts]

    def pending(self, host: LabHost) -> list[dict[str, Any]]:
        return [u for u in self.updates["updates"] if u["host"] == host.name]


@pytest.fixture(scope="module")
def project(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    hosts: list[LabHost] = []
    for dress, (name, count) in FLEET.items():
        for first in range(1, count + 1, 3):  # few at a time: a small machine boots them so in time
            hosts += lab.up(names=[f"{name}{n}" for n in range(first, min(first + 3, count + 1))], dress=dress)
    project = Whole(tmp_path_factory.mktemp("whole") / "project", lab, hosts)
    # Dozens of hosts on a small machine: what is late here is not broken.
    slow = "defaults:\n  timeouts: {connect: 60s, silence: 10m, total: 30m}\n"
    inventory = lab.inventory_yaml(hosts, user="ops").replace("defaults:\n", slow, 1)
    (project.folder / "inventories/lab.yaml").write_text(inventory)
    try:
        with windows_fleet(project.folder.parent / "windows", WINDOWS) as project.windows:
            project.windows.write_inventory(project.folder / "inventories/windows.yaml")
            project.policy(POLICY + project.windows.offers())
            yield project
    finally:
        project.close()
        lab.down(*hosts)


def told(what: str, start: float) -> None:
    print(f"whole fleet: {what} in {time.monotonic() - start:.0f} s")


def test_updates_are_what_each_package_manager_lists(project: Whole) -> None:
    start = time.monotonic()
    project.updates = project.run("updates", "-o", "json", "--refresh", "always", patience=1800).expect(0).json()
    told(f"{len(project.updates['updates'])} updates of {len(project.hosts)} hosts", start)
    assert {host["status"] for host in project.updates["hosts"]} == {"ok"}
    equal = 0
    for host in project.hosts:
        found = {(u["package"], u["installed"], u["candidate"]) for u in project.pending(host) if u["state"] != "new"}
        assert found == SAYS[host.dress](host) != set(), host
        equal += len(found)
    print(f"whole fleet: {equal} updates, each as the package manager itself lists it; no other, and none missing")


def test_one_rollout_in_rings_patches_all_of_them(project: Whole) -> None:
    for name in project.windows.hosts:
        assert project.windows.installed(name) == {project.windows.product: OLD}
    start = time.monotonic()
    project.done = project.run("apply", "--policy", "whole", "--yes", "-v", patience=3000).expect(0)
    told("one apply", start)
    count = len(project.names)
    assert f"COMPLETED  {count}/{count} verified" in project.done.out
    status = project.status()
    assert {host["state"] for host in status["hosts"]} == {"succeeded"}
    assert {host["attempts"] for host in status["hosts"]} == {1}, "each was installed once"
    rings = {host["host"]: host["ring"] for host in status["hosts"]}
    assert sorted(name for name, ring in rings.items() if ring == "canary") == [
        "arch1", "deb1", "rock1", "suse1", "win1"]
    assert {"canary", "early", "rest"} == set(rings.values())
    project.audit()


def test_the_package_managers_databases_have_all_that_was_pending(project: Whole) -> None:
    proven = 0
    for host in project.hosts:
        installed = set(host.exec(DATABASE[host.dress]).splitlines())
        for update in project.pending(host):
            version = update["candidate"].removeprefix("0:")
            assert f"{update['package']} {version}" in installed, (host, update)
            proven += 1
        assert SAYS[host.dress](host) == set(), host
        assert_clean(host)
    product = project.windows.product
    for name in project.windows.hosts:
        assert project.windows.installed(name) == {product: NEW}, name
        assert project.windows.runs(name) == [f"{product} {OLD}", f"{product} {NEW}"], "installed once"
    project.windows.assert_quiet()
    print(f"whole fleet: {proven} versions proven from dpkg, rpm and pacman, {WINDOWS} from the peers' MSI products")


def test_one_report_tells_of_all_of_them_in_the_same_terms(project: Whole) -> None:
    rows = [row for one in project.folder.glob("reports/**/*.csv") for row in csv.DictReader(one.open())
            if row.get("package")]
    for host in project.hosts:
        told = {(row["package"], row["after"]) for row in rows if row["host"] == host.name}
        wanted = {(u["package"], u["candidate"]) for u in project.pending(host)}
        assert wanted <= told, (host, wanted - told)
    program = (project.windows.product, NEW)
    for name in project.windows.hosts:
        assert {(row["package"], row["after"]) for row in rows if row["host"] == name} == {program}, name
    assert len({tuple(row) for row in rows}) == 1, "the same columns for every host"


def test_again_there_is_nothing_to_do(project: Whole) -> None:
    start = time.monotonic()
    before = {host.name: (marks(host), host.exec(DATABASE[host.dress])) for host in project.hosts}
    done = project.run("apply", "--policy", "whole", "--yes", patience=1800).expect(0)
    told("apply again", start)
    assert "Nothing to change" in done.out + done.err
    assert {host.name: (marks(host), host.exec(DATABASE[host.dress])) for host in project.hosts} == before
    assert {len(project.windows.runs(name)) for name in project.windows.hosts} == {2}
