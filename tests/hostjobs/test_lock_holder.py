"""Promise: who holds the package manager's lock is known before the install, and told."""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from patchctl.model.evidence import OK, UNKNOWN, Evidence
from patchctl.model.rollout import Event
from patchctl.platforms.registry import platform_named
from patchctl.usecases.hostjobs import read_lock
from patchctl.usecases.narrate import tell


def ask(folder: Path) -> str:
    """Run apt's lock probe on lock files in `folder`."""
    probe = platform_named("apt").lock_probe()
    assert probe is not None
    text = probe.command.replace("/var/lib/dpkg/", f"{folder}/")
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
    return done.stdout


def test_the_probe_names_the_process_that_holds_dpkgs_lock(tmp_path: Path) -> None:
    assert ask(tmp_path) == "", "no lock file, no holder"
    with (tmp_path / "lock-frontend").open("w") as file:
        assert ask(tmp_path) == "", "a lock file that nobody has locked"
        fcntl.lockf(file, fcntl.LOCK_EX)
        name = Path("/proc/self/comm").read_text().strip()
        assert ask(tmp_path) == f"dpkg {os.getpid()} {name}\n"
    assert ask(tmp_path) == ""


@pytest.mark.parametrize(
    ("found", "holder"),
    [
        (Evidence("apt.lock", OK, "dpkg 4711 unattended-upgr\n"), "unattended-upgr[4711]"),
        (Evidence("apt.lock", OK, ""), None),
        (Evidence("apt.lock", UNKNOWN, reason="cut off"), None),
        (None, None),
    ],
)
def test_only_a_named_holder_is_one(found: Evidence | None, holder: str | None) -> None:
    assert read_lock(found).get("lock_holder") == holder


class Notes:
    """An observer that keeps what is noted."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def started(self, title: str, total: int) -> None: ...
    def step(self, host: str, step: str) -> None: ...
    def finished(self, host: str, state: str, message: str = "") -> None: ...
    def ended(self) -> None: ...

    def note(self, message: str) -> None:
        self.said.append(message)


def ended(seq: int, kind: str, result: str, **data: str) -> Event:
    outcome = {"job": "j", "kind": kind, "attempt": "a", "result": result, "data": data}
    return Event("r1", seq, 0.0, "patchctl", "job-ended", "h1", outcome)


def test_people_are_told_whom_an_install_waits_for_once_a_step() -> None:
    notes, who = Notes(), "unattended-upgr[4711]"
    tell(notes, ended(7, "preflight", "ok", lock="dpkg", lock_holder=who))
    tell(notes, ended(8, "preflight", "ok"))
    tell(notes, ended(9, "poll", "running", step="lock", lock_holder=who))
    tell(notes, ended(0, "poll", "running", step="lock", lock_holder=who))
    tell(notes, ended(10, "poll", "running", step="install", lock_holder=who))
    assert notes.said == [f"h1: waits for dpkg lock of {who}", f"h1: waits for the lock of {who}"]
