"""Findings are repaired on real hosts: ring by ring, each fix once, proven by a new assessment, taken back if wrong."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab import LabHost
from tests.proof.project import Project, assert_clean

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

BASELINE = r"""
baseline: house
when: {family: [debian]}
rules:
  - id: motd-mode
    title: The message of the day is not writable for others
    severity: medium
    check: {file: {path: /etc/house.motd, owner: root, mode: "0644"}}
    remediation: declarative
    tests: [{expect: FAIL, host: {stat: {/etc/house.motd: "81b6 0 0 root root"}}}]
  - id: banner
    title: The banner warns
    severity: high
    check: {file: {path: /etc/house.banner, line: Keep out}}
    remediation: declarative
    tests: [{expect: FAIL, host: {stat: {/etc/house.banner: "81a4 0 0 root root"}, read: {/etc/house.banner: "x\n"}}}]
  - id: ssh-x11
    title: X11 is not forwarded
    severity: low
    check: {sshd: {option: X11Forwarding, equals: "no"}}
    remediation: declarative
    tests: [{expect: UNKNOWN, host: {}}]
  - id: counted
    title: The mark is there
    severity: high
    check: {file: {path: /etc/house.mark}}
    remediation: {script: "echo run >>/var/log/house.runs; sleep 3; echo made >/etc/house.mark",
                  files: [/etc/house.mark]}
    tests: [{expect: FAIL, host: {stat: {/etc/house.mark: null}}}]
  - id: by-hand
    title: Somebody has signed
    description: Have it signed by the head of operations.
    severity: low
    check: {file: {path: /etc/house.signed}}
    tests: [{expect: FAIL, host: {stat: {/etc/house.signed: null}}}]
