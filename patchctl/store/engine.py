"""Opens the database behind a state URL and writes to it: one writer, group commit, durable before it returns."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from patchctl.model.errors import StoreChoiceError, StoreError
from patchctl.store.place import check_file_system, prepare_file, read_mountinfo

T = TypeVar("T")

BUSY_SECONDS = 30.0
"""How long a write waits for another process before it gives up with StoreError."""

_URL_HINT = "write sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def open_engine(url: str, *, writable: bool) -> sa.Engine:
    """Return an engine for the state URL. Raise StoreError for a bad URL, place or driver.

    Read-only SQLite leaves no file behind: without a -wal file nobody has the store open and it is read as it lies;
    a missing file reads as an empty store.
    """
    parsed = _parse_url(url)
    family = parsed.get_backend_name()
    if family == "sqlite":
        return _open_sqlite(url, writable=writable)
    if family == "postgresql":
        return _open_postgresql(parsed)
    raise StoreChoiceError("state-url", f"no store speaks {family!r}", _URL_HINT)


def _parse_url(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except ArgumentError as error:
        raise StoreChoiceError("state-url", "the state URL is not valid", _URL_HINT) from error


def sqlite_path(url: str) -> Path:
    """Return the file of an SQLite state URL. Raise StoreError for any other URL."""
    parsed = _parse_url(url)
    if parsed.get_backend_name() != "sqlite":
        raise StoreChoiceError("state-url", "this store is not SQLite", "use the tools of the database server")
    if not parsed.database or parsed.database == ":memory:":
        raise StoreChoiceError("state-url", "a store in memory would forget everything", _URL_HINT)
    return Path(parsed.database).expanduser().resolve()


def _open_sqlite(url: str, *, writable: bool) -> sa.Engine:
    path = sqlite_path(url)
    if writable:
        check_file_system(path, read_mountinfo())
        prepare_file(path)
    exists = path.exists()
    # Each read of a read-only store opens the file anew, because how it must be opened changes with its -wal.
    pool = sa.QueuePool if writable else sa.NullPool if exists else sa.StaticPool

    def connect() -> sqlite3.Connection:
        target = _sqlite_target(path, writable=writable) if exists else ":memory:"
        return sqlite3.connect(target, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    options = {"max_overflow": -1} if writable else {}  # hundreds of host threads save snapshots at once
    engine = sa.create_engine("sqlite://", creator=connect, poolclass=pool, **options)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself; `begin` below does
        cursor = connection.cursor()
        if writable:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.execute("PRAGMA wal_autocheckpoint=2000")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # IMMEDIATE: a deferred transaction that turns into a writer halfway fails instead of waiting.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _sqlite_target(path: Path, *, writable: bool) -> str:
    """Return the URI to open a store with (sqlite.org/uri.html)."""
    if writable:
        mode = "mode=rw"
    elif Path(f"{path}-wal").exists():
        mode = "mode=ro"
    else:
        mode = "immutable=1"  # nobody has it open; plain read-only would leave a -wal and a -shm behind
    return f"file:{quote(str(path))}?{mode}"


def _open_postgresql(url: sa.URL) -> sa.Engine:
    try:
        driver = url.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(driver, pool_pre_ping=True, max_overflow=20, pool_timeout=120)
    except ImportError as error:
        raise StoreChoiceError(
            "no-driver", "PostgreSQL needs psycopg", "run: pip install 'patchctl[postgresql]'"
        ) from error

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # An acknowledged append must survive a crash of the server, whatever its default says.
        connection.execute("SET synchronous_commit = on")
        connection.execute(f"SET lock_timeout = {int(BUSY_SECONDS * 1000)}")
        connection.commit()

    return engine


class _Ticket(Generic[T]):
    """One job waiting for the next commit."""

    def __init__(self, job: Callable[[sa.Connection], T]) -> None:
        self.job = job
        self.done = False
        self.error: Exception | None = None
        self.value: T | None = None


class Database:
    """Reads and group-committed writes.

    Threads that write at the same time share one transaction and one fsync: whoever gets the writer's lock first
    carries out all jobs queued so far, each in its own savepoint, and commits. The others find theirs done.
    """

    def __init__(self, engine: sa.Engine, *, writable: bool) -> None:
        self._engine = engine
        self._writable = writable
        self._queue: list[_Ticket[Any]] = []
        self._queueing = threading.Lock()
        self._writing = threading.Lock()

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection with one consistent view. Raise StoreError for what the database refuses."""
        try:
            with self._engine.connect() as connection, connection.begin():
                yield connection
        except SQLAlchemyError as error:
            raise explain(error) from error

    def write(self, job: Callable[[sa.Connection], T]) -> T:
        """Carry out `job` and return its value once it is durable.

        A PatchctlError raised by the job undoes that job only. Raise StoreError when nothing could be made durable;
        then nothing of it is recorded.
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
            with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
                for ticket in batch:
                    _carry_out(connection, ticket)
            committed = True
        except SQLAlchemyError as error:
            failure = explain(error)
        finally:
            for ticket in batch:
                if not committed and ticket.error is None:
                    # A copy each: threads must not share one exception and its traceback.
                    ticket.error = StoreError(failure.code, failure.message, failure.hint)
                ticket.done = True

    def maintain(self, statement: str) -> None:
        """Run a statement that must not be in a transaction (VACUUM). Raise StoreError."""
        try:
            with self._writing, self._engine.connect() as connection:
                connection.connection.cursor().execute(statement)
        except SQLAlchemyError as error:
            raise explain(error) from error
        except sqlite3.Error as error:
            raise StoreError("store-failed", f"{statement}: {error}", "is there enough free space?") from error

    def copy_to(self, target: Path) -> None:
        """Copy an SQLite database page by page into an existing empty file, consistently, while others write."""
        try:
            with self._engine.connect() as connection:
                copy = sqlite3.connect(target)
                try:
                    source: Any = connection.connection.driver_connection
                    source.backup(copy)
                finally:
                    copy.close()
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise StoreError("backup", f"{target}: {error}", "free space or choose another place") from error

    def close(self) -> None:
        self._engine.dispose()


def _carry_out(connection: sa.Connection, ticket: _Ticket[Any]) -> None:
    """Run one job in its savepoint. Its own errors stay with it; the database's errors end the whole batch."""
    try:
        with connection.begin_nested():
            ticket.value = ticket.job(connection)
    except IntegrityError as error:
        ticket.error = explain(error)
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - handed to the thread whose job it was, which raises it
        ticket.error = error


