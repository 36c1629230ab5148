"""A user's project folder and the real command line in it: `python -m patchctl`, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import Lab, LabHost

PATIENCE = 600.0
"""Seconds any command may take: far above what it takes on a busy machine, so that a test always ends."""

TINY = """
policy: tiny
approve: [{package: "lab-*"}]
rings: [{name: canary, size: 1}, {name: rest}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 10m}
refresh: never
reboot: if_required
health: [{no_new_failed_units: true}]
"""
"""Approves only the lab's own small packages: one rollout takes seconds."""
TINY_PACKAGES = ("lab-conffile", "lab-dependency", "lab-extra", "lab-service")
"""What it changes on every host; lab-extra is new, pulled in by lab-dependency."""


@dataclass(frozen=True)
class Done:
    """A command that has ended. A negative code is the signal that killed it."""

    words: str
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def expect(self, *codes: int) -> Done:
        assert self.code in (codes or (0,)), str(self)
        return self

    def __str__(self) -> str:
        said = f"--- stdout\n{self.out[-6000:]}\n--- stderr\n{self.err[-6000:]}"
        return f"patchctl {self.words}: exit {self.code}\n{said}"


def _heed_interrupts() -> None:
    """As a shell starts a program at its terminal: where the tests themselves ignore SIGINT, children would too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Running:
    """A command that runs. Its output goes to files, so that nobody has to read along."""

    def __init__(self, words: Sequence[str], folder: Path, env: Mapping[str, str], number: int) -> None:
        self.words = " ".join(words)
        self._out, self._err = folder / f"out.{number}", folder / f"err.{number}"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "patchctl", *words], cwd=folder, env=dict(env), stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True, preexec_fn=_heed_interrupts)

    def err(self) -> str:
        return self._err.read_text(errors="replace")

    def wait(self, patience: float = PATIENCE) -> Done:
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"no end after {patience:.0f} s: {self.done(-9)}") from None
        return self.done(code)

    def done(self, code: int) -> Done:
        return Done(self.words, code, self._out.read_text(errors="replace"), self.err())

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Project:
    """An inventory of lab hosts, policies, and a store of its own in `folder`."""

    def __init__(self, folder: Path, lab: Lab, hosts: Sequence[LabHost]) -> None:
        self.folder, self.lab, self.hosts = folder, lab, list(hosts)
        self.running: list[Running] = []
        self.done: Done | None = None
        """The end of the one rollout that the tests of a file look at."""
        for part in ("inventories", "policies", "home"):
            (folder / part).mkdir(parents=True)
        self.env = {
            key: value for key, value in os.environ.items() if not key.startswith(("PATCHCTL_", "SSH_", "PYTEST_"))
        } | {"HOME": str(folder / "home"), "COLUMNS": "80", "LANG": "C.UTF-8",
             "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        (folder / "known_hosts").write_text(lab.known_hosts.read_text())
        (folder / "patchctl.yaml").write_text("known_hosts: known_hosts\n")
        self.inventory()
        self.policy(TINY)

    def inventory(self, extra: str = "", user: str = "ops", text: str = "") -> None:
        """Write the inventory: all hosts, or the text given."""
        timeouts = "  timeouts: {connect: 10s, silence: 2m, total: 5m}\n"
        written = text or self.lab.inventory_yaml(self.hosts, user=user)
        written = written.replace("defaults:\n", "defaults:\n" + timeouts, 1)
        (self.folder / "inventories/lab.yaml").write_text(written + extra)

    def policy(self, text: str) -> str:
        """Write a policy; return the name it is called by."""
        name = next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("policy:"))
        (self.folder / f"policies/{name}.yaml").write_text(text)
        return name

    def start(self, *words: str, env: Mapping[str, str] | None = None) -> Running:
        """Start a command and return at once."""
        found = Running(words, self.folder, {**self.env, **(env or {})}, len(self.running))
        self.running.append(found)
        return found

    def run(self, *words: str, env: Mapping[str, str] | None = None, patience: float = PATIENCE) -> Done:
        """Run a command to its end. There is no terminal, and nobody to ask."""
        return self.start(*words, env=env).wait(patience)

    def status(self, rollout: str = "") -> Any:
        """Return the document of `rollout status -o json`."""
        words = ["rollout", "status", *([rollout] if rollout else []), "-o", "json"]
        return self.run(*words).expect(0).json()

    def host(self, name: str) -> Any:
        """Return a host's entry in the latest rollout's status."""
        return next(host for host in self.status()["hosts"] if host["host"] == name)

    def wait_status(self, condition: Callable[[Any], bool], what: str, patience: float = PATIENCE) -> Any:
        """Wait until the latest rollout's status meets a condition."""
        deadline = time.monotonic() + patience
        while True:
            done = self.run("rollout", "status", "-o", "json")
            document = done.json() if done.code == 0 else None
            if document is not None and condition(document):
                return document
            assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}\n{done}"

    def audit(self) -> None:
        """Hold the whole audit trail against its own hashes."""
        self.run("audit", "verify").expect(0)

    def close(self) -> None:
        for running in self.running:
            running.end()


def read_log(host: LabHost, name: str) -> list[str]:
    """Return the lines of a file below the host's /var/log, or none if there is no such file."""
    path = host.root / "var/log" / name
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def dpkg_changes(host: LabHost) -> list[tuple[str, str, str]]:
    """Return every install and upgrade that dpkg began on this host: (package, from, to), "" = was not installed."""
    found = []
    for line in read_log(host, "dpkg.log"):
        words = line.split()
        if len(words) == 6 and words[2] in ("install", "upgrade"):
            found.append((words[3].split(":")[0], words[4].replace("<none>", ""), words[5]))
    return found


def apt_runs(host: LabHost) -> list[str]:
    """Return the command line of every apt run that installed files of a staging folder: one for each attempt."""
    lines = read_log(host, "apt/history.log")
    return [line for line in lines if line.startswith("Commandline: ") and " ./" in line]


def assert_once(host: LabHost, packages: Sequence[str]) -> None:
    """The host's own logs show that each package was installed exactly once, by one run of apt, and nothing else."""
    changed = sorted(name for name, _, _ in dpkg_changes(host))
    assert changed == sorted(packages), (host, changed)
    assert len(apt_runs(host)) == 1, (host, apt_runs(host))
    for name in packages:
        if name.startswith("lab-"):
            assert len(read_log(host, f"{name}.postinst")) == 1, (host, name)


def assert_clean(host: LabHost) -> None:
    """Nothing of ours is left on the host but the fence."""
    runs = host.root / "var/lib/patchctl"
    left = sorted(str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file())
    assert left in ([], ["fence"]), (host, left)
    units = host.exec("systemctl list-units --all --no-legend 'patchctl-*'").strip()
    assert units == "", (host, units)
