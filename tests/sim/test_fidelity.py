"""Promise: the simulated host answers as the real runner does, request for request.

The same sequences go to SimHost and to the runner's own scripts below a private root. Programs that restart a machine
are replaced there, and a reboot is only ever asked for where the runner must refuse it or has nothing to do.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from patchctl.collect.runner import Cleanup, Look, Poll, Reboot, Start
from tests.runner.machine import Machine, available_shells
from tests.sim.simhost import Scenario, SimHost

Request = tuple[str, ...]
ONE, TWO = "sim.0a1b2c3d.1", "sim.0a1b2c3d.2"
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


class Simulated:
    """SimHost behind the words of a request."""

    def __init__(self) -> None:
        self.host, self.now = SimHost("h", Scenario(install=10.0)), 1000.0

    def ask(self, request: Request) -> str:
        kind, *words = request
        if kind == "start":
            state, said = self.host.start(words[0], int(words[1]), words[2], self.now)
            return f"failed {said}" if state == "failed" else state
        if kind == "poll":
            return self.host.poll(words[0], self.now)
        if kind == "cleanup":
            return self.host.cleanup(words[0], self.now)
        if kind == "reboot":
            boot = self.host.boot_id if words[0] == "now" else OTHER_BOOT
            return self.host.reboot(boot, self.now)
        if kind == "veto":
            self.host.veto = words[0] == "on"
        elif kind == "finish":
            self.now += 10.0
            self.host.advance(self.now)
        elif kind == "kill":
            for claim in self.host.claims.values():
                claim.state = "interrupted" if claim.state == "running" else claim.state
        return ""

    def installs(self) -> int:
        return len(self.host.installs)


class Real:
    """The runner's scripts, run for real below a folder."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        for name in ("systemctl", "shutdown", "reboot", "systemd-run"):
            machine.stub(name, "exit 1")
        self.go = machine.root / "go"

    def ask(self, request: Request) -> str:
        kind, *words = request
        if kind == "start":
            self.go.unlink(missing_ok=True) if not self._running() else None
            payload = f"echo x >> {self.machine.root}/runs; while [ ! -e {self.go} ]; do sleep 0.02; done"
            controller = self.machine.controller(words[2], token=int(words[1]))
            reply = self.machine.ask(Start(words[0], payload), controller)
            return f"failed {reply.get('code')}" if reply.state == "failed" else reply.state
        if kind == "poll":
            return self.machine.ask(Poll(words[0])).state
        if kind == "cleanup":
            return self.machine.ask(Cleanup(words[0])).state
        if kind == "reboot":
            boot = self.machine.ask(Look()).boot_id if words[0] == "now" else OTHER_BOOT
            return self.machine.ask(Reboot(boot)).state
        if kind == "veto":
            hold = self.machine.root / "etc/patchctl/hold"
            hold.parent.mkdir(parents=True, exist_ok=True)
            hold.write_text("held\n") if words[0] == "on" else hold.unlink(missing_ok=True)
        elif kind == "finish":
            self.go.touch()
            self._await_end()
        elif kind == "kill":
            self._kill()
        return ""

    def installs(self) -> int:
        return len(self.machine.runs())

    def _attempts(self) -> list[Path]:
        return sorted((self.machine.base / "runs").glob("*"))

    def _running(self) -> list[str]:
        return [spool.name for spool in self._attempts() if self.machine.ask(Poll(spool.name)).state == "running"]

    def _await_end(self) -> None:
        deadline = time.monotonic() + 20
        while self._running():
            assert time.monotonic() < deadline, "the payload does not end"
            time.sleep(0.02)

    def _kill(self) -> None:
        """Kill runner and payload of what is at work, once the payload has begun."""
        for name in self._running():
            deadline = time.monotonic() + 20
            while not (self.machine.base / "runs" / name / "before").exists() or not self.installs():
                assert time.monotonic() < deadline, "the payload does not begin"
                time.sleep(0.02)
            leader = int(str((self.machine.base / "runs" / name / "begun").readlink()).split(":")[1])
            os.killpg(leader, signal.SIGKILL)
        self._await_end()


