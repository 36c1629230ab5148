"""Snapshots as manifests over evidence that is stored once by its hash, and since when each update is known."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.model.codec import canonical_json
from patchctl.model.errors import HostFailure, StoreError
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.facts import Update
from patchctl.store.connection import CHUNK, Connection, rows_of_each
from patchctl.store.engine import Database

_SNAPSHOT = "SELECT id, host, taken_at, manifest, volatile FROM snapshots"
INSERT_EVIDENCE = "INSERT INTO evidence (sha256, size, body) VALUES (:sha256, :size, :body) ON CONFLICT DO NOTHING"
"""Evidence that is there already is left alone: its hash says that it is the same."""
_EVIDENCE_KNOWN = "SELECT sha256 FROM evidence WHERE sha256 IN (:each)"


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


class _Stored(NamedTuple):
    """What _SNAPSHOT selects."""

    id: int
    host: str
    taken_at: float
    manifest: str
    volatile: bytes


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


def insert_packed(connection: Connection, packed: PackedSnapshot, compressed: dict[str, bytes]) -> str:
    """Write a packed snapshot in the caller's transaction; return its id."""
    known = {digest for (digest,) in rows_of_each(connection, _EVIDENCE_KNOWN, list(packed.bodies))}
    new = [
        {"sha256": digest, "size": len(body), "body": compressed.get(digest) or zlib.compress(body)}
        for digest, body in packed.bodies.items()
        if digest not in known
    ]
    if new:
        connection.execute_many(INSERT_EVIDENCE, new)
    if packed.manifest not in known:
        links = [{"manifest": packed.manifest, "sha256": digest} for digest in packed.bodies]
        connection.execute_many(
            "INSERT INTO snapshot_evidence (manifest, sha256) VALUES (:manifest, :sha256) ON CONFLICT DO NOTHING", links
        )
    row = {
        "host": packed.host, "taken_at": packed.taken_at, "reached": packed.reached, "manifest": packed.manifest,
        "volatile": packed.volatile, "kind": packed.kind,
    }  # fmt: skip
    number = connection.insert(
        "INSERT INTO snapshots (host, taken_at, reached, manifest, volatile, kind)"
        " VALUES (:host, :taken_at, :reached, :manifest, :volatile, :kind)", row,
    )  # fmt: skip
    return str(number)


def missing_evidence(database: Database, digests: Sequence[str]) -> set[str]:
    """Return those hashes that the store does not have yet."""
    with database.read() as connection:
        return set(digests) - {digest for (digest,) in rows_of_each(connection, _EVIDENCE_KNOWN, digests)}


def iterate_snapshots(
    database: Database, hosts: Sequence[str] | None, *, reached: bool, kind: str = "scan", before: float | None = None
) -> Iterator[Snapshot]:
    """Give the latest snapshot of each host (None = all), in order of host name; `reached` = leave failures out.

    kind: scan | assess, what it was taken for. `before`: the latest at or before this Unix time. Equal evidence of
    several hosts is one object in memory.
    """
    wanted = None if hosts is None else set(hosts)
    with database.read() as connection:
        rows = connection.rows(
            _SNAPSHOT + " JOIN (SELECT host, max(taken_at) AS taken_at FROM snapshots"
            "  WHERE kind = :kind AND (reached OR :failures) AND taken_at <= :before GROUP BY host) AS latest"
            " USING (host, taken_at) WHERE kind = :kind AND (reached OR :failures) ORDER BY id",
            {"kind": kind, "failures": not reached, "before": math.inf if before is None else before},
        )
        latest = {row.host: row for row in map(_Stored._make, rows) if wanted is None or row.host in wanted}
        for _, snapshot in _unpack(connection, [latest[name] for name in sorted(latest)]):
            yield snapshot


