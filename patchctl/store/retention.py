"""How big the store is, what may go, and a consistent copy of it. The audit chain is never pruned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from patchctl.model.errors import StoreError
from patchctl.store import schema
from patchctl.store.chain import decode_event
from patchctl.store.engine import Database

_CHUNK = 400


class Pruned(Struct, frozen=True):
    snapshots: int
    evidence: int
    freed: int
    """Bytes of compressed evidence; the file shrinks only when compacted, its free pages are used again."""
    assessments: int = 0
    """Rows of one host and one baseline each."""


def measure(database: Database) -> dict[str, Any]:
    """Return counts and bytes: rows per table, compressed evidence, the whole database."""
    with database.read() as connection:
        tables = (schema.audit, schema.plans, schema.snapshots, schema.assessments, schema.evidence)
        rows = {t.name: connection.execute(sa.select(sa.func.count()).select_from(t)).scalar_one() for t in tables}
        body = sa.func.coalesce(sa.func.sum(sa.func.length(schema.evidence.c.body)), 0)
        stored = connection.execute(sa.select(body)).scalar_one()
        if database.dialect == "sqlite":
            pages, size = (connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("page_count", "page_size"))
            total = int(pages or 0) * int(size or 0)
        else:
            total = connection.execute(sa.select(sa.func.pg_database_size(sa.func.current_database()))).scalar_one()
    return {"rows": rows, "evidence_bytes": int(stored), "total_bytes": int(total)}


def find_old_snapshots(connection: sa.Connection, snapshots_before: float, proofs_before: float) -> list[int]:
    """Return ids of snapshots that may go.

    Kept are: everything since `snapshots_before`, each host's latest and latest reached snapshot of each kind, those
    with a tag, and since `proofs_before` those that a rollout's verification names: they are its proof.
    """
    table = schema.snapshots
    keep = set(connection.execute(sa.select(schema.snapshot_tags.c.snapshot)).scalars())
    for condition in (sa.true(), table.c.reached):
        newest = sa.select(table.c.host, table.c.kind, sa.func.max(table.c.taken_at).label("at")).where(condition)
        latest = newest.group_by(table.c.host, table.c.kind).subquery()
        same = (table.c.host == latest.c.host) & (table.c.kind == latest.c.kind) & (table.c.taken_at == latest.c.at)
        keep.update(connection.execute(sa.select(table.c.id).join(latest, same)).scalars())
    keep.update(_proofs(connection, proofs_before))
    old = sa.select(table.c.id).where(table.c.taken_at < snapshots_before)
    return [number for number in connection.execute(old).scalars() if number not in keep]


def prune(
    connection: sa.Connection, snapshots_before: float, proofs_before: float, assessments_before: float = 0.0
) -> Pruned:
    """Delete what find_old_snapshots names, old assessments, then the evidence that nothing refers to any more.

    Each host's latest assessment by each baseline stays.
    """
    assessments = _prune_assessments(connection, assessments_before)
    doomed = find_old_snapshots(connection, snapshots_before, proofs_before)
    for part in _chunks(doomed):
        connection.execute(sa.delete(schema.snapshots).where(schema.snapshots.c.id.in_(part)))
    links, evidence = schema.snapshot_evidence, schema.evidence
    used = sa.select(schema.snapshots.c.manifest)
    connection.execute(sa.delete(links).where(links.c.manifest.not_in(used)))
    unused = evidence.c.sha256.not_in(sa.select(links.c.sha256)) & evidence.c.sha256.not_in(
        sa.select(schema.assessments.c.findings)
    )
    count, freed = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(sa.func.length(evidence.c.body)), 0)).where(unused)
    ).one()
    connection.execute(sa.delete(evidence).where(unused))
    return Pruned(len(doomed), int(count), int(freed), assessments)


def _prune_assessments(connection: sa.Connection, before: float) -> int:
    """Delete assessments older than a Unix time but for each host's latest; return how many."""
    table, runs = schema.assessments, schema.assessment_runs
    newest = sa.select(table.c.host, table.c.baseline, sa.func.max(table.c.at).label("at"))
    latest = newest.group_by(table.c.host, table.c.baseline).subquery()
    same = (table.c.host == latest.c.host) & (table.c.baseline == latest.c.baseline) & (table.c.at == latest.c.at)
    kept = set(connection.execute(sa.select(table.c.run).join(latest, same)).scalars())
    old = connection.execute(sa.select(runs.c.run).where(runs.c.at < before)).scalars()
    doomed = [run for run in old if run not in kept]
    gone = 0
    for start in range(0, len(doomed), _CHUNK):
        part = doomed[start : start + _CHUNK]
        gone += connection.execute(sa.delete(table).where(table.c.run.in_(part))).rowcount
        connection.execute(sa.delete(runs).where(runs.c.run.in_(part)))
    return gone


def _proofs(connection: sa.Connection, since: float) -> Iterator[int]:
    """Give the ids of snapshots that verifications since then name."""
    audit = schema.audit
    query = sa.select(audit.c.record).where(audit.c.kind == "job-ended").execution_options(yield_per=1000)
    for record in connection.execute(query).scalars():
        if '"snapshot"' not in record:
            continue
        event = decode_event(record)
        named = (event.data.get("data") or {}).get("snapshot")
        if event.at >= since and str(named).isdigit():
            yield int(str(named))


def _chunks(numbers: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(numbers), _CHUNK):
        yield numbers[start : start + _CHUNK]


def copy_store(database: Database, target: Path) -> None:
    """Write a consistent copy of an SQLite store while it is in use. Raise StoreError where that is not possible."""
    if database.dialect != "sqlite":
        raise StoreError("backup", "this store is PostgreSQL", "make the backup with pg_dump")
    if target.exists():
        raise StoreError("backup", f"{target} exists already", "name a new file: a backup is never overwritten")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreError("backup", f"{target}: {error.strerror}", "choose another place") from error
    try:
        database.copy_to(target)
        with target.open("rb") as file:
            os.fsync(file.fileno())
    except StoreError:
        target.unlink(missing_ok=True)
        raise


def raise_epoch(connection: sa.Connection) -> int:
    """Make this store a later one than the one it was copied from; hosts then ask for an explicit takeover."""
    meta = schema.meta
    epoch = int(connection.execute(sa.select(meta.c.value).where(meta.c.key == "epoch")).scalar_one()) + 1
    connection.execute(sa.update(meta).where(meta.c.key == "epoch").values(value=str(epoch)))
    return epoch
