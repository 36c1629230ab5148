"""The store in a PostgreSQL database: how it is opened, and the port on psycopg 3. Imported only when it is used."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from patchctl.model.errors import StoreError
from patchctl.store.connection import BUSY_SECONDS, NOTHING, Connection, RefusedError, Row, Values, explain
from patchctl.store.pool import Pool

_TYPES = {"bytes": "BYTEA", "id": "BIGSERIAL"}
_STREAMED = 1000
"""Rows fetched at a time of what may not fit into memory."""


def open_server(options: dict[str, str]) -> Pool:
    """Return connections to the database that libpq's options name. No connection is made yet."""
    return Pool(lambda: _connect(options), keep=5, limit=25)


def _connect(options: dict[str, str]) -> PostgresqlConnection:
    try:
        # autocommit: the driver must not begin transactions by itself, `begin` does.
        raw = psycopg.connect(make_conninfo(**options), autocommit=True)
        try:
            # An acknowledged append must survive a crash of the server, whatever its default says.
            raw.execute("SET synchronous_commit = on")
            raw.execute("SELECT set_config('lock_timeout', %s, false)", [f"{BUSY_SECONDS * 1000:.0f}"])
        except BaseException:
            raw.close()
            raise
    except psycopg.Error as error:
        raise _translate(error) from error
    return PostgresqlConnection(raw)


def _translate(error: psycopg.Error) -> StoreError:
    return explain(error, conflict=isinstance(error, psycopg.IntegrityError))


@functools.lru_cache(maxsize=1024)
def to_psycopg(sql: str) -> bytes:
    """Return the store's SQL with its parameters as psycopg names them: :name becomes %(name)s."""
    return re.sub(r"(?<![:\w]):([a-z]\w*)", r"%(\1)s", sql.replace("%", "%%")).encode()


class PostgresqlConnection(Connection):
    """The port on psycopg."""

    def __init__(self, raw: psycopg.Connection) -> None:
        self._raw = raw
        self._cursors = itertools.count(1)

    def rows(self, sql: str, values: Values = NOTHING) -> list[Row]:
        try:
            return self._raw.execute(to_psycopg(sql), values).fetchall()
        except psycopg.Error as error:
            raise _translate(error) from error

    def execute(self, sql: str, values: Values = NOTHING) -> int:
        try:
            return self._raw.execute(to_psycopg(sql), values).rowcount
        except psycopg.Error as error:
            raise _translate(error) from error

    def insert(self, sql: str, values: Values) -> int:
        return int(self.value(f"{sql} RETURNING id", values))

    def execute_many(self, sql: str, values: Sequence[Values]) -> None:
        try:
            with self._raw.cursor() as cursor:
                cursor.executemany(to_psycopg(sql), values)
        except psycopg.Error as error:
            raise _translate(error) from error

    def stream(self, sql: str, values: Values = NOTHING) -> Iterator[Row]:
        try:
            with self._raw.cursor(name=f"patchctl_{next(self._cursors)}") as cursor:
                cursor.itersize = _STREAMED
                yield from cursor.execute(to_psycopg(sql), values)
        except psycopg.Error as error:
            raise _translate(error) from error

    def rows_for_update(self, sql: str, values: Values = NOTHING) -> list[Row]:
        return self.rows(f"{sql} FOR UPDATE", values)

    def only_one(self, name: str) -> None:
        self.rows("SELECT pg_advisory_xact_lock(hashtext(:name))", {"name": name})

    def define(self, statement: str) -> None:
        self.execute(statement.format(**_TYPES))

    def has_table(self, name: str) -> bool:
        return bool(self.value("SELECT to_regclass(:name) IS NOT NULL", {"name": name}))

    def total_bytes(self) -> int:
        return int(self.value("SELECT pg_database_size(current_database())"))

    def copy_to(self, target: Path) -> None:
        raise StoreError("backup", f"{target}: this store is PostgreSQL", "make the backup with pg_dump")

    def begin(self, *, writes: bool) -> None:
        # READ COMMITTED: whoever waited for a row that is kept for update must then see what was made of it.
        self.execute(
            "BEGIN ISOLATION LEVEL READ COMMITTED" if writes else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        )

    def commit(self) -> None:
        try:
            self._raw.commit()
        except psycopg.Error as error:
            if self._raw.closed:
                raise RefusedError(
                    "store-unsure",
                    "the connection to the database was lost while this step was recorded: it may or may not be there",
                    "look at: patchctl status, then resume",
                ) from error
            raise _translate(error) from error

    def roll_back(self) -> None:
        try:
            self._raw.rollback()
        except psycopg.Error:
            self.broken = True

    def is_alive(self) -> bool:
        try:
            self._raw.execute("SELECT 1")
        except psycopg.Error:
            self.broken = True
        return not self.broken

    def close(self) -> None:
        self._raw.close()
