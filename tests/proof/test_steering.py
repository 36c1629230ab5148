"""Steering a rollout from the command line: stale plans, locks, Ctrl-C, detach, tick, approval, pause, abort."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

import pytest

from tests.lab import LabHost
from tests.proof.project import PATIENCE, TINY_PACKAGES, Project, Running, assert_clean, assert_once, dpkg_changes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]

SLOW = """
policy: slow
approve: [{package: lab-slow}, {package: lab-service}]
rings: [{name: canary, size: 1}, {name: rest}]
limits: {concurrency: 100%, errors: 0}
refresh: never
reboot: never
"""
SLOW_PACKAGES = ("lab-service", "lab-slow")


def slow_fleet(fleet: Callable[[int], Project], hosts: int, seconds: int = 8) -> Project:
    project = fleet(hosts)
    for host in project.hosts:
        host.fault("offer", "lab-slow")
        host.exec(f"echo {seconds} > /etc/lab-slow")
    project.policy(SLOW)
    return project


def installing(host: LabHost) -> Callable[[], bool]:
    return (host.root / "var/log/lab-slow.postinst").exists


def apply_until_installing(project: Project) -> Running:
    running = project.start("apply", "--policy", "slow", "--yes", "-v")
    host = project.hosts[0]
    project.lab.wait(lambda: installing(host)() or running.process.poll() is not None, "the install runs", PATIENCE)
    assert running.process.poll() is None, running.wait()
    return running


def check_patched(project: Project, packages: tuple[str, ...] = SLOW_PACKAGES) -> None:
    assert {host["state"] for host in project.status()["hosts"]} == {"succeeded"}
    for host in project.hosts:
        assert_once(host, packages)
        assert_clean(host)
    project.audit()


def test_ctrl_c_stops_starting_says_what_runs_and_resume_finishes(fleet: Callable[[int], Project]) -> None:
    project = slow_fleet(fleet, 2)
    running = apply_until_installing(project)
    running.send(signal.SIGINT)
    done = running.wait().expect(130)
    rollout = project.status()["rollout"]
    assert f"1 host is still at work ({project.hosts[0].name}) and will finish on its own" in done.err, str(done)
    assert f"patchctl rollout resume {rollout}" in done.err
    assert f"Next:   patchctl rollout resume {rollout}" in done.out
    assert "exit 130" in done.out.splitlines()[0]
    assert "Traceback" not in done.err
    assert dpkg_changes(project.hosts[1]) == []
    project.run("rollout", "resume", rollout).expect(0)
    check_patched(project)


def test_ctrl_c_while_it_still_looks_at_hosts_ends_at_once_and_changes_nothing(
    fleet: Callable[[int], Project]
) -> None:
    project = fleet(1)
    (host,) = project.hosts
    host.freeze()  # it accepts the connection and never answers
    try:
        running = project.start("apply", "--policy", "tiny", "--yes", "-v")
        project.lab.wait(lambda: f"{host.name} connecting" in running.err(), "it connects", PATIENCE)
        running.send(signal.SIGINT)
        done = running.wait(60).expect(130)
    finally:
        host.thaw()
    assert "Traceback" not in done.err, str(done)
    project.run("rollout", "status").expect(2)
    assert dpkg_changes(host) == []


def test_a_second_controller_is_locked_out_and_told_by_whom(fleet: Callable[[int], Project]) -> None:
    project = slow_fleet(fleet, 1)
    running = apply_until_installing(project)
    begun = time.monotonic()
    other = project.run("rollout", "resume").expect(11)
    assert f"pid {running.process.pid}" in other.err, str(other)
    assert "patchctl apply" in other.err
    assert time.monotonic() - begun < 60
    project.run("rollout", "tick").expect(0)  # a timer beside a running controller is no error
    running.wait().expect(0)
    check_patched(project)


def test_a_detached_rollout_needs_no_terminal(fleet: Callable[[int], Project]) -> None:
    project = slow_fleet(fleet, 2, seconds=2)
    begun = project.run("apply", "--policy", "slow", "--yes", "--detach").expect(0)
    rollout = project.status()["rollout"]
    assert f"patchctl rollout watch {rollout}" in begun.out
    watched = project.run("rollout", "watch", rollout).expect(0)
    assert f"{project.hosts[1].name} succeeded" in watched.err, str(watched)
    assert f"{rollout} completed" in watched.err
    project.lab.wait(lambda: bool(list((project.folder / "reports").rglob("*.html"))), "the report is written")
    check_patched(project)
    assert project.run("rollout", "tick").expect(0).out == ""


def test_a_killed_detached_rollout_is_carried_on_by_ticks(fleet: Callable[[int], Project]) -> None:
    project = slow_fleet(fleet, 2, seconds=2)
    project.run(
        "apply", "--policy", "slow", "--yes", "--detach", env={"PATCHCTL_FAILPOINT": "start.host.after"}).expect(0)
    project.wait_status(lambda status: status["hosts"][0]["attempts"] == 1, "it was begun")
    deadline = time.monotonic() + PATIENCE
    while project.status()["state"] != "completed":
        assert time.monotonic() < deadline, project.status()
        project.run("rollout", "tick").expect(0)
    check_patched(project)


def test_a_ring_waits_for_approval(fleet: Callable[[int], Project]) -> None:
    project = fleet(2)
    project.policy(
        'policy: gated\napprove: [{package: "lab-*"}]\nrefresh: never\nreboot: never\n'
        "rings: [{name: canary, size: 1}, {name: rest, approval: operator}]\nlimits: {concurrency: 100%}\n")
    project.run("apply", "--policy", "gated", "--yes", "--detach", env={"PATCHCTL_FAILPOINT": "job.submit.before"})
    deadline = time.monotonic() + PATIENCE
    while project.status()["rings"][1]["gate"]["asked_at"] is None:
        assert time.monotonic() < deadline, project.status()
        project.run("rollout", "tick")
    waiting = project.run("rollout", "tick").expect(0)
    assert waiting.out == ""
    status = project.run("rollout", "status").expect(0)
    assert "needs an operator's approval" in status.out
    assert "rollout approve" in status.out
    assert "approval" in project.run("status").expect(0).out
    assert dpkg_changes(project.hosts[1]) == []
    project.run("rollout", "approve", "--ring", "nosuch").expect(2)
    project.run("rollout", "approve", "--reason", "CHG-1").expect(0)
    project.run("rollout", "approve").expect(2)
    project.run("rollout", "tick").expect(0)
    assert project.status()["state"] == "completed"
    check_patched(project, TINY_PACKAGES)


def test_pause_resume_abort(fleet: Callable[[int], Project]) -> None:
    project = slow_fleet(fleet, 2)
    running = apply_until_installing(project)
    paused = project.run("rollout", "pause", "--reason", "INC-7").expect(0)
    assert "rollout resume" in paused.out
    running.wait().expect(7)  # the host at work was followed to its end, the other was not begun
    assert [host["state"] for host in project.status()["hosts"]] == ["succeeded", "pending"]
    assert "INC-7" in project.run("rollout", "status").expect(0).out
    project.run("rollout", "tick").expect(7, 0)
    assert dpkg_changes(project.hosts[1]) == []
    resumed = project.start("rollout", "resume", "--reason", "INC-7 is over", "-v")
    project.lab.wait(installing(project.hosts[1]), "the second host installs", PATIENCE)
    project.run("rollout", "abort").expect(7)  # nobody confirmed
    project.run("rollout", "abort", "--yes", "--reason", "INC-8").expect(0)
    resumed.wait()
    status = project.status()
    assert status["state"] == "aborted"
    assert [host["state"] for host in status["hosts"]] == ["succeeded", "succeeded"]
    project.run("rollout", "resume").expect(2)
    check_patched(project)


def test_an_abort_before_the_second_ring_leaves_it_untouched(fleet: Callable[[int], Project]) -> None:
    project = slow_fleet(fleet, 2)
    running = apply_until_installing(project)
    project.run("rollout", "abort", "--yes").expect(0)
    running.wait()
    states = {host["host"]: host["state"] for host in project.status()["hosts"]}
    assert states[project.hosts[0].name] == "succeeded"
    assert dpkg_changes(project.hosts[1]) == []
    assert_clean(project.hosts[1])


def test_a_plan_is_stale_when_its_policy_or_its_hosts_changed(fleet: Callable[[int], Project]) -> None:
    project = fleet(1)
    project.run("plan", "--policy", "tiny", "--out", "plan.json").expect(0)
    policy = project.folder / "policies/tiny.yaml"
    was = policy.read_text()
    policy.write_text(was.replace("errors: 0", "errors: 1"))
    stale = project.run("apply", "plan.json", "--yes").expect(10)
    assert "policy" in stale.err
    policy.write_text(was)
    project.inventory("  more: {hosts: [newcomer.example.com]}\n")
    stale = project.run("apply", "plan.json", "--yes").expect(10)
    assert "newcomer.example.com" in stale.err, str(stale)
    project.inventory()
    unasked = project.run("apply", "plan.json").expect(7)
    assert "--yes" in unasked.err
    assert dpkg_changes(project.hosts[0]) == []
    checked = project.run("apply", "plan.json", "--check", "-o", "json").expect(0)
    assert sorted(change["package"] for change in checked.json()["hosts"][0]["changes"]) == sorted(TINY_PACKAGES)
    assert dpkg_changes(project.hosts[0]) == []
    project.run("apply", "plan.json", "--yes", "--quiet").expect(0)
    check_patched(project, TINY_PACKAGES)
