"""The store in an SQLite file: how it is opened, and the port on the standard library's sqlite3."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from patchctl.model.errors import StoreError
from patchctl.store.connection import BUSY_SECONDS, NOTHING, Connection, Row, Values, explain
from patchctl.store.place import check_file_system, prepare_file, read_mountinfo
from patchctl.store.pool import Pool

_TYPES = {"bytes": "BLOB", "id": "INTEGER"}  # only INTEGER PRIMARY KEY counts up by itself


def open_file(path: Path, *, writable: bool) -> Pool:
    """Return connections to a store's file; a new empty file is made if it is to be written.

    Read-only leaves no file behind: without a -wal file nobody has the store open and it is read as it lies.
    """
    if not writable:
        # Each read opens the file anew, because how it must be opened changes with its -wal.
        return Pool(lambda: _connect(_read_only_uri(path)), keep=0)
    check_file_system(path, read_mountinfo())
    prepare_file(path)
    return Pool(lambda: _connect(f"{_file_uri(path)}?mode=rw", writable=True), keep=5)


def open_memory() -> Pool:
    """Return connections to one empty database in memory, which lasts as long as one of them is kept."""
    uri = f"file:{os.urandom(16).hex()}?mode=memory&cache=shared"  # sqlite.org/inmemorydb.html
    return Pool(lambda: _connect(uri), keep=5)


def _file_uri(path: Path) -> str:
    """Return the path as a URI (sqlite.org/uri.html)."""
    return f"file:{quote(os.fsencode(path))}"


def _read_only_uri(path: Path) -> str:
    if Path(f"{path}-wal").exists():
        return f"{_file_uri(path)}?mode=ro"
    return f"{_file_uri(path)}?immutable=1"  # nobody has it open; plain read-only would leave a -wal and a -shm behind


def _connect(uri: str, *, writable: bool = False) -> SqliteConnection:
    try:
        # isolation_level None: the driver must not begin transactions by itself, `begin` does.
        raw = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            if writable:
                raw.execute("PRAGMA journal_mode=WAL")
                raw.execute("PRAGMA synchronous=FULL")
                raw.execute("PRAGMA wal_autocheckpoint=2000")
        except BaseException:
            raw.close()
            raise
    except sqlite3.Error as error:
        raise _translate(error) from error
    return SqliteConnection(raw)


def _translate(error: sqlite3.Error) -> StoreError:
    return explain(error, conflict=isinstance(error, sqlite3.IntegrityError))


class SqliteConnection(Connection):
    """The port on sqlite3, which takes the store's SQL as it is."""

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw

    def rows(self, sql: str, values: Values = NOTHING) -> list[Row]:
        try:
            return self._raw.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _translate(error) from error

    def execute(self, sql: str, values: Values = NOTHING) -> int:
        try:
            return self._raw.execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise _translate(error) from error

    def insert(self, sql: str, values: Values) -> int:
        try:
            number = self._raw.execute(sql, values).lastrowid  # RETURNING needs SQLite 3.35: Red Hat 9 has 3.34
        except sqlite3.Error as error:
            raise _translate(error) from error
        assert number is not None, "an INSERT has an id"
        return number

    def execute_many(self, sql: str, values: Sequence[Values]) -> None:
        try:
            self._raw.executemany(sql, values)
        except sqlite3.Error as error:
            raise _translate(error) from error

    def stream(self, sql: str, values: Values = NOTHING) -> Iterator[Row]:
        try:
            yield from self._raw.execute(sql, values)
        except sqlite3.Error as error:
            raise _translate(error) from error

    def rows_for_update(self, sql: str, values: Values = NOTHING) -> list[Row]:
        return self.rows(sql, values)  # whoever writes is alone since BEGIN IMMEDIATE

    def only_one(self, name: str) -> None:
        """Nothing to wait for: whoever writes is alone since BEGIN IMMEDIATE."""

    def define(self, statement: str) -> None:
        self.execute(statement.format(**_TYPES))

    def has_table(self, name: str) -> bool:
        return bool(self.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :name", {"name": name}))

    def total_bytes(self) -> int:
        return int(self.value("PRAGMA page_count")) * int(self.value("PRAGMA page_size"))

    def copy_to(self, target: Path) -> None:
        try:
            copy = sqlite3.connect(target)
            try:
                self._raw.backup(copy)
            finally:
                copy.close()
        except sqlite3.Error as error:
            raise StoreError("backup", f"{target}: {error}", "free space or choose another place") from error

    def begin(self, *, writes: bool) -> None:
        # IMMEDIATE: a deferred transaction that turns into a writer halfway fails instead of waiting.
        self.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    def commit(self) -> None:
        try:
            self._raw.commit()
        except sqlite3.Error as error:
            raise _translate(error) from error

    def roll_back(self) -> None:
        try:
            self._raw.rollback()  # does nothing where SQLite undid the transaction itself, as on a full disk
        except sqlite3.Error:
            self.broken = True

    def is_alive(self) -> bool:
        return True

    def close(self) -> None:
        try:
            self._raw.close()
        except sqlite3.Error:
            self.broken = True
