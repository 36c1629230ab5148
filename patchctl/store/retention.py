"""How big the store is, what may go, and a consistent copy of it. The audit chain is never pruned."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from patchctl.model.errors import StoreError
from patchctl.store.chain import decode_event
from patchctl.store.connection import Connection, execute_for_each, only
from patchctl.store.engine import Database

_UNUSED = (
    " WHERE sha256 NOT IN (SELECT sha256 FROM snapshot_evidence)"
    " AND sha256 NOT IN (SELECT findings FROM assessments)"
)


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
        rows = {
            "audit": connection.value("SELECT count(*) FROM audit"),
            "plans": connection.value("SELECT count(*) FROM plans"),
            "snapshots": connection.value("SELECT count(*) FROM snapshots"),
            "assessments": connection.value("SELECT count(*) FROM assessments"),
            "evidence": connection.value("SELECT count(*) FROM evidence"),
        }
        stored = connection.value("SELECT coalesce(sum(length(body)), 0) FROM evidence")
        total = connection.total_bytes()
    return {"rows": rows, "evidence_bytes": int(stored), "total_bytes": total}


def find_old_snapshots(connection: Connection, snapshots_before: float, proofs_before: float) -> list[int]:
    """Return ids of snapshots that may go.

    Kept are: everything since `snapshots_before`, each host's latest and latest reached snapshot of each kind, those
    with a tag, and since `proofs_before` those that a rollout's verification names: they are its proof.
    """
    keep = {number for (number,) in connection.rows("SELECT snapshot FROM snapshot_tags")}
    for failures in (True, False):
        latest = connection.rows(
            "SELECT id FROM snapshots JOIN (SELECT host, kind, max(taken_at) AS taken_at FROM snapshots"
            "  WHERE reached OR :failures GROUP BY host, kind) AS latest USING (host, kind, taken_at)",
            {"failures": failures},
        )
        keep.update(number for (number,) in latest)
    keep.update(_proofs(connection, proofs_before))
    old = connection.rows("SELECT id FROM snapshots WHERE taken_at < :before", {"before": snapshots_before})
    return [number for (number,) in old if number not in keep]


def prune(
    connection: Connection, snapshots_before: float, proofs_before: float, assessments_before: float = 0.0
) -> Pruned:
    """Delete what find_old_snapshots names, old assessments, then the evidence that nothing refers to any more.

    Each host's latest assessment by each baseline stays.
    """
    assessments = _prune_assessments(connection, assessments_before)
    doomed = find_old_snapshots(connection, snapshots_before, proofs_before)
    execute_for_each(connection, "DELETE FROM snapshots WHERE id IN (:each)", doomed)
    connection.execute("DELETE FROM snapshot_evidence WHERE manifest NOT IN (SELECT manifest FROM snapshots)")
    count, freed = only(connection.rows("SELECT count(*), coalesce(sum(length(body)), 0) FROM evidence" + _UNUSED))
    connection.execute("DELETE FROM evidence" + _UNUSED)
    return Pruned(len(doomed), count, int(freed), assessments)


def _prune_assessments(connection: Connection, before: float) -> int:
    """Delete assessments older than a Unix time but for each host's latest; return how many."""
    latest = connection.rows(
        "SELECT run FROM assessments JOIN (SELECT host, baseline, max(at) AS at FROM assessments"
        "  GROUP BY host, baseline) AS latest USING (host, baseline, at)"
    )
    kept = {run for (run,) in latest}
    old = connection.rows("SELECT run FROM assessment_runs WHERE at < :before", {"before": before})
    doomed = [run for (run,) in old if run not in kept]
    gone = execute_for_each(connection, "DELETE FROM assessments WHERE run IN (:each)", doomed)
    execute_for_each(connection, "DELETE FROM assessment_runs WHERE run IN (:each)", doomed)
    return gone


def _proofs(connection: Connection, since: float) -> Iterator[int]:
    """Give the ids of snapshots that verifications since then name."""
    for (record,) in connection.stream("SELECT record FROM audit WHERE kind = 'job-ended'"):
        if '"snapshot"' not in record:
            continue
        event = decode_event(record)
        named = (event.data.get("data") or {}).get("snapshot")
        if event.at >= since and str(named).isdigit():
            yield int(str(named))


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


def raise_epoch(connection: Connection) -> int:
    """Make this store a later one than the one it was copied from; hosts then ask for an explicit takeover."""
    (known,) = only(connection.rows("SELECT value FROM meta WHERE key = 'epoch'"))
    epoch = int(known) + 1
    connection.execute("UPDATE meta SET value = :epoch WHERE key = 'epoch'", {"epoch": str(epoch)})
    return epoch
