"""The hash chain over everything that is recorded: how a record is hashed, and how each kind of tampering shows.

A record is canonical JSON that holds the hash of the record before it. Record 1 follows the store's own id, so that
a chain cannot be passed off as another store's. Pure: takes rows, returns findings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from patchctl.model.codec import canonical_json, to_data
from patchctl.model.rollout import Event


class Head(Struct, frozen=True):
    """The end of the chain at some time. Kept outside the database it shows a truncated or rewritten chain."""

    store_id: str
    epoch: int
    number: int
    hash: str
    at: float = 0.0


class AuditRecord(Struct, frozen=True):
    """One link of the chain: its audit number, its hash and the event it records."""

    number: int
    hash: str
    event: Event


class Row(Struct, frozen=True):
    """A stored record as it lies in the database."""

    number: int
    rollout: str
    seq: int
    host: str
    kind: str
    record: str
    hash: str


class ChainProblem(Struct, frozen=True):
    number: int
    """Audit number of the record that is wrong; 0 = the chain as a whole."""
    code: str
    """edited | missing | misplaced | unlinked | truncated | rewritten | foreign | plan-edited | plan-missing |
    evidence-edited"""
    message: str


class ChainReport(Struct, frozen=True):
    """What verification found. `ok` only if every record was read and nothing was wrong."""

    records: int
    head: Head
    problems: tuple[ChainProblem, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.problems


def genesis(store_id: str) -> str:
    """Return the hash that record 1 follows."""
    return hashlib.sha256(f"patchctl/audit/1 {store_id}".encode()).hexdigest()


def seal(event: Event, number: int, previous: str) -> tuple[str, str]:
    """Return (record, hash) for an event at this place of the chain."""
    record = canonical_json({"number": number, "prev": previous, **to_data(event)})
    return record.decode(), hashlib.sha256(record).hexdigest()


def verify_rows(rows: Iterable[Row], end: Head, heads: Sequence[Head] = ()) -> ChainReport:
    """Check rows in order of their number against each other, the store's own head and heads kept elsewhere.

    Every record that was edited, dropped, swapped or cut off is named. A record whose content and hash were both
    rewritten shows at the record that follows it; a rewritten rest of the chain shows against a kept head.
    """
    problems: list[ChainProblem] = []
    kept: dict[int, set[str]] = {}
    for head in heads:
        if head.store_id != end.store_id:
            problems.append(ChainProblem(0, "foreign", f"the kept head is of store {head.store_id}, not of this one"))
        else:
            kept.setdefault(head.number, set()).add(head.hash)
    if kept.pop(0, set()) - {genesis(end.store_id)}:
        problems.append(ChainProblem(0, "rewritten", "the kept head does not belong to this chain"))
    previous, last, count = genesis(end.store_id), 0, 0
    for row in rows:
        count += 1
        if row.number != last + 1:
            problems.append(_gap(last + 1, row.number - 1, "missing", "are missing", "is missing"))
        problems += _check_row(row, previous if row.number == last + 1 else None)
        if kept.pop(row.number, set()) - {row.hash}:
            problems.append(
                ChainProblem(row.number, "rewritten", f"record {row.number} is not the one the kept head states")
            )
        previous, last = row.hash, row.number
    stated = max([end.number, *kept])
    if stated > last:
        problems.append(_gap(last + 1, stated, "truncated", "were cut off the end", "was cut off the end"))
    elif (end.number, end.hash) != (last, previous):
        problems.append(ChainProblem(last, "rewritten", f"the store's own head is not record {last}"))
    return ChainReport(count, end, tuple(problems))


def _gap(first: int, last: int, code: str, many: str, one: str) -> ChainProblem:
    if last > first:
        return ChainProblem(first, code, f"records {first} to {last} {many}")
    return ChainProblem(first, code, f"record {first} {one}")


def _check_row(row: Row, previous: str | None) -> list[ChainProblem]:
    """Check one row; `previous` is the hash of the record right before it, None if that one is missing."""
    name = f"record {row.number}"
    if hashlib.sha256(row.record.encode("utf-8", "surrogatepass")).hexdigest() != row.hash:
        return [ChainProblem(row.number, "edited", f"{name} was edited: its content does not match its hash")]
    try:
        content: dict[str, Any] = msgspec.json.decode(row.record, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return [ChainProblem(row.number, "edited", f"{name} is not readable")]
    stated = content.get("number")
    if stated != row.number:
        return [ChainProblem(row.number, "misplaced", f"record {stated} lies in the place of {name}")]
    columns = (content.get("rollout"), content.get("seq"), content.get("host"), content.get("kind"))
    if columns != (row.rollout, row.seq, row.host, row.kind):
        return [ChainProblem(row.number, "edited", f"{name} was edited: its search columns do not match its content")]
    if previous is not None and content.get("prev") != previous:
        before = f"record {row.number - 1}" if row.number > 1 else "the beginning of this store"
        return [ChainProblem(row.number, "unlinked", f"{name} does not follow {before}: one of the two was replaced")]
    return []


def decode_event(record: str) -> Event:
    """Return the event a record holds."""
    return msgspec.json.decode(record, type=Event)
