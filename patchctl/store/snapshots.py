"""Snapshots as manifests over evidence that is stored once by its hash, and since when each update is known."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.model.codec import canonical_json
from patchctl.model.errors import HostFailure, StoreError
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.facts import Update
from patchctl.store import schema
from patchctl.store.engine import Database

_CHUNK = 400
"""Parameters in one IN (...): SQLite's oldest limit is 999."""


class _Part(Struct, frozen=True):
    """One probe in a manifest: its evidence without the output, which lies under its hash."""

    status: str
    sha256: str = ""
    rc: int | None = None
    reason: str = ""
    truncated: bool = False


class _Manifest(Struct, frozen=True):
    evidence: dict[str, _Part]
    complete: bool = True
    failure: HostFailure | None = None


class _Volatile(Struct, frozen=True):
    evidence: dict[str, Evidence] = field(default_factory=dict)
    seconds: float = 0.0
    round_trips: int = 1


class PackedSnapshot(Struct, frozen=True):
    """A snapshot ready to be written: hashing and compressing are done outside the writer's transaction."""

    host: str
    taken_at: float
    reached: bool
    manifest: str
    volatile: bytes
    bodies: dict[str, bytes]
    """sha256 -> raw bytes, the manifest's own included."""
    kind: str = "scan"


def clean_snapshot(snapshot: Snapshot, clean: Callable[[str], str]) -> Snapshot:
    """Return the snapshot without what `clean` takes out of its evidence: secrets never reach the database."""
    cleaned = {
        probe: replace(found, output=clean(found.output), reason=clean(found.reason))
        for probe, found in snapshot.evidence.items()
    }
    return replace(snapshot, evidence=cleaned)


def pack_snapshot(snapshot: Snapshot, kind: str = "scan") -> PackedSnapshot:
    """Split a snapshot into manifest, evidence by hash, and what is volatile. kind: scan | assess."""
    bodies: dict[str, bytes] = {}
    parts: dict[str, _Part] = {}
    volatile: dict[str, Evidence] = {}
    for probe, found in snapshot.evidence.items():
        if found.volatile:
            volatile[probe] = found
            continue
        digest = ""
        if found.output:
            body = found.output.encode("utf-8", "surrogatepass")
            digest = hashlib.sha256(body).hexdigest()
            bodies[digest] = body
        parts[probe] = _Part(found.status, digest, found.rc, found.reason, found.truncated)
    manifest = canonical_json(_Manifest(parts, snapshot.complete, snapshot.failure))
    digest = hashlib.sha256(manifest).hexdigest()
    bodies[digest] = manifest
    rest = canonical_json(_Volatile(volatile, snapshot.seconds, snapshot.round_trips))
    return PackedSnapshot(
        snapshot.host, snapshot.taken_at, snapshot.failure is None, digest, zlib.compress(rest), bodies, kind
    )


def insert_packed(connection: sa.Connection, packed: PackedSnapshot, compressed: dict[str, bytes]) -> str:
    """Write a packed snapshot in the caller's transaction; return its id."""
    evidence = schema.evidence
    known = set(_select_in(connection, evidence.c.sha256, list(packed.bodies)))
    new = [
        {"sha256": digest, "size": len(body), "body": compressed.get(digest) or zlib.compress(body)}
        for digest, body in packed.bodies.items()
        if digest not in known
    ]
    if new:
        connection.execute(insert_or_ignore(connection, evidence), new)
    if packed.manifest not in known:
        links = [{"manifest": packed.manifest, "sha256": digest} for digest in packed.bodies]
        connection.execute(insert_or_ignore(connection, schema.snapshot_evidence), links)
    row = {
        "host": packed.host, "taken_at": packed.taken_at, "reached": packed.reached, "manifest": packed.manifest,
        "volatile": packed.volatile, "kind": packed.kind,
    }  # fmt: skip
    result = connection.execute(sa.insert(schema.snapshots).returning(schema.snapshots.c.id), row)
    return str(result.scalar_one())


