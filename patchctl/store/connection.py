"""What the store asks of a database: the port behind which SQLite and PostgreSQL lie, and their errors in our words.

SQL is written once, as constant text that both understand, with named parameters (:name). Rows are tuples in the
order of the SELECT. A truth value comes back from SQLite as 0 or 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from patchctl.model.errors import StoreError

BUSY_SECONDS = 30.0
"""How long a write waits for another process before it gives up with StoreError."""

CHUNK = 400
"""Values in one IN (...): SQLite's oldest limit is 999 parameters."""

Row = tuple[Any, ...]
Values = Mapping[str, Any]
NOTHING: Values = {}


class RefusedError(StoreError):
    """The database failed: nothing more can be done in this transaction."""


class Connection(ABC):
    """One connection, used by one thread at a time. Every method raises StoreError, RefusedError if all is lost."""

    broken = False
    """Not fit to be used again."""

    @abstractmethod
    def rows(self, sql: str, values: Values = NOTHING) -> list[Row]:
        """Run a statement and return all its rows."""

    @abstractmethod
    def execute(self, sql: str, values: Values = NOTHING) -> int:
        """Run a statement and return how many rows it changed."""

    @abstractmethod
    def insert(self, sql: str, values: Values) -> int:
        """Run an INSERT of one row into a table with an {id}; return the id it got."""

    @abstractmethod
    def execute_many(self, sql: str, values: Sequence[Values]) -> None:
        """Run a statement once for each of `values`."""

    @abstractmethod
    def stream(self, sql: str, values: Values = NOTHING) -> Iterator[Row]:
        """Give the rows of a SELECT without holding all of them in memory."""

    @abstractmethod
    def rows_for_update(self, sql: str, values: Values = NOTHING) -> list[Row]:
        """Return the rows of a SELECT, which nobody else can change before this transaction ends."""

    @abstractmethod
    def only_one(self, name: str) -> None:
        """Wait until no other transaction is past this call with this name."""

    @abstractmethod
    def define(self, statement: str) -> None:
        """Run a statement of schema.py, {bytes} and {id} in it as this database calls those types."""

    @abstractmethod
    def has_table(self, name: str) -> bool: ...

    @abstractmethod
    def total_bytes(self) -> int:
        """Return how big the whole database is."""

    @abstractmethod
    def copy_to(self, target: Path) -> None:
        """Copy the database into an empty file, consistently, while others write."""

    @abstractmethod
    def begin(self, *, writes: bool) -> None:
        """Begin a transaction with one consistent view, or one that writes."""

    @abstractmethod
    def commit(self) -> None:
        """Make the transaction durable. Raise StoreError `store-unsure` where nobody can say whether it is."""

    @abstractmethod
    def roll_back(self) -> None:
        """Undo the transaction if there is one. Raises nothing: a connection that cannot is broken."""

    @abstractmethod
    def is_alive(self) -> bool:
        """Say whether the connection still leads to the database."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection. Raises nothing."""

    def value(self, sql: str, values: Values = NOTHING) -> Any:
        """Run a statement and return the first value of its first row, None if there is no row."""
        rows = self.rows(sql, values)
        return rows[0][0] if rows else None

    @contextmanager
    def transaction(self, *, writes: bool = False) -> Iterator[None]:
        """Commit when the block ends, undo everything when it raises."""
        try:
            self.begin(writes=writes)
            yield
            self.commit()
        except BaseException:
            self.roll_back()
            raise

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only what the block did when it raises. After RefusedError the whole transaction is lost anyway."""
        self.execute("SAVEPOINT job")
        try:
            yield
        except RefusedError:
            raise
        except Exception:
            self.execute("ROLLBACK TO SAVEPOINT job")
            self.execute("RELEASE SAVEPOINT job")
            raise
        self.execute("RELEASE SAVEPOINT job")


def only(rows: Sequence[Row]) -> Row:
    """Return the one row there is. Raise RefusedError where a row that every store has is gone, or there twice."""
    if len(rows) != 1:
        raise RefusedError("store-damaged", "a row that every store has is not there", "restore the last backup")
    return rows[0]


def rows_of_each(connection: Connection, sql: str, values: Sequence[Any]) -> Iterator[Row]:
    """Give the rows of a SELECT with `IN (:each)`, run for some hundred of the values at a time."""
    for text, part in _parts(sql, values):
        yield from connection.rows(text, part)


def execute_for_each(connection: Connection, sql: str, values: Sequence[Any]) -> int:
    """Run a statement with `IN (:each)` for some hundred of the values at a time; return how many rows it changed."""
    return sum(connection.execute(text, part) for text, part in _parts(sql, values))


def _parts(sql: str, values: Sequence[Any]) -> Iterator[tuple[str, Values]]:
    for start in range(0, len(values), CHUNK):
        part = {f"each{n}": value for n, value in enumerate(values[start : start + CHUNK])}
        # The text depends on how many values there are, never on what they are.
        yield sql.replace(":each", ", ".join(f":{name}" for name in part)), part


def explain(error: Exception, *, conflict: bool) -> StoreError:
    """Translate the database's error into words and a hint; `conflict`: a row that must be the only one is there."""
    text = str(error).lower()
    if any(sign in text for sign in ("disk is full", "no space left", "disk full", "file too large", "disk i/o error")):
        return RefusedError(
            "disk-full",
            "the store cannot be written: its disk is full or failing; this step was not recorded",
            "free space where the store lies (patchctl state size), then resume",
        )
    if "database is locked" in text or "lock timeout" in text:
        return RefusedError(
            "store-busy", f"another process kept the store locked for {BUSY_SECONDS:.0f} s", "look at: patchctl status"
        )
    if "readonly" in text or "read-only" in text or "permission denied" in text:
        return RefusedError("store-read-only", "the store is read-only or belongs to somebody else", "check its owner")
    if "unable to open database file" in text:
        # What SQLite says for a folder or file that this user may not enter, and for a read-only file system.
        return RefusedError("store-read-only",
                            "the store cannot be opened: it belongs to somebody else, or is read-only",
                            "run it as the user who owns the project's .patchctl folder, or name a store with --state")
    if "malformed" in text or "not a database" in text:
        return RefusedError("store-damaged", "the file is damaged or not a patchctl store", "restore the last backup")
    if conflict:
        return StoreError("conflict", "another process recorded the same thing first", "look at: patchctl status")
    first = str(error).strip().splitlines()
    return RefusedError("store-failed", f"the database refused: {first[0] if first else type(error).__name__}", "")
