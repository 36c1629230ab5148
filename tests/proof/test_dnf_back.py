"""The way back on real hosts with dnf 4 and dnf 5: the versions from before, what was new gone, and all of it in the
history of dnf itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project, assert_clean

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(1800)]

PLAIN = """
policy: plain
approve: [{package: "lab-*"}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 20m}
refresh: never
reboot: never
"""


def versions(host: LabHost) -> list[str]:
    return sorted(host.exec("rpm -qa --qf '%{NAME} %{EPOCH}:%{VERSION}-%{RELEASE}\\n'").splitlines())


def history(host: LabHost) -> list[list[str]]:
    """Return the words of each transaction in dnf's history, latest first."""
    rows = (line.replace("|", " ").split() for line in host.exec("dnf history list").splitlines())
    return [words for words in rows if words and words[0].isdigit()]


@pytest.fixture(scope="module", params=["alma", "fedora"])
def project(request: pytest.FixtureRequest, lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    hosts = lab.up(names=["back1", "back2"], dress=request.param)
    project = Project(tmp_path_factory.mktemp("dnfback") / "project", lab, hosts)
    project.policy(PLAIN)
    try:
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def test_back_to_the_versions_from_before_and_dnf_knows_of_it(project: Project) -> None:
    before = {host.name: versions(host) for host in project.hosts}
    first = {host.name: int(history(host)[0][0]) if history(host) else 0 for host in project.hosts}
    project.run("apply", "--policy", "plain", "--yes").expect(0)
    for host in project.hosts:
        assert versions(host) != before[host.name]
        number = first[host.name] + 1
        assert project.host(host.name)["transactions"] == [f"dnf history info {number}"]
        assert "lab-native-2.0-3.el9" in host.exec(f"dnf history info {number}").replace("-0:", "-")
    project.run("rollback", "--yes", "--reason", "proof").expect(0)
    for host in project.hosts:
        assert versions(host) == before[host.name], "lab-extra, which was new, is gone too"
        shown = project.host(host.name)
        numbers = range(first[host.name] + 2, int(history(host)[0][0]) + 1)
        assert len(numbers) == 2, "the downgrade, and the removal of what was new"
        assert (shown["state"], shown["transactions"]) == (
            "rolled-back", [f"dnf history info {number}" for number in numbers]), shown
        assert "lab-extra" in host.exec(f"dnf history info {numbers[-1]}")
        assert len(history(host)) == numbers[-1], "nothing besides is in it"
        assert_clean(host)
    done = project.run("rollback", project.status()["undoes"], "--yes").expect(0)
    assert "Nothing to change" in done.out
    project.audit()
