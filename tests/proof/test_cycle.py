"""The main promise on 20 real hosts: what is pending is what apt says, and `apply` in three rings leaves nothing."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, apt_runs, assert_clean, dpkg_changes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(3600)]

HOSTS = 20
POLICY = Path(__file__).resolve().parents[2] / "policies/everything-now.yaml"
Row = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def project(lab: Lab, module_hosts: Callable[[int], list[LabHost]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One project for the whole file: the tests below are the steps of one month, in this order."""
    hosts = module_hosts(HOSTS)
    project = Project(tmp_path_factory.mktemp("cycle") / "project", lab, hosts)
    shutil.copy(POLICY, project.folder / "policies")
    yield project
    project.close()


def vary(hosts: list[LabHost]) -> None:
    """Make the hosts differ: held, pinned, phased, kept back, foreign, broken offers, partly updated."""
    hosts[1].fault("hold", "procps")
    hosts[2].fault("pin", "hostname")
    hosts[3].fault("offer", "lab-phased")
    hosts[4].fault("offer", "lab-removes")
    hosts[5].fault("offer", "lab-broken")
    hosts[6].fault("hold", "lab-service")
    hosts[6].fault("hold", "openssh-client")  # keeps its siblings back
    hosts[7].fault("offer", "lab-reboot")
    hosts[7].fault("pin", "lab-service")
    hosts[8].fault("stale-lists")
    for host in hosts[9:12]:
        host.exec("apt-get -q -y install lab-service lab-dependency hostname")
    hosts[12].exec("apt-get -q -y remove lab-victim tcsh")
    hosts[13].exec("apt-mark -q auto busybox procps")




def test_updates_equal_apt_list_upgradable_on_20_of_20(project: Project) -> None:
    vary(project.hosts)
    document = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
    found: dict[str, list[Row]] = {host.name: [] for host in project.hosts}
    for update in document["updates"]:
        # What a preference keeps away apt does not list; we name it, with the reason.
        if update["state"] != "pinned":
            found[update["host"]].append(
                (update["package"], update["arch"], update["installed"], update["candidate"]))
    said = {}
    for host in project.hosts:
        host.exec("apt-get -q update")
        said[host.name] = host.upgradable()
    assert {name: sorted(rows) for name, rows in found.items()} == said
    assert len(said) == HOSTS
    assert len({tuple(rows) for rows in said.values()}) >= 7, "the hosts differ"
    states = {(u["host"], u["package"]): u["state"] for u in document["updates"]}
    names = [host.name for host in project.hosts]
    assert states[names[1], "procps"] == "held"
    assert states[names[2], "hostname"] == "pinned"
    assert states[names[3], "lab-phased"] == "phased"
    assert states[names[4], "lab-removes"] == "kept-back"


def test_apply_in_three_rings_leaves_nothing_pending(project: Project) -> None:
    for host in project.hosts:
        host.clear()
        host.exec("rm -f /var/log/dpkg.log /var/log/apt/history.log")
    wanted = {host.name: host.upgradable() for host in project.hosts}
    project.run("plan", "--policy", "everything-now", "--out", "plan.json").expect(0)
    done = project.run("apply", "plan.json", "--yes", patience=3000).expect(0)
    assert "COMPLETED  20/20 verified" in done.out, str(done)
    assert "exit 0" in done.out.splitlines()[0]
    status = project.status()
    sizes = [sum(len(wave) for wave in ring["waves"]) for ring in status["rings"]]
    assert (len(sizes), sizes[0], sum(sizes)) == (3, 1, HOSTS)
    finished = [ring["finished_at"] for ring in status["rings"]]
    opened = [ring["opened_at"] for ring in status["rings"]]
    assert finished[0] <= opened[1]
    assert finished[1] <= opened[2]
    assert {host["state"] for host in status["hosts"]} == {"succeeded"}
    for host in project.hosts:
        assert host.upgradable() == [], host
        planned = {(package, old, new) for package, _, old, new in wanted[host.name]}
        assert planned <= set(dpkg_changes(host)), host
        assert len(apt_runs(host)) == 1, host
        assert_clean(host)
    project.audit()


def test_the_report_names_every_version_change(project: Project) -> None:
    document = project.run("report", "-o", "json").expect(0).json()
    folder = project.folder / "reports" / document["rollout"] if "rollout" in document else None
    folders = [folder] if folder else list((project.folder / "reports").iterdir())
    page = next(one for where in folders if where for one in where.rglob("*.html")).read_text()
    rows = [row for where in folders if where for one in where.rglob("*.csv") for row in csv.DictReader(one.open())]
    assert rows, [str(path) for path in project.folder.glob("reports/**/*")]
    told = {(row["host"], row["package"], row["before"], row["after"]) for row in rows}
    text = json.dumps([json.loads(one.read_text()) for where in folders if where for one in where.rglob("*.json")])
    for host in project.hosts:
        changes = dpkg_changes(host)
        assert changes
        assert {(host.name, *change) for change in changes} == {row for row in told if row[0] == host.name}
        for package, _, after in changes:
            assert package in page
            assert after in text


def test_run_again_it_changes_nothing_and_exits_0(project: Project) -> None:
    before = {host.name: dpkg_changes(host) for host in project.hosts}
    assert "carried out already" in project.run("apply", "plan.json", "--yes").expect(0).err
    project.run("apply", "--policy", "everything-now", "--yes").expect(0)
    quiet = project.run("apply", "--policy", "everything-now", "--yes", "--quiet").expect(0)
    assert (quiet.out, quiet.err) == ("", "")
    assert {host.name: dpkg_changes(host) for host in project.hosts} == before
    document = project.run("updates", "-o", "json").expect(0).json()
    assert document["updates"] == []
    assert [host["pending"] for host in document["hosts"]] == [0] * HOSTS
