"""Exactly once: starters that race, and starters and runners that are killed at every command they run."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from pathlib import Path

import pytest

from patchctl.collect.runner import Poll, Start
from tests.runner.machine import ATTEMPT, Asked, Machine

FAMILY = "2026-11-monthly.0a1b2c3d"


def race(machine: Machine, rounds: int, starters: int, seed: int) -> tuple[int, int]:
    """Let `starters` processes start at once, `rounds` times; return (attempts that ran, refusals as busy)."""
    dice = random.Random(seed)
    ran = busy = 0
    for number in range(1, rounds + 1):
        # Half of the rounds: all want the same attempt. Else: two attempts, from a run and its successor.
        names = [f"{FAMILY}.{number}0"] * starters if dice.random() < 0.5 else [
            f"{FAMILY}.{number}{i % 2}" for i in range(starters)]
        asked: list[tuple[str, Asked]] = []
        for name in names:
            request = Start(name, machine.counting(name, "0.02"))
            asked.append((name, machine.launch(request, machine.controller(token=number))))
        for name, process in asked:
            reply = process.reply()
            assert reply.complete, process.errors
            assert reply.state in ("started", "adopted", "failed"), reply
            if reply.state == "failed":
                assert reply.get("code") == "busy", reply
                busy += 1
            ran += reply.state == "started"
            assert name == reply.get("unit")[len("patchctl-"):-len(".service")] or reply.state == "failed"
        for name in set(names):
            deadline = time.monotonic() + 90
            while machine.ask(Poll(name)).state == "running":
                assert time.monotonic() < deadline
    runs = machine.runs()
    assert "OVERLAP" not in runs
    assert len(runs) == len(set(runs)), "no payload ran twice"
    assert len(runs) == ran
    return ran, busy


def test_racing_starters_never_run_a_payload_twice_nor_two_at_once(tmp_path: Path) -> None:
    ran, _ = race(Machine(tmp_path), rounds=12, starters=4, seed=1)
    assert ran >= 12, "every round somebody gets through"


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(5))
def test_racing_starters_long(tmp_path: Path, seed: int) -> None:
    race(Machine(tmp_path, random.Random(seed).choice(["dash", "bash", "busybox"])), 100, 6, seed)


# Every program the scripts call passes through a stub that counts, and at the chosen call kills.
CALLED = ("mkdir", "mv", "rm", "rmdir", "ln", "cat", "sync", "setsid", "mkfifo", "fallocate", "dd", "date", "env",
          "readlink", "sha256sum", "grep", "sleep")
STUB = """\
echo x >> {folder}/calls
if [ "$(/usr/bin/wc -l < {folder}/calls)" = "$KILL_AT" ]; then
    [ "$KILL_WHEN" = before ] && {{ kill -9 {victim}; exit 1; }}
    {real} "$@"; code=$?
    kill -9 {victim}
    exit $code
fi
exec {real} "$@\""""


class KillableMachine(Machine):
    """Kills the caller of its Nth program, before or after that program did its work."""

    grace = 1

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder
        for name in CALLED:
            real = shutil.which(name)
            if name == "sync":
                real = shutil.which("true")
            if real:
                self.stub(name, STUB.format(folder=folder, real=real, victim="$PPID"))

    def calls(self) -> int:
        file = self.folder / "calls"
        return file.read_text().count("x") if file.exists() else 0

    def start_killed(self, at: int, when: str) -> tuple[str, bool]:
        """Start with a kill at that call; return (state answered or "", whether the end of the answer came)."""
        asked = self.launch(Start(ATTEMPT, self.counting("one")), KILL_AT=str(at), KILL_WHEN=when)
        reply = asked.reply()
        return reply.state, reply.complete


def settle(machine: Machine, attempt: str) -> str:
    deadline = time.monotonic() + 90
    while (reply := machine.ask(Poll(attempt))).state == "running":
        assert time.monotonic() < deadline, reply
        time.sleep(0.02)
    return reply.state


