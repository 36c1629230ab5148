"""Taking back on real hosts: dpkg names the versions from before, each put back once; what cannot be is told.

One fleet: patched, taken back with a kill -9 in the middle, taken back again (nothing to do); then a rollout whose
hosts fail and go back by themselves, and one that cannot.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import TINY_PACKAGES, Project, assert_clean, read_log

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

AUTO = """
policy: auto
approve: [{package: lab-service}, {package: lab-broken}]
rings: [{name: only}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 0, host_time: 10m, retries: 0}
refresh: never
reboot: never
on_failure: rollback
health: [{command: "grep -q 1.0 /lib/systemd/system/lab-service.service || test ! -e /etc/sick"}]
"""


def versions(host: LabHost) -> list[str]:
    text = host.exec("dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\\n' | grep -v '^rc'")
    return sorted(text.splitlines())


def downgrades(host: LabHost) -> list[str]:
    """The packages that dpkg began to put back to 1.0, each as often as it did."""
    lines = [line.split() for line in read_log(host, "dpkg.log")]
    return sorted(w[3].split(":")[0] for w in lines if len(w) == 6 and w[2] == "upgrade" and w[5] == "1.0")


@pytest.fixture(scope="module")
def before() -> dict[str, list[str]]:
    return {}


@pytest.fixture(scope="module")
def project(
    lab: Lab, tmp_path_factory: pytest.TempPathFactory, before: dict[str, list[str]]
) -> Iterator[Project]:
    hosts = lab.up(names=("back1", "back2", "back3"))
    project = Project(tmp_path_factory.mktemp("back") / "project", lab, hosts)
    before.update({host.name: versions(host) for host in hosts})
    hosts[0].fault("edit-conffile")
    try:
        project.done = project.run("apply", "--policy", "tiny", "--yes", "-o", "json").expect(0)
        yield project
    finally:
        project.close()
        lab.down(*hosts)


def test_the_plan_says_from_where_every_earlier_version_would_come(project: Project) -> None:
    assert project.done is not None
    for host in project.done.json()["hosts"]:
        way = host["rollback"]
        assert (way["feasible"], way["reason"], way["removals"]) == (True, "", ["lab-extra"])
        assert {(c["package"], c["to"], c["source"]) for c in way["changes"]} == {
            (name, "1.0", "listed by the host's repositories") for name in TINY_PACKAGES if name != "lab-extra"
        }


def test_check_shows_what_would_be_taken_back_and_removed_and_does_nothing(
    project: Project, before: dict[str, list[str]]
) -> None:
    shown = project.run("rollback", "--check").expect(0).out
    assert "lab-conffile 2.0 -> 1.0" in shown
    assert "lab-extra" in shown.partition("REMOVED")[2]
    assert [versions(host) == before[host.name] for host in project.hosts] == [False, False, False]
    assert len(project.status()["hosts"]) == 3


def test_killed_in_the_middle_it_is_resumed_and_every_host_is_as_before(
    project: Project, before: dict[str, list[str]]
) -> None:
    # What somebody installed since must not be touched: this host is left alone, and counted.
    other = project.hosts[2]
    other.exec("dpkg -r --force-depends lab-service")
    refused = project.run("rollback", "--yes")
    assert refused.code == 6, refused
    assert "changed 1/3, limit 0" in refused.err
    assert "lab-service is not installed, the rollout had 2.0" in refused.out
    killed = project.run(
        "rollback", "--yes", "--host", "back1", "--host", "back2", env={"PATCHCTL_FAILPOINT": "start.submit.after"}
    )
    assert killed.code == -signal.SIGKILL, killed
    done = project.run("rollout", "resume", "-v").expect(0)
    document = project.status()
    assert document["undoes"], done
    assert {(h["state"], h["counts"], h["attempts"]) for h in document["hosts"]} == {("rolled-back", "", 1)}, done
    for host in project.hosts[:2]:
        assert versions(host) == before[host.name]
        assert downgrades(host) == sorted(name for name in TINY_PACKAGES if name != "lab-extra")
        assert_clean(host)
    first = project.status(document["undoes"])
    assert [(h["host"], h["state"]) for h in first["hosts"]] == [
        ("back1", "rolled-back"), ("back2", "rolled-back"), ("back3", "succeeded"),
    ]
    kept = next(host for host in document["hosts"] if host["host"] == "back1")["conffiles"]
    assert kept == ["/etc/lab-conffile.conf"]
    assert "rolled back by" in project.run("history", "back1").expect(0).out
    project.audit()


def test_taken_back_once_more_there_is_nothing_to_do(project: Project) -> None:
    done = project.run("rollback", project.status()["undoes"], "--yes", "--host", "back1", "--host", "back2").expect(0)
    assert "Nothing to change" in done.out
    for host in project.hosts[:2]:
        assert len(downgrades(host)) == 3


def test_failed_hosts_go_back_by_themselves_and_keep_their_diagnosis(
    project: Project, before: dict[str, list[str]]
) -> None:
    """back1: a broken postinst; back2: unhealthy with 2.0, healthy with 1.0."""
    one, two = project.hosts[:2]
    one.fault("offer", "lab-broken")
    two.exec("touch /etc/sick")
    name = project.policy(AUTO)
    done = project.run("apply", "--policy", name, "--yes", "--limit", "back1:back2", "-v")
    assert done.code == 5, done
    document = project.status()
    hosts = {host["host"]: host for host in document["hosts"]}
    assert {host["state"] for host in hosts.values()} == {"rolled-back"}, done
    assert hosts["back1"]["diagnosis"]["signature"] == "maintainer-script-failed"
    assert hosts["back2"]["diagnosis"]["signature"] == "health-regressed"
    assert {(host["counts"], host["attempts"]) for host in hosts.values()} == {("errors", 2)}
    assert "rolled back, the earlier versions are in place" in done.out
    for host in (one, two):
        assert versions(host) == before[host.name]
        assert_clean(host)


def test_what_cannot_be_restored_is_said_before_and_at_the_failure(lab: Lab, project: Project) -> None:
    host: LabHost = project.hosts[0]
    pool = lab.repository.folder / "lab"
    assert pool.is_dir()
    hidden: Sequence[str] = ("lab-broken",)
    _forget(project, host, hidden)
    done = project.run("apply", "--policy", "auto", "--yes", "--limit", "back1", "-v")
    assert done.code == 5, done
    assert "back1 cannot be rolled back if it fails: lab-broken 1.0: not listed" in done.err
    (shown,) = project.status()["hosts"]
    assert shown["state"] == "failed"
    assert "cannot be rolled back: lab-broken 1.0: not listed" in shown["message"]
    assert shown["rollback"]["feasible"] is False


def _forget(project: Project, host: LabHost, packages: Sequence[str]) -> None:
    """Let the earlier versions be gone: from the host's lists and cache, and from the controller."""
    for package in packages:
        host.exec(
            "for f in /var/lib/apt/lists/*_Packages; do awk -v RS= -v ORS='\\n\\n' "
            f"'!(/^Package: {package}\\n/ && /\\nVersion: 1.0\\n/)' \"$f\" >/tmp/list && cat /tmp/list >\"$f\"; done; "
            f"rm -f /var/cache/apt/archives/{package}_1.0_*.deb /var/cache/apt/*.bin"
        )
    index = project.folder / ".patchctl/artefacts/index.jsonl"
    lines = index.read_text().splitlines()
    kept = [line for line in lines if not any(f'"{package}"' in line for package in packages)]
    index.write_text("".join(f"{line}\n" for line in kept))
