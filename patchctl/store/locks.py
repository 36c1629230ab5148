"""Locks between runs of patchctl: who holds one, whether that process is still there, and how to wait for it."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from patchctl.model.codec import canonical_json
from patchctl.model.errors import LockedError
from patchctl.store.connection import Connection
from patchctl.store.engine import Database

_POLL_SECONDS = 0.5


class Holder(Struct, frozen=True):
    """The process that holds a lock."""

    name: str
    pid: int
    machine: str
    user: str
    since: float
    command: str
    boot_id: str
    started: int
    """Start of the process in clock ticks since boot (proc(5), field 22): a reused pid has another."""
    namespace: str = ""
    """The pid namespace: a pid of another container says nothing here."""

    def describe(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"{self.user}@{self.machine} (pid {self.pid}) since {since}: {self.command}"


def current_holder(name: str, command: str, now: float) -> Holder:
    """Describe this process as holder of the lock `name`."""
    pid = os.getpid()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return Holder(
        name, pid, socket.gethostname(), user, now, command, _boot_id(), _process_start(pid) or 0, _pid_namespace()
    )


def is_gone(holder: Holder, machine: str, boot_id: str, namespace: str, start_of: Callable[[int], int | None]) -> bool:
    """Say whether the holder certainly no longer runs. On another machine that cannot be known: False.

    `start_of(pid)` gives a live process's start in clock ticks, None if there is none.
    """
    if holder.machine != machine:
        return False
    if holder.boot_id != boot_id:
        return True
    if holder.namespace != namespace:
        return False
    return start_of(holder.pid) != holder.started


@contextmanager
def hold_lock(database: Database, name: str, command: str, wait: float, clock: Callable[[], float]) -> Iterator[Holder]:
    """Hold the lock while the block runs. Raise LockedError naming the holder after `wait` seconds in vain.

    A lock whose process is gone (killed, rebooted) is taken over.
    """
    deadline = time.monotonic() + wait
    mine = current_holder(name, command, clock())
    while True:
        other = database.write(lambda connection: _take(connection, mine))
        if other is None:
            break
        left = deadline - time.monotonic()
        if left <= 0:
            raise _locked(other)
        time.sleep(min(_POLL_SECONDS, left))
    try:
        yield mine
    finally:
        database.write(lambda connection: _release(connection, mine))


def read_holders(database: Database) -> list[Holder]:
    """Return who holds which lock now; holders that are certainly gone are left out."""
    with database.read() as connection:
        found = [_decode(text) for (text,) in connection.rows("SELECT holder FROM leases")]
    return [holder for holder in found if not _gone_here(holder)]


def break_lock(connection: Connection, name: str) -> Holder | None:
    """Take a lock away from its holder; return who that was, None if nobody."""
    text = connection.value("SELECT holder FROM leases WHERE name = :name", {"name": name})
    if text is None:
        return None
    connection.execute("DELETE FROM leases WHERE name = :name", {"name": name})
    return _decode(text)


def _take(connection: Connection, mine: Holder) -> Holder | None:
    """Return None when the lock is ours now, else its holder."""
    connection.only_one(f"patchctl {mine.name}")  # a row that does not exist yet cannot be locked
    text = connection.value("SELECT holder FROM leases WHERE name = :name", {"name": mine.name})
    if text is not None:
        other = _decode(text)
        if not _gone_here(other):
            return other
        connection.execute("DELETE FROM leases WHERE name = :name", {"name": mine.name})
    row = {"name": mine.name, "holder": canonical_json(mine).decode()}
    connection.execute("INSERT INTO leases (name, holder) VALUES (:name, :holder)", row)
    return None


def _release(connection: Connection, mine: Holder) -> None:
    # Only our own: it may have been broken and taken by somebody else meanwhile.
    row = {"name": mine.name, "holder": canonical_json(mine).decode()}
    connection.execute("DELETE FROM leases WHERE name = :name AND holder = :holder", row)


def _locked(holder: Holder) -> LockedError:
    hint = "wait until that run has ended, or stop it"
    if holder.machine != socket.gethostname():
        hint += f"; if {holder.machine} is gone for good: patchctl state unlock {holder.name} --reason TEXT"
    return LockedError("locked", f"{holder.name} is locked by {holder.describe()}", hint)


def _gone_here(holder: Holder) -> bool:
    return is_gone(holder, socket.gethostname(), _boot_id(), _pid_namespace(), _process_start)


def _decode(text: str) -> Holder:
    return msgspec.json.decode(text, type=Holder)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _process_start(pid: int) -> int | None:
    """Return the start of a live process in clock ticks since boot, None if there is none (a zombie is gone too)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else int(fields[19])
