"""The audit chain in the database: rollout events and all other records, numbered and hashed in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from patchctl.model.errors import StoreError
from patchctl.model.failpoints import hit
from patchctl.model.redaction import clean_values
from patchctl.model.rollout import Event
from patchctl.store.chain import AuditRecord, Row, decode_event, seal
from patchctl.store.connection import Connection, only
from patchctl.store.engine import Database


class StoreJournal:
    """ports.Journal on the store: an append returns when its events are durable."""

    def __init__(self, database: Database, clean: Callable[[str], str] = str) -> None:
        self._database = database
        self._clean = clean

    def events(self, rollout: str, after: int = 0) -> Sequence[Event]:
        """Return the events of a rollout with seq > after, in order and as they were written."""
        with self._database.read() as connection:
            records = connection.rows(
                "SELECT record FROM audit WHERE rollout = :rollout AND seq > :after ORDER BY seq",
                {"rollout": rollout, "after": after},
            )
        return [decode_event(record) for (record,) in records]

    def append(self, events: Sequence[Event]) -> None:
        """Make the events durable, all or none. Raise StoreError when a (rollout, seq) exists already."""
        if not events:
            return
        wanted = [clean_event(event, self._clean) for event in events]
        if any(not event.rollout for event in wanted):
            raise ValueError("an event needs its rollout; use Store.record for anything else")
        hit("journal.append.before")
        self._database.write(lambda connection: _append_events(connection, wanted))
        hit("journal.append.after")


def clean_event(event: Event, clean: Callable[[str], str]) -> Event:
    """Return the event without what `clean` takes out of texts: secrets never reach the database."""
    return replace(event, data=clean_values(event.data, clean), reason=clean(event.reason))


def record_event(database: Database, event: Event) -> int:
    """Chain a record outside any rollout; return its audit number. Durable on return."""
    hit("journal.append.before")
    number = database.write(lambda connection: append_records(connection, [event]))
    hit("journal.append.after")
    return number


def _append_events(connection: Connection, events: Sequence[Event]) -> None:
    lock_chain(connection)
    seqs: dict[str, list[int]] = {}
    for event in events:
        seqs.setdefault(event.rollout, []).append(event.seq)
    for rollout, numbers in seqs.items():
        # Events of one append are consecutive in practice: one range query instead of a list of any length.
        found = connection.rows(
            "SELECT seq FROM audit WHERE rollout = :rollout AND seq BETWEEN :first AND :last",
            {"rollout": rollout, "first": min(numbers), "last": max(numbers)},
        )
        taken = {seq for (seq,) in found} & set(numbers)
        if taken or len(set(numbers)) != len(numbers):
            where = f"{rollout} event {min(taken)}" if taken else f"{rollout}"
            raise StoreError(
                "journal-conflict",
                f"{where} was recorded already: another patchctl works on this rollout",
                "look at: patchctl status; nothing of this step was recorded or done",
            )
    append_records(connection, events)


def lock_chain(connection: Connection) -> tuple[int, str]:
    """Return (number, hash) of the chain's end; nobody else can append until this transaction ends."""
    number, digest = only(connection.rows_for_update("SELECT number, hash FROM chain WHERE id = 1"))
    return number, digest


def append_records(connection: Connection, events: Sequence[Event]) -> int:
    """Chain events in the caller's transaction; return the last audit number. seq 0 outside rollouts = the number."""
    number, previous = lock_chain(connection)
    rows = []
    for given in events:
        number += 1
        event = given if given.rollout else replace(given, seq=number)
        try:
            record, previous = seal(event, number, previous)
        except (TypeError, UnicodeEncodeError, OverflowError) as error:
            raise StoreError("not-recordable", f"event {event.kind} holds a value that is not JSON: {error}") from error
        rows.append({
            "number": number, "rollout": event.rollout, "seq": event.seq, "host": event.host, "kind": event.kind,
            "record": record, "hash": previous,
        })  # fmt: skip
    connection.execute_many(
        "INSERT INTO audit (number, rollout, seq, host, kind, record, hash)"
        " VALUES (:number, :rollout, :seq, :host, :kind, :record, :hash)", rows,
    )  # fmt: skip
    end = {"number": number, "hash": previous}
    connection.execute("UPDATE chain SET number = :number, hash = :hash WHERE id = 1", end)
    return number


def read_records(
    database: Database, *, after: int = 0, rollout: str | None = None, host: str | None = None
) -> list[AuditRecord]:
    """Return records with number > after, oldest first: all, of one rollout ("" = outside any), or of one host."""
    with database.read() as connection:
        rows = connection.rows(
            "SELECT number, hash, record FROM audit WHERE number > :after"
            + (" AND rollout = :rollout" if rollout is not None else "")
            + (" AND host = :host" if host is not None else "")
            + " ORDER BY number",
            {"after": after, "rollout": rollout, "host": host},
        )
    return [AuditRecord(number, digest, decode_event(record)) for number, digest, record in rows]


def iterate_rows(connection: Connection) -> Iterator[Row]:
    """Give every stored record in order, not all in memory at once."""
    for row in connection.stream("SELECT number, rollout, seq, host, kind, record, hash FROM audit ORDER BY number"):
        yield Row(*row)
