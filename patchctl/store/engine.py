"""Opens the database behind a state URL and writes to it: one writer, group commit, durable before it returns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from patchctl.model.errors import StoreChoiceError, StoreError
from patchctl.store.connection import Connection, RefusedError
from patchctl.store.pool import Pool
from patchctl.store.url import parse_url, server_options, sqlite_path

T = TypeVar("T")


def open_database(url: str, *, writable: bool) -> Database:
    """Return the database of a state URL. Raise StoreError for a bad URL, place or driver.

    Read-only SQLite leaves no file behind, and a missing file reads as an empty database.
    """
    parsed = parse_url(url)
    if parsed.family == "sqlite":
        from patchctl.store import sqlite

        path = sqlite_path(url)
        if writable or path.exists():
            return Database(sqlite.open_file(path, writable=writable), parsed.family, writable=writable)
        return Database(sqlite.open_memory(), parsed.family, writable=False, missing=True)
    options = server_options(parsed)
    try:
        from patchctl.store import postgresql
    except ImportError as error:
        raise StoreChoiceError(
            "no-driver", "PostgreSQL needs psycopg", "run: pip install 'patchctl[postgresql]'"
        ) from error
    return Database(postgresql.open_server(options), parsed.family, writable=writable)


class _Ticket(Generic[T]):
    """One job waiting for the next commit."""

    def __init__(self, job: Callable[[Connection], T]) -> None:
        self.job = job
        self.done = False
        self.error: Exception | None = None
        self.value: T | None = None


class Database:
    """Reads and group-committed writes.

    Threads that write at the same time share one transaction and one fsync: whoever gets the writer's lock first
    carries out all jobs queued so far, each in its own savepoint, and commits. The others find theirs done.
    """

    def __init__(self, pool: Pool, dialect: str, *, writable: bool, missing: bool = False) -> None:
        self._pool = pool
        self._writable = writable
        self._queue: list[_Ticket[Any]] = []
        self._queueing = threading.Lock()
        self._writing = threading.Lock()
        self.dialect = dialect
        """sqlite | postgresql"""
        self.missing = missing
        """There is no store yet, and none is to be made: this is an empty one in memory."""

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection with one consistent view. Raise StoreError for what the database refuses."""
        with self._pool.connection() as connection, connection.transaction():
            yield connection

    def set_up(self, job: Callable[[Connection], None]) -> None:
        """Carry out `job`, which makes the tables, in a transaction of its own; of an empty store in memory too."""
        with self._pool.connection() as connection, connection.transaction(writes=True):
            job(connection)

    def write(self, job: Callable[[Connection], T]) -> T:
        """Carry out `job` and return its value once it is durable.

        A PatchctlError raised by the job undoes that job only. Raise StoreError when nothing could be made durable;
        then nothing of it is recorded, but for `store-unsure`: the server was lost while it committed.
        """
        if not self._writable:
            raise StoreError("read-only", "this command opened the store for reading only", "")
        ticket = _Ticket(job)
        with self._queueing:
            self._queue.append(ticket)
        with self._writing:
            if not ticket.done:
                self._commit_queued()
        if ticket.error is not None:
            raise ticket.error
        return ticket.value  # type: ignore[return-value]  # done without error: the job's own value

    def _commit_queued(self) -> None:
        with self._queueing:
            batch, self._queue = self._queue, []
        failure: StoreError = StoreError("store-interrupted", "the write was interrupted before it was durable", "")
        committed = False
        try:
            with self._pool.connection() as connection, connection.transaction(writes=True):
                for ticket in batch:
                    _carry_out(connection, ticket)
            committed = True
        except StoreError as error:
            failure = error
        finally:
            for ticket in batch:
                if not committed and ticket.error is None:
                    # A copy each: threads must not share one exception and its traceback.
                    ticket.error = StoreError(failure.code, failure.message, failure.hint)
                ticket.done = True

    def maintain(self, statement: str) -> None:
        """Run a statement that must not be in a transaction (VACUUM). Raise StoreError."""
        with self._writing, self._pool.connection() as connection:
            try:
                connection.execute(statement)
            except StoreError as error:
                why = f"{statement}: {error.__cause__}"
                raise StoreError("store-failed", why, "is there enough free space?") from error

    def copy_to(self, target: Path) -> None:
        """Copy an SQLite database page by page into an existing empty file, consistently, while others write."""
        with self._pool.connection() as connection:
            connection.copy_to(target)

    def close(self) -> None:
        self._pool.close()


def _carry_out(connection: Connection, ticket: _Ticket[Any]) -> None:
    """Run one job in its savepoint. Its own errors stay with it; the database's errors end the whole batch."""
    try:
        with connection.savepoint():
            ticket.value = ticket.job(connection)
    except RefusedError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the thread whose job it was, which raises it
        ticket.error = error
