"""kill -9 of the controller, at every named failpoint and at random moments; then `rollout resume`.

Whatever the moment: every host ends patched, and its own logs show that each install was started exactly once.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from patchctl.model.failpoints import FAILPOINTS
from tests.proof.project import PATIENCE, TINY_PACKAGES, Done, Project, assert_clean, assert_once

pytestmark = pytest.mark.lab

APPLY = ("apply", "--policy", "tiny", "--yes", "-v")
SEED = int(os.environ.get("PATCHCTL_PROOF_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
"""Of the random moments; printed, so that a failing run can be repeated with PATCHCTL_PROOF_SEED."""
LINES = 30
"""About as many lines as `apply -v` writes for two hosts: a random moment is one of them and a moment more."""
EVERY_PASS = 200
"""More often than any failpoint is passed in one rollout of two hosts."""


def is_begun(project: Project) -> bool:
    found = project.run("rollout", "status", "-o", "json")
    return found.code == 0 and found.json()["state"] != "planned"


def go_on(project: Project) -> Done:
    """Do what a user does after a crash: resume if there is a rollout, else apply again."""
    return project.run("rollout", "resume", "-v") if is_begun(project) else project.run(*APPLY)


def finish(project: Project) -> None:
    """Go on once, and hold the end against the hosts' own logs."""
    done = go_on(project).expect(0)
    document = project.status()
    assert document["state"] == "completed", done
    assert {(host["state"], host["attempts"]) for host in document["hosts"]} == {("succeeded", 1)}, (document, done)
    for host in project.hosts:
        reboots = (host.root / "etc/apt/sources.list.d/lab-offer-lab-reboot.sources").exists()
        assert_once(host, (*TINY_PACKAGES, *(("lab-reboot",) if reboots else ())))
        assert_clean(host)
        assert [row for row in host.upgradable() if row[0].startswith("lab-")] == []
        shown = next(one for one in document["hosts"] if one["host"] == host.name)
        assert shown["reboot"]["done"] == (1 if reboots else 0), shown
    project.audit()


@pytest.mark.parametrize("point", sorted(FAILPOINTS))
def test_killed_at_a_failpoint(fleet: Callable[[int], Project], point: str) -> None:
    project = fleet(2)
    killed = project.run(*APPLY, env={"PATCHCTL_FAILPOINT": point})
    assert killed.code == -signal.SIGKILL, str(killed)
    finish(project)


def kill_at_random(project: Project, dice: random.Random) -> str:
    """Kill an apply at a random line of what it says, plus up to half a second; return where that was."""
    line, extra = dice.randrange(LINES), dice.uniform(0.0, 0.5)
    running = project.start(*APPLY)
    deadline = time.monotonic() + PATIENCE
    while running.process.poll() is None and running.err().count("\n") < line:
        assert time.monotonic() < deadline, running.err()
        time.sleep(0.01)
    time.sleep(extra)
    running.send(signal.SIGKILL)
    done = running.wait()
    assert done.code in (0, -signal.SIGKILL), str(done)
    last = done.err.splitlines()[-1] if done.err else "nothing said yet"
    return f"{'killed' if done.code else 'ended before'} at line {line} + {extra:.2f} s: {last}"


@pytest.mark.parametrize("number", range(3))
def test_killed_at_a_random_moment(fleet: Callable[[int], Project], number: int) -> None:
    _kill_once(fleet(2), number)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(3, 33))
def test_killed_at_thirty_random_moments(fleet: Callable[[int], Project], number: int) -> None:
    _kill_once(fleet(2), number)


def _kill_once(project: Project, number: int) -> None:
    print(f"PATCHCTL_PROOF_SEED={SEED} moment {number}")
    project.hosts[number % 2].fault("offer", "lab-reboot")
    print(kill_at_random(project, random.Random(f"{SEED}-{number}")))
    finish(project)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("point", sorted(FAILPOINTS))
def test_killed_at_every_pass_of_a_failpoint(fleet: Callable[[int], Project], point: str) -> None:
    """The second, third ... time that the run gets to a failpoint, until it ends before it gets there again."""
    for count in range(2, EVERY_PASS):
        project = fleet(2)
        project.hosts[0].fault("offer", "lab-reboot")
        done = project.run(*APPLY, env={"PATCHCTL_FAILPOINT": f"{point}:{count}"})
        assert done.code in (0, -signal.SIGKILL), str(done)
        finish(project)
        project.lab.down(*project.hosts)
        if done.code == 0:
            print(f"{point}: killed at each of {count - 1} passes but the first")
            return
    raise AssertionError(f"{point} is passed more than {EVERY_PASS} times")
