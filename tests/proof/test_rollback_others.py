"""Taking back with the real zypper, pacman and apk: their own databases say which versions are there before and after.

Each package manager has one fleet: patched, taken back with a kill -9 in the middle, taken back again (nothing to do);
a host that is unhealthy afterwards and goes back by itself; a removal that the policy allows, which has no way back.
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.registry import platform_named
from tests.lab import Lab, LabHost
from tests.lab.apk_repository import ARCH
from tests.lab.dresses.alpine import HASHES
from tests.proof.project import Project, read_log

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(1800)]

PACKAGES = ("lab-config", "lab-dependency", "lab-native", "lab-service")
"""What the rollout changes on every host; lab-extra comes along with lab-dependency 2.0."""
POLICY = """
policy: NAME
approve: [{package: "lab-*"}, {package: lab-removes}]
reject: [{package: lab-epoch, reason: not this month}, {package: lab-plain, reason: not this month}]
rings: [{name: only}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 0, host_time: 10m, retries: 0}
refresh: always
reboot: never
on_failure: FAILURE
health: [{command: 'test ! -e /etc/sick || test "$(QUERY)" = OLD'}]
"""


@dataclass(frozen=True)
class Manager:
    """What differs between the package managers. `listed` prints `NAME VERSION` of every package, from the database."""

    dress: str
    listed: str
    old: str
    source: str
    ready: str = "true"
    """sh text: how the earlier versions come to lie where they would on a host that has been in use."""


MANAGERS = (
    Manager("leap", "rpm -qa --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' | sort", "1.0-3.el9",
            "listed by the host's repositories"),
    Manager("arch", "pacman -Q | sort", "1.0-1", "in the host's package cache",
            "pacman -Sw --noconfirm base/lab-config base/lab-dependency base/lab-native base/lab-service"),
    Manager("alpine", "apk info -v | sed -E 's/-([0-9][^-]*-r[0-9]+)$/ \\1/' | sort", "1.0-r0",
            "listed by the host's repositories"),
)


class Fleet(Project):
    """The project, what is special about its hosts, and what was installed on each before."""

    manager: Manager
    before: dict[str, list[str]]

    def write(self, name: str, failure: str = "continue", more: str = "") -> str:
        query = f"{self.manager.listed} | sed -n \"s/^lab-native //p\"".replace("'", "''")
        text = POLICY.replace("NAME", name).replace("FAILURE", failure).replace("QUERY", query)
        return self.policy(text.replace("OLD", self.manager.old) + more)

    def versions(self, host: LabHost) -> list[str]:
        return host.exec(self.manager.listed).splitlines()


@pytest.fixture(scope="module", params=MANAGERS, ids=lambda manager: manager.dress)
def fleet(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    manager: Manager = request.param
    if manager.dress == "alpine" and ARCH not in HASHES:
        pytest.skip(f"no image of Alpine is known for {ARCH}")
    hosts = lab.up(names=[f"{manager.dress}{number}" for number in (1, 2, 3)], dress=manager.dress)
    fleet = Fleet(tmp_path_factory.mktemp(manager.dress) / "project", lab, hosts)
    fleet.manager = manager
    try:
        for host in hosts:
            host.exec(manager.ready)
        fleet.before = {host.name: fleet.versions(host) for host in hosts}
        hosts[0].fault("edit-config")
        fleet.write("monthly")
        fleet.done = fleet.run("apply", "--policy", "monthly", "--limit", f"{hosts[0].name},{hosts[1].name}", "--yes",
                               "-o", "json").expect(0)
        yield fleet
    finally:
        fleet.close()
        lab.down(*hosts)


def test_the_plan_says_from_where_every_earlier_version_would_come(fleet: Fleet) -> None:
    assert fleet.done is not None
    for host in fleet.done.json()["hosts"]:
        way = host["rollback"]
        assert (way["feasible"], way["reason"], way["removals"]) == (True, "", ["lab-extra"]), way
        # One host's rollout lets the controller keep the files: the other may name either place.
        assert {(c["package"], c["to"]) for c in way["changes"]} >= {("lab-native", fleet.manager.old)}, way
        assert {c["package"] for c in way["changes"]} >= set(PACKAGES), way
        assert {c["source"] for c in way["changes"]} <= {fleet.manager.source, "kept on the controller"}, way


def test_killed_in_the_middle_it_is_resumed_and_every_host_is_as_before(fleet: Fleet) -> None:
    one, two, _ = fleet.hosts
    assert fleet.versions(one) != fleet.before[one.name]
    assert "lab-native 1.0" not in "\n".join(fleet.versions(one))
    shown = fleet.run("rollback", "--check").expect(0).out
    assert "lab-extra" in shown.partition("REMOVED")[2], shown
    posts = {host.name: len(read_log(host, "lab-native.post")) for host in (one, two)}
    killed = fleet.run("rollback", "--yes", env={"PATCHCTL_FAILPOINT": "start.submit.after"})
    assert killed.code == -signal.SIGKILL, killed
    done = fleet.run("rollout", "resume", "-v").expect(0)
    document = fleet.status()
    assert {(h["state"], h["counts"], h["attempts"]) for h in document["hosts"]} == {("rolled-back", "", 1)}, done
    for host in (one, two):
        assert fleet.versions(host) == fleet.before[host.name]
        assert len(read_log(host, "lab-native.post")) == posts[host.name] + 1, "put back exactly once"
        left = host.exec("ls -A /var/lib/patchctl /var/lib/patchctl/runs 2>/dev/null", check=False).split()
        assert set(left) <= {"fence", "runs", "/var/lib/patchctl:", "/var/lib/patchctl/runs:"}, left
    assert "# changed by the administrator" in one.exec("cat /etc/lab-config.conf")
    fleet.audit()


def test_taken_back_once_more_there_is_nothing_to_do(fleet: Fleet) -> None:
    posts = len(read_log(fleet.hosts[0], "lab-native.post"))
    done = fleet.run("rollback", fleet.status()["undoes"], "--yes").expect(0)
    assert "Nothing to change" in done.out
    assert len(read_log(fleet.hosts[0], "lab-native.post")) == posts


def test_an_unhealthy_host_goes_back_by_itself_and_what_was_wanted_by_hand_stays_so(fleet: Fleet) -> None:
    host = fleet.hosts[2]
    world = host.exec("cat /etc/apk/world 2>/dev/null", check=False)
    host.exec("touch /etc/sick")
    done = fleet.run("apply", "--policy", fleet.write("auto", "rollback"), "--limit", host.name, "--yes", "-v")
    assert done.code == 5, done
    shown = fleet.host(host.name)
    assert (shown["state"], shown["counts"], shown["attempts"]) == ("rolled-back", "errors", 2), done
    assert shown["diagnosis"]["signature"] == "health-regressed"
    assert fleet.versions(host) == fleet.before[host.name]
    assert len(read_log(host, "lab-native.post")) == 2, "once there and once back"
    assert host.exec("cat /etc/apk/world 2>/dev/null", check=False) == world
    host.exec("rm /etc/sick")


def test_pacman_removes_nothing_in_conflict_that_the_plan_does_not_name(fleet: Fleet, lab: Lab) -> None:
    """Its question is answered with yes for every conflict alike, once a removal is planned at all."""
    if fleet.manager.dress != "arch":
        pytest.skip("about pacman alone")
    host, name = fleet.hosts[0], "lab-removes-2.0-1-any.pkg.tar.zst"
    folder = lab.wardrobe("arch").served(lab) / "lab-removes"
    host.exec("mkdir -p /root/stage")
    for suffix in ("", ".sig"):
        (host.root / f"root/stage/{name}{suffix}").write_bytes((folder / f"{name}{suffix}").read_bytes())
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change = Change("lab-removes", "any", "1.0-1", "2.0-1", sha256=digest)
    file = Artefact("lab-removes", "2.0-1", "any", digest, 1, name, "")
    said = host.exec(platform_named("pacman").install_script(
        InstallRequest((change,), (file,), ("lab-plain",), "/root/stage")), check=False)
    assert "patchctl: unplanned-removal lab-victim" in said
    assert fleet.versions(host) == fleet.before[host.name]


def test_a_removal_that_the_policy_allows_is_made_and_has_no_way_back(fleet: Fleet) -> None:
    host = fleet.hosts[2]
    host.fault("offer", "lab-removes")
    assert any(line.startswith("lab-victim ") for line in fleet.versions(host))
    blocked = fleet.run("plan", "--policy", "monthly", "--limit", host.name, "-o", "json").json()["hosts"][0]
    assert "lab-victim" in str(blocked), blocked
    assert not any(c["package"] == "lab-removes" for c in blocked["changes"]), blocked
    allowed = fleet.write("allowed", more="remove: [{package: lab-victim, reason: nobody needs it}]\n")
    done = fleet.run("apply", "--policy", allowed, "--limit", host.name, "--yes", "-v").expect(0)
    shown = fleet.host(host.name)
    assert shown["state"] == "succeeded", done
    assert shown["rollback"]["feasible"] is False
    assert "lab-victim" in shown["rollback"]["reason"], shown
    names = [line.split()[0] for line in fleet.versions(host)]
    assert "lab-victim" not in names
    assert "lab-removes" in names
    assert set(names) - {"lab-extra"} == {line.split()[0] for line in fleet.before[host.name]} - {"lab-victim"}