def read_snapshots(database: Database, numbers: Sequence[int]) -> Iterator[tuple[int, Snapshot]]:
    """Give (id, snapshot) for each of these ids that is there, equal evidence as one object in memory."""
    with database.read() as connection:
        rows = rows_of_each(connection, _SNAPSHOT + " WHERE id IN (:each)", numbers)
        yield from _unpack(connection, [_Stored._make(row) for row in rows])


def _unpack(connection: Connection, rows: Sequence[_Stored]) -> Iterator[tuple[int, Snapshot]]:
    reader = _Reader()
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        reader.prefetch(connection, part)
        for row in part:
            yield row.id, reader.unpack(connection, row)


def read_snapshot(database: Database, snapshot_id: str) -> Snapshot:
    """Return one snapshot by its id. Raise StoreError if there is none."""
    with database.read() as connection:
        rows = connection.rows(_SNAPSHOT + " WHERE id = :id", {"id": int(snapshot_id)})
        if not rows:
            raise StoreError("no-snapshot", f"there is no snapshot {snapshot_id}", "it may have been pruned")
        return _Reader().unpack(connection, _Stored._make(rows[0]))


class _Reader:
    """Puts snapshots together again; keeps what it read, because most hosts share most of their evidence."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._manifests: dict[str, _Manifest] = {}

    def prefetch(self, connection: Connection, rows: Sequence[_Stored]) -> None:
        """Load what these rows need with few queries instead of two for each."""
        self._load(connection, sorted({row.manifest for row in rows} - self._texts.keys()))
        parts = (part for row in rows for part in self._manifest(connection, row.manifest).evidence.values())
        self._load(connection, sorted({part.sha256 for part in parts if part.sha256} - self._texts.keys()))

    def _manifest(self, connection: Connection, digest: str) -> _Manifest:
        manifest = self._manifests.get(digest)
        if manifest is None:
            manifest = msgspec.json.decode(self._text(connection, digest), type=_Manifest)
            self._manifests[digest] = manifest
        return manifest

    def unpack(self, connection: Connection, row: _Stored) -> Snapshot:
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

    def _text(self, connection: Connection, digest: str) -> str:
        if digest not in self._texts:
            self._load(connection, [digest])
        return self._texts[digest]

    def _load(self, connection: Connection, digests: Sequence[str]) -> None:
        select = "SELECT sha256, body FROM evidence WHERE sha256 IN (:each)"
        for digest, body in rows_of_each(connection, select, digests):
            self._texts[digest] = zlib.decompress(body).decode("utf-8", "surrogatepass")
        lost = [d for d in digests if d not in self._texts]
        if lost:
            raise StoreError("evidence-lost", f"evidence {lost[0][:12]}… is not in the store", "patchctl audit verify")


def times_seen(database: Database) -> dict[str, tuple[float | None, float]]:
    """Return per host (last reached or None, last tried), Unix times."""
    with database.read() as connection:
        rows = connection.rows(
            "SELECT host, max(CASE WHEN reached THEN taken_at END), max(taken_at) FROM snapshots GROUP BY host"
        )
    return {host: (seen, tried) for host, seen, tried in rows}


def note_updates(connection: Connection, host: str, updates: Iterable[Update], at: float) -> None:
    """Remember since when each (package, candidate) is known; the earliest sighting on any host counts."""
    wanted = sorted({(u.package, u.candidate) for u in updates})
    connection.execute_many(
        "INSERT INTO update_seen (package, candidate, first_at, host) VALUES (:package, :candidate, :at, :host)"
        " ON CONFLICT (package, candidate) DO UPDATE SET first_at = excluded.first_at, host = excluded.host"
        " WHERE update_seen.first_at > excluded.first_at",
        [{"package": package, "candidate": candidate, "at": at, "host": host} for package, candidate in wanted],
    )


def read_first_seen(database: Database) -> dict[tuple[str, str], float]:
    """Return (package, candidate) -> Unix time of the earliest snapshot that showed it on any host."""
    with database.read() as connection:
        rows = connection.rows("SELECT package, candidate, first_at FROM update_seen")
    return {(package, candidate): at for package, candidate, at in rows}