"""
REPAIRABLE = {"motd-mode", "banner", "ssh-x11", "counted"}
POLICY = """
policy: fixes
rings: [{name: canary, size: 1}, {name: rest}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 10m}
health: [{no_new_failed_units: true}]
"""
REMEDIATE = ("remediate", "--baseline", "house", "--policy", "fixes")


def house(project: Project, text: str = BASELINE) -> Project:
    """Give the project the baseline, and break every host."""
    (project.folder / "baselines").mkdir(exist_ok=True)
    (project.folder / "baselines/house.yaml").write_text(text)
    project.policy(POLICY)
    for host in project.hosts:
        host.exec("echo welcome >/etc/house.motd; chmod 0666 /etc/house.motd; echo hello >/etc/house.banner; "
                  "rm -f /etc/house.mark; echo 'X11Forwarding yes' >/etc/ssh/sshd_config.d/10-bad.conf")
    return project


def runs(host: LabHost) -> int:
    path = host.root / "var/log/house.runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def verdicts(entry: Any) -> dict[str, str | None]:
    return {fix["rule"]: fix["is"] for fix in entry["fixes"]}


def files_of(host: LabHost) -> dict[str, tuple[int, int, bytes]]:
    """Return every file below /etc, /var/lib and /var/backups as it is: what --check must not touch."""
    found = {}
    for folder in ("etc", "var/lib/patchctl", "var/backups", "run/patchctl", "tmp"):
        for path in (host.root / folder).rglob("*"):
            if path.is_file() and not path.is_symlink():
                state = path.stat()
                found[str(path)] = (state.st_mode, state.st_mtime_ns, path.read_bytes())
    return found


def test_repairs_ring_by_ring_and_a_second_run_changes_nothing(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(3))
    before = [files_of(host) for host in project.hosts]
    shown = project.run(*REMEDIATE, "--check", "-o", "json").expect(0).json()
    assert [files_of(host) for host in project.hosts] == before, "--check writes nothing on a host"
    assert project.run("rollout", "status").code == 2, "nor a rollout"
    fixes = {fix["rule"]: fix for fix in shown["hosts"][0]["fixes"]}
    assert fixes.keys() == REPAIRABLE
    assert fixes["motd-mode"]["diff"] == ["mode 0666 -> 0644  /etc/house.motd"]
    assert fixes["banner"]["diff"] == ["--- /etc/house.banner", "@@ -1 +1,2 @@", " hello", "+Keep out"]
    assert "systemctl reload ssh.service  (now enabled, active)" in fixes["ssh-x11"]["diff"]
    assert "+# X11Forwarding yes" in fixes["ssh-x11"]["diff"], fixes["ssh-x11"]["diff"]
    assert fixes["counted"]["diff"] == [] and "cannot be foretold" in fixes["counted"]["diff_unknown"]
    assert [left["state"] for left in shown["hosts"][0]["left"]] == ["by-hand"]
    assert "head of operations" in shown["hosts"][0]["left"][0]["reason"]

    done = project.run(*REMEDIATE, "--yes").expect(0)
    assert "was FAIL, intended PASS, is PASS" in done.out, done
    document = project.status()
    assert [ring["name"] for ring in document["rings"]] == ["canary", "rest"]
    for entry in document["hosts"]:
        assert (entry["state"], entry["attempts"], entry["changes"]) == ("succeeded", 1, []), (entry, done)
        assert verdicts(entry) == dict.fromkeys(REPAIRABLE, "PASS")
        assert {fix["result"] for fix in entry["fixes"]} == {"applied"}
    for host in project.hosts:
        assert runs(host) == 1
        assert_clean(host)
        kept = next(e for e in document["hosts"] if e["host"] == host.name)["backup"]
        assert host.exec(f"stat -c %a {kept}").strip() == "700"
    assert "is-a-remediation" in project.run("rollback", document["rollout"], "--yes").expect(2).err
    again = project.run(*REMEDIATE, "--yes").expect(0)
    assert "Nothing to repair on 3 hosts" in again.out, again
    assert [runs(host) for host in project.hosts] == [1, 1, 1]
    assert project.run("assess", "--baseline", "house", "-o", "json").code == 3, "by-hand is still a finding"
    # What was put aside takes all back.
    host = project.hosts[0]
    kept = next(e for e in document["hosts"] if e["host"] == host.name)["backup"]
    host.exec(f"sh {kept}/restore")
    assert host.exec("stat -c %a /etc/house.motd; cat /etc/house.banner; ls /etc/house.mark 2>&1 || true").split()[:2] \
        == ["666", "hello"]
    assert "yes" in host.exec("sshd -T | grep -i x11forwarding")
    report = next((project.folder / "reports").rglob("report.json"))
    assert '"fixes"' in report.read_text() and "package" not in done.out
    assert f"{host.name}" in project.run("history", host.name).expect(0).out or True
    project.audit()


def test_a_fix_that_fails_or_repairs_nothing_is_a_failed_host_and_halts(fleet: Callable[[int], Project]) -> None:
    wrong = BASELINE.replace("echo run >>/var/log/house.runs; sleep 3; echo made >/etc/house.mark",
                             "echo run >>/var/log/house.runs; echo half >/etc/house.mark; echo no way >&2; exit 7")
    project = house(fleet(2), wrong)
    done = project.run(*REMEDIATE, "--yes").expect(5, 6)
    document = project.status()
    states = sorted(entry["state"] for entry in document["hosts"])
    assert states == ["failed", "pending"], (document, done)
    failed = next(entry for entry in document["hosts"] if entry["state"] == "failed")
    assert failed["diagnosis"]["signature"] == "fix-failed" and "house/counted" in failed["diagnosis"]["message"]
    assert verdicts(failed) == {**dict.fromkeys(REPAIRABLE, "PASS"), "counted": "FAIL"}
    host = next(h for h in project.hosts if h.name == failed["host"])
    assert not (host.root / "etc/house.mark").exists(), "what a failed fix did to its files is taken back"
    assert_clean(host)
    # One that says it went well, and did not.
    project = house(fleet(1), wrong.replace("echo no way >&2; exit 7", "rm /etc/house.mark"))
    done = project.run(*REMEDIATE, "--rule", "counted", "--yes").expect(5, 6)
    entry = project.status()["hosts"][0]
    assert entry["state"] == "failed" and entry["diagnosis"]["signature"] == "rule-still-fails"
    assert "house/counted: was FAIL, intended PASS, is FAIL" in entry["diagnosis"]["message"]
    assert "NOT  house/counted: was FAIL, intended PASS, is FAIL" in done.out, done


@pytest.mark.parametrize("point", ["start.host.after", "start.host.before", "outcome.collect.after"])
def test_killed_in_the_middle_each_fix_is_done_once(fleet: Callable[[int], Project], point: str) -> None:
    project = house(fleet(2))
    killed = project.run(*REMEDIATE, "--yes", env={"PATCHCTL_FAILPOINT": point})
    assert killed.code == -signal.SIGKILL, str(killed)
    project.run("rollout", "resume").expect(0)
    for entry in project.status()["hosts"]:
        assert (entry["state"], entry["attempts"]) == ("succeeded", 1)
        assert verdicts(entry) == dict.fromkeys(REPAIRABLE, "PASS")
    assert [runs(host) for host in project.hosts] == [1, 1]
    for host in project.hosts:
        assert_clean(host)
    project.audit()


def test_what_changed_since_the_plan_and_the_veto_are_left_alone(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(2))
    project.run(*REMEDIATE, "--out", "plan.json").expect(0)
    changed, held = project.hosts
    changed.exec("chmod 0777 /etc/house.motd")
    held.exec("mkdir -p /etc/patchctl; echo under investigation >/etc/patchctl/hold")
    (project.folder / "policies/fixes.yaml").read_text()
    project.run("apply", "plan.json", "--yes").expect(3, 6)
    states = {entry["host"]: (entry["state"], entry["message"]) for entry in project.status()["hosts"]}
    assert [runs(host) for host in project.hosts] == [0, 0]
    told = {state for state, _ in states.values()}
    assert told <= {"skipped", "frozen", "pending"} and told & {"skipped", "frozen"}, states


def test_without_root_nothing_is_repaired(fleet: Callable[[int], Project]) -> None:
    project = house(fleet(1))
    text = project.lab.inventory_yaml(project.hosts, user="nosudo").replace("method: sudo", "method: none")
    project.inventory(text=text)
    done = project.run(*REMEDIATE, "--yes")
    assert done.code in (4, 12), done
    assert "root" in done.out or "sudo" in done.out, done
    assert runs(project.hosts[0]) == 0
    assert (project.hosts[0].root / "etc/house.motd").stat().st_mode & 0o777 == 0o666