def check_after_a_kill(machine: KillableMachine) -> str:
    """Whatever was killed: starting the same attempt again never runs it twice, and the host takes the next one."""
    (machine.folder / "calls").unlink(missing_ok=True)
    again = machine.ask(Start(ATTEMPT, machine.counting("one")))
    assert again.state in ("started", "adopted"), again
    state = settle(machine, ATTEMPT)
    ones = machine.runs().count("one")
    assert ones <= 1, (state, machine.runs())
    assert state in ("finished", "interrupted")
    if state == "finished":
        assert ones == 1
    following = machine.ask(Start(f"{FAMILY}.2", machine.counting("two")), machine.controller(token=2))
    assert following.state == "started", following
    assert settle(machine, f"{FAMILY}.2") == "finished"
    assert [line for line in machine.runs() if line != "one"] == ["two"]
    cleaned = machine.clean(f"{FAMILY}.2")
    assert (cleaned.state, cleaned.all("residue")) == ("clean", ())
    return state


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_any_of_its_commands_an_attempt_is_never_run_twice(tmp_path: Path, when: str) -> None:
    counted = KillableMachine(tmp_path / "counted")
    assert counted.start_killed(10**6, when) == ("started", True)
    assert settle(counted, ATTEMPT) == "finished"
    total = counted.calls()
    assert total > 25
    # All kill points by turns: every sixth here with each `when`, all of them in the long version.
    step = 1 if os.environ.get("PATCHCTL_SOAK") else 6
    states = set()
    for at in range(1 + (when == "after"), total + 1, step):
        machine = KillableMachine(tmp_path / str(at))
        machine.start_killed(at, when)
        states.add(check_after_a_kill(machine))
    if step == 1:
        assert states == {"finished", "interrupted"}, "kills hit before and after the runner began"


def test_killed_at_random_moments_an_attempt_is_never_run_twice(tmp_path: Path) -> None:
    dice = random.Random(7)
    for number in range(200 if os.environ.get("PATCHCTL_SOAK") else 5):
        machine = KillableMachine(tmp_path / str(number))
        asked = machine.launch(Start(ATTEMPT, machine.counting("one", "0.05")), KILL_AT="0", KILL_WHEN="never")
        asked.send()
        time.sleep(dice.random() * 0.25)
        asked.process.kill()
        asked.reply()
        check_after_a_kill(machine)


def test_a_runner_that_comes_late_finds_the_attempt_called_off(tmp_path: Path) -> None:
    """The starter dies while its request to launch is under way: what is called off then can never begin."""
    machine = Machine(tmp_path)
    machine.grace = 0
    machine.stub("setsid", f"echo \"$@\" > {tmp_path}/late; kill -9 $(cat {tmp_path}/starter); exit 1")
    asked = machine.launch(Start(ATTEMPT, machine.counting("one")))
    (tmp_path / "starter").write_text(str(asked.process.pid))
    assert not asked.reply().complete
    deadline = time.monotonic() + 60
    while not (tmp_path / "late").exists():
        assert time.monotonic() < deadline
    (machine.tools / "setsid").unlink()
    assert machine.ask(Poll(ATTEMPT)).state == "interrupted"
    words = (tmp_path / "late").read_text().split()
    late = os.spawnvp(os.P_WAIT, words[0], words)
    assert late == 0
    assert machine.runs() == []


def test_while_a_starter_lives_nobody_calls_its_attempt_off(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    real = shutil.which("mv")
    machine.stub("mv", f"case $* in */new.*) read go < {gate} ;; esac; exec {real} \"$@\"")
    asked = machine.launch(Start(ATTEMPT, machine.counting("one")))
    asked.send()
    handle = os.open(gate, os.O_WRONLY)  # the attempt is claimed now, and nothing of it begun
    locks = [path.name for path in (machine.base / "lock").iterdir()]
    assert re.fullmatch(rf"[0-9a-f-]{{36}}:{asked.process.pid}:\d+", locks[0])
    reply = machine.ask(Poll(ATTEMPT))
    assert (reply.state, reply.get("reason")) == ("running", "is being started")
    os.write(handle, b"go\n")
    os.close(handle)
    assert asked.reply().state == "started"
    assert settle(machine, ATTEMPT) == "finished"
    assert machine.runs() == ["one"]
