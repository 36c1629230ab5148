"""Packages that are not like the others, under the real dnf 4 and dnf 5: another architecture than before, two newer
versions at once, weak dependencies, names wider than any column, a modular one; and a host that knows
no key yet, or gets a lock between its plan and its apply.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab, LabHost
from tests.lab.dresses.alma import ARCH, KEY, repo_file
from tests.lab.rpm_repository import Rpm, RpmRepository
from tests.proof.project import Project, assert_clean
from tests.proof.rpm_hosts import offer

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(3000)]

LONG = "lab-a-name-that-is-far-longer-than-any-column-of-any-terminal-would-ever-allow-a-package-to-have"
SOURCE = "odd-repository-with-a-name-of-some-length"
LATER = "2.0.20261126git0123456789abcdef0123456789abcdef"
POLICY = """
policy: odd
approve: [{package: "lab-*"}]
rings: [{name: all}]
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
    [host] = lab.up(names=["odd"], dress=dress)
    project = Project(tmp_path_factory.mktemp("odd") / "project", lab, [host])
    project.policy(POLICY)
    repository = odd(lab, dress)
    repository.add(
        Rpm("lab-native", "3.0", "3.el9"), Rpm("lab-config", "3.0", "1.el9", ARCH),
        Rpm("lab-plain", "2.5", "1.el9"), Rpm("lab-plain", "3.0", "1.el9"),
        Rpm("lab-epoch", "3.0", "1.el9", epoch=2, header="Recommends: lab-companion"), Rpm("lab-companion", "1.0"),
        Rpm(LONG, "1.0", "1.el9"))
    repository.index()
    source = repo_file(lab.wardrobe(dress).url(lab), ("odd",)).replace("[lab-odd]", f"[{SOURCE}]")
    (host.root / "etc/yum.repos.d/odd.repo").write_text(source)
    host.exec('dnf -q -y install "$1"', LONG)
    repository.add(Rpm(LONG, LATER, "1.el9"))
    repository.index()
    host.exec("dnf -q -y --refresh makecache")
    try:
        yield project
    finally:
        project.close()
        lab.down(host)


def odd(lab: Lab, dress: str) -> RpmRepository:
    wardrobe = lab.wardrobe(dress)
    return RpmRepository(wardrobe.served(lab) / "odd", wardrobe.home)


def publish(lab: Lab, dress: str, package: Rpm) -> None:
    repository = odd(lab, dress)
    repository.add(package)
    repository.index()


def installed(host: LabHost) -> set[str]:
    return set(host.exec("rpm -qa --qf '%{NAME} %{VERSION} %{ARCH}\n'").splitlines())


def pending(project: Project) -> list[dict[str, Any]]:
    document = project.run("updates", "-o", "json", "--refresh", "always").expect(0).json()
    return list(document["updates"])


def upgrades(host: LabHost) -> set[tuple[str, ...]]:
    """Return dnf's own list: (package, arch, version). check-update cuts or breaks rows wider than 80 columns."""
    said = host.exec("dnf -q repoquery --upgrades --latest-limit=1 --qf '%{name} %{arch} %{evr}\n'")
    return {(*words[:2], words[2].removeprefix("0:")) for line in said.splitlines() if (words := line.split())}


def test_the_list_is_dnfs_own_and_names_are_whole(project: Project) -> None:
    [host] = project.hosts
    updates = pending(project)
    rows = {(u["package"], u["arch"], u["candidate"]) for u in updates if u["state"] != "new"}
    assert rows == upgrades(host), "nothing is cut, and of two newer versions the newest counts"
    found = {u["package"]: u for u in updates if u["state"] in ("upgradable", "new")}
    assert found[LONG]["candidate"] == f"{LATER}-1.el9"
    assert (found["lab-native"]["installed"], found["lab-native"]["arch"]) == ("1.0-3.el9", "noarch")
    assert (found["lab-config"]["installed"], found["lab-config"]["arch"]) == ("1.0-1.el9", ARCH)


def test_all_of_it_is_installed_and_what_has_no_way_back_stays(project: Project) -> None:
    """A package that moved to another architecture was not new: taking the rollout back must not remove it."""
    [host] = project.hosts
    project.run("apply", "--policy", "odd", "--yes", "-v").expect(0)
    after = installed(host)
    assert {"lab-native 3.0 noarch", f"lab-config 3.0 {ARCH}", "lab-plain 3.0 noarch", "lab-epoch 3.0 noarch",
            "lab-companion 1.0 noarch", f"{LONG} {LATER} noarch"} <= after
    assert not {"lab-native 1.0", "lab-config 1.0"} & {line.rpartition(" ")[0] for line in after}
    assert project.host("odd")["rollback"]["feasible"] is False
    done = project.run("rollback", "--yes", "--reason", "proof", "-v")
    assert "lab-native 1.0-3.el9" in done.out + done.err, "it says why"
    assert installed(host) == after, done
    assert_clean(host)


def test_a_host_that_knows_no_key_yet_is_told_which_its_repositories_name(
    project: Project, dress: str, lab: Lab
) -> None:
    [host] = project.hosts
    publish(lab, dress, Rpm("lab-plain", "3.5", "1.el9"))
    host.exec("rpm -e $(rpm -qa gpg-pubkey)")
    done = project.run("apply", "--policy", "odd", "--yes", "-v").expect(5)
    shown = project.host("odd")
    assert (shown["error"]["code"], KEY in shown["error"]["message"]) == ("unknown-key", True), (shown, done)
    assert "lab-plain 3.0 noarch" in installed(host)
    host.exec("rpm --import \"$1\"", KEY)
    project.run("rollout", "retry", "--failed", "-v").expect(0)
    assert "lab-plain 3.5 noarch" in installed(host)


def test_a_lock_that_comes_after_the_plan_stops_its_package(project: Project, dress: str, lab: Lab) -> None:
    [host] = project.hosts
    publish(lab, dress, Rpm("lab-plain", "4.0", "1.el9"))
    project.run("plan", "--policy", "odd", "--out", "plan.json").expect(0)
    if dress == "fedora":
        host.exec("dnf -q -y versionlock add lab-plain-3.5")
    else:
        host.fault("versionlock", "lab-plain")
    done = project.run("apply", "plan.json", "--yes", "-v").expect(5)
    assert "lab-plain 3.5 noarch" in installed(host), done
    assert "held" in str(project.host("odd")["error"]) or dress == "fedora", done
    assert [u["state"] for u in pending(project) if u["package"] == "lab-plain"] == ["held"]
    host.exec("rm -f /etc/dnf/versionlock.toml")
    host.clear()


def test_a_modular_package_is_installed_by_its_file(project: Project, dress: str) -> None:
    if dress == "fedora":
        pytest.skip("Fedora has no modules any more")
    [host] = project.hosts
    offer(host, "lab-module")
    host.exec("dnf -q -y module enable lab-module:2")
    project.run("apply", "--policy", "odd", "--yes", "-v").expect(0)
    assert "lab-modular 2.0 noarch" in installed(host)
    assert "lab-module:2:" in host.exec("rpm -q --qf '%{MODULARITYLABEL}' lab-modular")