NAMED: dict[str, list[Request]] = {
    "start twice": [("start", ONE, "1", "store-a"), ("start", ONE, "1", "store-a"), ("poll", ONE)],
    "start after the end": [("start", ONE, "1", "store-a"), ("finish",), ("start", ONE, "2", "store-a"), ("poll", ONE)],
    "a lower token": [
        ("start", ONE, "5", "store-a"), ("finish",), ("start", TWO, "4", "store-a"), ("start", ONE, "4", "store-a"),
        ("start", TWO, "5", "store-a"),
    ],
    "a foreign store": [("start", ONE, "1", "store-a"), ("finish",), ("start", TWO, "9", "store-b"), ("poll", ONE)],
    "a veto": [
        ("veto", "on"), ("start", ONE, "1", "store-a"), ("poll", ONE), ("veto", "off"), ("start", ONE, "1", "store-a"),
    ],
    "a veto after the claim": [("start", ONE, "1", "store-a"), ("veto", "on"), ("start", ONE, "1", "store-a")],
    "another attempt at work": [
        ("start", ONE, "1", "store-a"), ("start", TWO, "1", "store-a"), ("finish",), ("start", TWO, "1", "store-a"),
    ],
    "reboots that must not happen": [
        ("reboot", "other"), ("start", ONE, "1", "store-a"), ("reboot", "other"), ("reboot", "now"), ("finish",),
        ("veto", "on"), ("reboot", "now"),
    ],
    "poll after the end and after clean-up": [
        ("poll", ONE), ("start", ONE, "1", "store-a"), ("poll", ONE), ("finish",), ("poll", ONE), ("cleanup", ONE),
        ("poll", ONE), ("poll", TWO),
    ],
    "a start that was under way during the whole attempt and its clean-up": [
        ("start", ONE, "1", "store-a"), ("finish",), ("cleanup", ONE), ("start", ONE, "1", "store-a"), ("poll", ONE),
        ("start", TWO, "1", "store-a"), ("finish",), ("cleanup", TWO), ("start", ONE, "1", "store-a"), ("poll", ONE),
    ],
    "clean up what works": [
        ("start", ONE, "1", "store-a"), ("cleanup", ONE), ("poll", ONE), ("finish",), ("cleanup", ONE),
    ],
    "clean up takes the attempts before with it": [
        ("start", ONE, "1", "store-a"), ("finish",), ("cleanup", TWO), ("poll", ONE),
    ],
    "clean up what never was": [("cleanup", ONE), ("poll", ONE)],
    "a killed runner": [
        ("start", ONE, "1", "store-a"), ("kill",), ("poll", ONE), ("start", ONE, "2", "store-a"),
        ("start", TWO, "2", "store-a"), ("finish",), ("poll", TWO),
    ],
}


def _random_sequence(seed: int) -> list[Request]:
    rng = random.Random(seed)
    choices: list[Request] = [
        *[("start", attempt, token, "store-a") for attempt in (ONE, TWO) for token in ("1", "2")],
        ("start", TWO, "3", "store-b"), ("poll", ONE), ("poll", TWO), ("finish",), ("kill",), ("veto", "on"),
        ("veto", "off"), ("reboot", "other"), ("cleanup", ONE), ("cleanup", TWO),
    ]
    return [rng.choice(choices) for _ in range(10)]


SEEDS = range(100 if os.environ.get("PATCHCTL_SOAK") else 6)
CASES = {**NAMED, **{f"random {seed}": _random_sequence(seed) for seed in SEEDS}}


@pytest.mark.parametrize("name", CASES)
def test_simulated_and_real_host_answer_alike(name: str, tmp_path: Path) -> None:
    real, simulated = Real(Machine(tmp_path, available_shells()[0])), Simulated()
    said: list[tuple[Request, str, str]] = []
    try:
        for request in CASES[name]:
            said.append((request, real.ask(request), simulated.ask(request)))
            assert said[-1][1] == said[-1][2], said
        real.ask(("finish",))
        assert real.installs() == simulated.installs(), said
    finally:
        real.ask(("finish",))
