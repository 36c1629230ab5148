"""Independent labs on one machine: slot N owns 127.0.N.0/24, a control group, a firewall table and a folder.

A lock on the slot, held by the process that uses it and gone with it, keeps two runs apart. Whoever takes a slot
first clears what the last owner may have left, however that ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from tests.lab.kernel import cgroup_processes, mounts_named, remove_cgroup
from tests.lab.programs import PATH, LabError, run

RUN = Path("/run/patchctl-lab")
SESSIONS = range(20, 60)
"""Slots for test runs, demos and benchmarks; the command line uses others (10 by default) and keeps its hosts."""


class Slot:
    """One slot that this process holds."""

    def __init__(self, number: int, lock: IO[str]) -> None:
        self.number = number
        self.lock = lock

    @property
    def name(self) -> str:
        return f"patchctl-lab-{self.number}"

    @property
    def cgroup(self) -> str:
        return f"patchctl-lab/{self.number}"

    @property
    def table(self) -> str:
        return f"patchctl_lab_{self.number}"

    def address(self, last: int) -> str:
        return f"127.0.{self.number}.{last}"

    def use(self, folder: Path) -> None:
        """Note which folder holds this slot's hosts, for whoever cleans up after a crash."""
        (RUN / f"{self.number}.folder").write_text(f"{folder}\n")

    def clear(self) -> None:
        """End and remove everything of this slot: processes, mounts, control groups, firewall table, files."""
        kill_group(self.cgroup)
        unmount(self.name)
        remove_cgroup(self.cgroup)
        subprocess.run(["nft", "delete", "table", "inet", self.table], check=False, capture_output=True, timeout=30,
                       env={"PATH": PATH})
        note = RUN / f"{self.number}.folder"
        if note.exists():
            shutil.rmtree(Path(note.read_text().strip()), ignore_errors=True)
            note.unlink()

    def left_over(self) -> bool:
        return (RUN / f"{self.number}.folder").exists() or bool(cgroup_processes(self.cgroup))

    def free(self) -> None:
        self.lock.close()


def take(number: int) -> Slot | None:
    """Lock a slot, or return None while another process holds it."""
    if not 2 <= number <= 254:
        raise LabError(f"slot {number}: must be 2 to 254")
    RUN.mkdir(mode=0o700, exist_ok=True)
    lock = (RUN / f"{number}.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return Slot(number, lock)


def holder(number: int) -> str:
    """Return the process id that last took the slot, for messages."""
    with contextlib.suppress(OSError):
        return (RUN / f"{number}.lock").read_text().strip()
    return "?"


def take_session() -> Slot:
    """Take a free session slot, and clear every other one whose owner died."""
    mine: Slot | None = None
    for number in SESSIONS:
        if mine and not (RUN / f"{number}.folder").exists():
            continue
        if slot := take(number):
            if slot.left_over():
                slot.clear()
            if mine:
                slot.free()
            else:
                mine = slot
    if mine is None:
        raise LabError(f"all lab slots {SESSIONS.start}-{SESSIONS.stop - 1} are in use")
    return mine


def kill_group(name: str, patience: float = 20) -> None:
    """SIGKILL everything in one of our control groups until nothing is left."""
    deadline = time.monotonic() + patience
    while pids := cgroup_processes(name):
        _kill(pids)
        if time.monotonic() > deadline:
            raise LabError(f"processes of {name} do not end: {sorted(pids)[:10]}")
        time.sleep(0.02)


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def unmount(source: str, patience: float = 20) -> None:
    """Unmount every overlay whose source is ours; a mount that stays busy too long is taken out of the tree."""
    deadline = time.monotonic() + patience
    while points := mounts_named(source):
        for point in points:
            late = ["-l"] if time.monotonic() > deadline - patience / 2 else []
            with contextlib.suppress(LabError):
                run("umount", *late, point, timeout=30)
        if time.monotonic() > deadline:
            raise LabError(f"cannot unmount {points}")
        if mounts_named(source):
            time.sleep(0.1)