def insert_or_ignore(connection: sa.Connection, table: sa.Table) -> Any:
    """Return an INSERT that leaves an existing row alone."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table).on_conflict_do_nothing()


def _select_in(connection: sa.Connection, column: sa.Column[Any], values: Sequence[str]) -> Iterator[str]:
    for start in range(0, len(values), _CHUNK):
        query = sa.select(column).where(column.in_(values[start : start + _CHUNK]))
        yield from connection.execute(query).scalars()


def missing_evidence(database: Database, digests: Sequence[str]) -> set[str]:
    """Return those hashes that the store does not have yet."""
    with database.read() as connection:
        return set(digests) - set(_select_in(connection, schema.evidence.c.sha256, digests))


def iterate_snapshots(
    database: Database, hosts: Sequence[str] | None, *, reached: bool, kind: str = "scan", before: float | None = None
) -> Iterator[Snapshot]:
    """Give the latest snapshot of each host (None = all), in order of host name; `reached` = leave failures out.

    kind: scan | assess, what it was taken for. `before`: the latest at or before this Unix time. Equal evidence of
    several hosts is one object in memory.
    """
    table = schema.snapshots
    meant = [table.c.kind == kind, *([table.c.reached] if reached else ())]
    if before is not None:
        meant.append(table.c.taken_at <= before)
    newest = (
        sa.select(table.c.host, sa.func.max(table.c.taken_at).label("at")).where(*meant).group_by(table.c.host)
    ).subquery()
    query = sa.select(table).join(newest, (table.c.host == newest.c.host) & (table.c.taken_at == newest.c.at))
    query = query.where(*meant)
    wanted = None if hosts is None else set(hosts)
    reader = _Reader()
    with database.read() as connection:
        rows = {
            row.host: row
            for row in connection.execute(query.order_by(table.c.id))
            if wanted is None or row.host in wanted
        }
        ordered = [rows[name] for name in sorted(rows)]
        for start in range(0, len(ordered), _CHUNK):
            reader.prefetch(connection, ordered[start : start + _CHUNK])
            for row in ordered[start : start + _CHUNK]:
                yield reader.unpack(connection, row)


def read_snapshots(database: Database, numbers: Sequence[int]) -> Iterator[tuple[int, Snapshot]]:
    """Give (id, snapshot) for each of these ids that is there, equal evidence as one object in memory."""
    table, reader = schema.snapshots, _Reader()
    with database.read() as connection:
        for start in range(0, len(numbers), _CHUNK):
            rows = connection.execute(sa.select(table).where(table.c.id.in_(numbers[start : start + _CHUNK]))).all()
            reader.prefetch(connection, rows)
            for row in rows:
                yield row.id, reader.unpack(connection, row)


def read_snapshot(database: Database, snapshot_id: str) -> Snapshot:
    """Return one snapshot by its id. Raise StoreError if there is none."""
    with database.read() as connection:
        row = connection.execute(
            sa.select(schema.snapshots).where(schema.snapshots.c.id == int(snapshot_id))
        ).one_or_none()
        if row is None:
            raise StoreError("no-snapshot", f"there is no snapshot {snapshot_id}", "it may have been pruned")
        return _Reader().unpack(connection, row)


class _Reader:
    """Puts snapshots together again; keeps what it read, because most hosts share most of their evidence."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._manifests: dict[str, _Manifest] = {}

    def prefetch(self, connection: sa.Connection, rows: Sequence[Any]) -> None:
        """Load what these rows need with few queries instead of two for each."""
        self._load(connection, sorted({row.manifest for row in rows} - self._texts.keys()))
        parts = (part for row in rows for part in self._manifest(connection, row.manifest).evidence.values())
        self._load(connection, sorted({part.sha256 for part in parts if part.sha256} - self._texts.keys()))

    def _manifest(self, connection: sa.Connection, digest: str) -> _Manifest:
        manifest = self._manifests.get(digest)
        if manifest is None:
            manifest = msgspec.json.decode(self._text(connection, digest), type=_Manifest)
            self._manifests[digest] = manifest
        return manifest

    def unpack(self, connection: sa.Connection, row: Any) -> Snapshot:
        manifest = self._manifest(connection, row.manifest)
        needed = {part.sha256 for part in manifest.evidence.values() if part.sha256} - self._texts.keys()
        self._load(connection, sorted(needed))
        found = {
            probe: Evidence(
                probe, part.status, self._texts[part.sha256] if part.sha256 else "", part.rc, part.reason,
                part.truncated,
            )
            for probe, part in manifest.evidence.items()
        }  # fmt: skip
        rest = msgspec.json.decode(zlib.decompress(row.volatile), type=_Volatile)
        return Snapshot(
            row.host, row.taken_at, {**found, **rest.evidence}, manifest.failure, rest.seconds, manifest.complete,
            rest.round_trips,
        )  # fmt: skip

    def _text(self, connection: sa.Connection, digest: str) -> str:
        if digest not in self._texts:
            self._load(connection, [digest])
        return self._texts[digest]

    def _load(self, connection: sa.Connection, digests: Sequence[str]) -> None:
        table = schema.evidence
        for start in range(0, len(digests), _CHUNK):
            query = sa.select(table.c.sha256, table.c.body).where(table.c.sha256.in_(digests[start : start + _CHUNK]))
            for digest, body in connection.execute(query):
                self._texts[digest] = zlib.decompress(body).decode("utf-8", "surrogatepass")
        lost = [d for d in digests if d not in self._texts]
        if lost:
            raise StoreError("evidence-lost", f"evidence {lost[0][:12]}… is not in the store", "patchctl audit verify")


def times_seen(database: Database) -> dict[str, tuple[float | None, float]]:
    """Return per host (last reached or None, last tried), Unix times."""
    table = schema.snapshots
    reached = sa.func.max(sa.case((table.c.reached, table.c.taken_at), else_=None))
    query = sa.select(table.c.host, reached, sa.func.max(table.c.taken_at)).group_by(table.c.host)
    with database.read() as connection:
        return {host: (seen, tried) for host, seen, tried in connection.execute(query)}


def note_updates(connection: sa.Connection, host: str, updates: Iterable[Update], at: float) -> None:
    """Remember since when each (package, candidate) is known; the earliest sighting on any host counts."""
    table = schema.update_seen
    wanted = {(u.package, u.candidate) for u in updates}
    for package, candidate in sorted(wanted):
        row = {"package": package, "candidate": candidate, "first_at": at, "host": host}
        connection.execute(insert_or_ignore(connection, table), row)
        connection.execute(
            sa.update(table)
            .where(table.c.package == package, table.c.candidate == candidate, table.c.first_at > at)
            .values(first_at=at, host=host)
        )


def read_first_seen(database: Database) -> dict[tuple[str, str], float]:
    """Return (package, candidate) -> Unix time of the earliest snapshot that showed it on any host."""
    table = schema.update_seen
    with database.read() as connection:
        rows = connection.execute(sa.select(table.c.package, table.c.candidate, table.c.first_at))
        return {(package, candidate): at for package, candidate, at in rows}