def explain(error: SQLAlchemyError) -> StoreError:
    """Translate the database's error into words and a hint."""
    text = " ".join(str(e) for e in _roots(error)).lower()
    if any(sign in text for sign in ("disk is full", "no space left", "disk full", "file too large", "disk i/o error")):
        return StoreError(
            "disk-full",
            "the store cannot be written: its disk is full or failing; this step was not recorded",
            "free space where the store lies (patchctl state size), then resume",
        )
    if "database is locked" in text or "lock timeout" in text or "locknotavailable" in text:
        return StoreError(
            "store-busy", f"another process kept the store locked for {BUSY_SECONDS:.0f} s", "look at: patchctl status"
        )
    if "readonly" in text or "read-only" in text or "permission denied" in text:
        return StoreError("store-read-only", "the store is read-only or belongs to somebody else", "check its owner")
    if "unable to open database file" in text:
        # What SQLite says for a folder or file that this user may not enter, and for a read-only file system.
        return StoreError("store-read-only", "the store cannot be opened: it belongs to somebody else, or is read-only",
                          "run it as the user who owns the project's .patchctl folder, or name a store with --state")
    if "malformed" in text or "not a database" in text:
        return StoreError("store-damaged", "the file is damaged or not a patchctl store", "restore the last backup")
    if isinstance(error, IntegrityError):
        return StoreError("conflict", "another process recorded the same thing first", "look at: patchctl status")
    first = str(_roots(error)[-1]).strip().splitlines()
    return StoreError("store-failed", f"the database refused: {first[0] if first else type(error).__name__}", "")


def _roots(error: BaseException) -> list[BaseException]:
    """The error and what led to it, outermost first."""
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        current = getattr(current, "orig", None) or current.__cause__ or current.__context__
    return chain
