"""The store: everything patchctl must not forget, behind one object. SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

import hashlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import StoreError, UsageError
from patchctl.model.evidence import Snapshot
from patchctl.model.facts import Update
from patchctl.model.failpoints import hit
from patchctl.model.plan import Plan
from patchctl.model.rollout import Event
from patchctl.store import schema
from patchctl.store.assessments import Assessments
from patchctl.store.chain import AuditRecord, ChainReport, Head, genesis, verify_rows
from patchctl.store.connection import Connection, only, rows_of_each
from patchctl.store.contents import check_evidence, check_plans
from patchctl.store.engine import Database, open_database
from patchctl.store.journal import (
    StoreJournal,
    append_records,
    clean_event,
    iterate_rows,
    read_records,
    record_event,
)
from patchctl.store.locks import Holder, break_lock, hold_lock, read_holders
from patchctl.store.plans import RolloutRow, list_rollouts
from patchctl.store.retention import Pruned, copy_store, find_old_snapshots, measure, prune, raise_epoch
from patchctl.store.snapshots import (
    clean_snapshot,
    insert_packed,
    iterate_snapshots,
    missing_evidence,
    note_updates,
    pack_snapshot,
    read_first_seen,
    read_snapshot,
    times_seen,
)
from patchctl.store.url import sqlite_path

__all__ = ["RolloutRow", "Store", "open_store", "sqlite_path", "store_exists", "upgrade_store"]


def open_store(url: str, *, writable: bool = True, now: Callable[[], float] = time.time) -> Store:
    """Open the store behind a state URL, making a new one where there is none.

    `writable=False` writes no byte anywhere: a missing SQLite file reads as an empty store. Raise StoreError for a bad
    URL, a network file system, a readable-by-others file, a newer or older schema, or a missing driver.
    """
    database = open_database(url, writable=writable)
    try:
        return Store(database, _prepare(database, writable=writable), now)
    except BaseException:
        database.close()
        raise


def store_exists(url: str) -> bool:
    """Say whether there is a file of that SQLite store. Of a database server it is not known: True."""
    try:
        return sqlite_path(url).exists()
    except StoreError:
        return True


def upgrade_store(url: str) -> list[int]:
    """Bring a store to this program's schema, all or nothing; return the versions passed (none = up to date).

    Raise StoreError if the store is newer, is none, or a step fails.
    """
    database = open_database(url, writable=True)
    try:
        with database.read() as connection:
            present = connection.has_table("meta")
        if not present:
            raise StoreError("not-a-store", "the database is not a patchctl store", "check --state")
        return database.write(lambda c: schema.upgrade_schema(c, schema.UPGRADES, schema.SCHEMA_VERSION))
    finally:
        database.close()


def _prepare(database: Database, *, writable: bool) -> Mapping[str, str]:
    """Create the tables of a new store; return its meta values. Two processes may do this at once."""
    with database.read() as connection:
        present = connection.has_table("meta")
        if present:
            schema.check_version(schema.read_version(connection))
    if not present:
        if not writable and not database.missing:
            raise StoreError("not-a-store", "the database is not a patchctl store", "check --state")
        database.set_up(_create)
    with database.read() as connection:
        return dict(connection.rows("SELECT key, value FROM meta"))


def _create(connection: Connection) -> None:
    connection.only_one("patchctl create")
    if not connection.has_table("meta"):
        import uuid  # slow to load, and needed once in a store's life

        store_id = str(uuid.uuid4())
        schema.create(connection, store_id, genesis(store_id))


class Store:
    """All durable state. Every method that writes returns after the write is durable; safe from many threads.

    Raises StoreError from every method when the database cannot be read or written (disk full, locked, damaged).
    """

    def __init__(
        self,
        database: Database,
        meta: Mapping[str, str],
        now: Callable[[], float],
        clean: Callable[[str], str] = str,
    ) -> None:
        self._database = database
        self._now = now
        self._clean = clean
        self.store_id = meta["store_id"]
        self.epoch = int(meta["epoch"])
        self.journal = StoreJournal(database, clean)
        self.assessments = Assessments(database, clean)

    def redacting(self, clean: Callable[[str], str]) -> Store:
        """Return this store with `clean` (a Redactor's) applied to all texts of events and evidence it is given."""
        meta = {"store_id": self.store_id, "epoch": str(self.epoch)}
        return Store(self._database, meta, self._now, clean)

    @property
    def database(self) -> Database:
        return self._database

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- audit

    def record(
        self, actor: str, kind: str, data: Mapping[str, Any], reason: str = "", *, host: str = "", rollout: str = ""
    ) -> int:
        """Chain something that happened outside the journal of a rollout (trust, takeover, report); return its number.

        `rollout` only names what it is about; it goes into the data.
        """
        body = {**data, "rollout": rollout} if rollout else dict(data)
        event = Event("", 0, self._now(), actor, kind, host, body, reason)
        return record_event(self._database, clean_event(event, self._clean))

    def records(self, *, after: int = 0, rollout: str | None = None, host: str | None = None) -> list[AuditRecord]:
        """Return audit records with a number above `after`: all, of one rollout ("" = outside any), or of one host."""
        return read_records(self._database, after=after, rollout=rollout, host=host)

    def head(self) -> Head:
        """Return the end of the chain as it is now."""
        with self._database.read() as connection:
            return self._head(connection)

    def _head(self, connection: Connection) -> Head:
        number, digest = only(connection.rows("SELECT number, hash FROM chain"))
        return Head(self.store_id, self.epoch, number, digest, self._now())

    def verify_chain(self, heads: Sequence[Head] = (), *, deep: bool = True) -> ChainReport:
        """Check every record and every plan against the chain and kept heads; `deep`: all evidence too."""
        with self._database.read() as connection:
            report = verify_rows(iterate_rows(connection), self._head(connection), heads)
            more = [*check_plans(connection), *(check_evidence(connection) if deep else ())]
        return ChainReport(report.records, report.head, (*report.problems, *more))

    # --- snapshots and updates

    def save_snapshot(self, snapshot: Snapshot) -> str:
        """Store a snapshot; return its id."""
        return self.save_snapshots([snapshot])[0]

    def save_snapshots(self, snapshots: Sequence[Snapshot], kind: str = "scan") -> list[str]:
        """Store several snapshots with one commit; return their ids. kind: scan | assess, what they were taken for."""
        packed = [pack_snapshot(clean_snapshot(snapshot, self._clean), kind) for snapshot in snapshots]
        bodies = {digest: body for one in packed for digest, body in one.bodies.items()}
        # Compressed before the transaction: the writer is for all threads.
        compressed = {d: zlib.compress(bodies[d]) for d in missing_evidence(self._database, list(bodies))}
        hit("snapshot.save.before")
        ids = self._database.write(lambda c: [insert_packed(c, one, compressed) for one in packed])
        hit("snapshot.save.after")
        return ids

    def load_snapshot(self, snapshot_id: str) -> Snapshot:
        return read_snapshot(self._database, snapshot_id)

    def latest_snapshots(self, hosts: Iterable[str] | None = None, *, reached: bool = False) -> dict[str, Snapshot]:
        """Return each host's latest snapshot, failures included unless `reached`; hosts never visited are left out."""
        return {snapshot.host: snapshot for snapshot in self.iterate_latest(hosts, reached=reached)}

    def iterate_latest(self, hosts: Iterable[str] | None = None, *, reached: bool = False) -> Iterator[Snapshot]:
        """As latest_snapshots, one at a time, for fleets whose snapshots do not fit into memory together."""
        return iterate_snapshots(self._database, None if hosts is None else list(hosts), reached=reached)

    def times_seen(self) -> dict[str, tuple[float | None, float]]:
        """Return per host (Unix time last reached or None, Unix time last tried)."""
        return times_seen(self._database)

    def visits(self, host: str) -> list[tuple[str, float, bool]]:
        """Return (snapshot id, Unix time, reached) of every visit to a host, oldest first."""
        with self._database.read() as connection:
            rows = connection.rows(
                "SELECT id, taken_at, reached FROM snapshots WHERE host = :host ORDER BY taken_at", {"host": host}
            )
        return [(str(number), at, bool(reached)) for number, at, reached in rows]

    def note_updates(self, host: str, updates: Iterable[Update], at: float) -> None:
        """Remember that a host's snapshot of time `at` showed these updates (for approvals `after: 7d`)."""
        wanted = list(updates)
        self._database.write(lambda connection: note_updates(connection, host, wanted, at))

    def first_seen(self, host: str = "", updates: Iterable[Update] | None = None) -> dict[tuple[str, str], float]:
        """Return (package, candidate) -> Unix time it was first seen, on whatever host: an update's age is fleet-wide.

        `updates` narrows the answer; without it everything known is returned (one query for a whole fleet).
        """
        known = read_first_seen(self._database)
        if updates is None:
            return known
        return {k: known[k] for u in updates if (k := (u.package, u.candidate)) in known}

    # --- plans and rollouts

    def save_plan(self, plan: Plan, actor: str = "") -> None:
        """Store a plan under its rollout id and record its digest. Raise StoreError if the id has another plan."""
        document = to_json(plan)
        digest = hashlib.sha256(document).hexdigest()
        row = {
            "rollout": plan.rollout, "policy": plan.policy, "created_at": plan.created_at,
            "created_by": plan.created_by, "hosts": len(plan.hosts), "digest": digest,
            "document": zlib.compress(document),
        }  # fmt: skip
        data = {"rollout": plan.rollout, "policy": plan.policy, "digest": digest, "hosts": len(plan.hosts)}
        event = Event("", 0, self._now(), actor or plan.created_by, "plan-saved", "", data)

        def save(connection: Connection) -> None:
            known = connection.value("SELECT digest FROM plans WHERE rollout = :rollout", {"rollout": plan.rollout})
            if known == digest:
                return
            if known is not None:
                raise StoreError("plan-exists", f"there is another plan {plan.rollout} already", "make a new plan")
            connection.execute(
                "INSERT INTO plans (rollout, policy, created_at, created_by, hosts, digest, document)"
                " VALUES (:rollout, :policy, :created_at, :created_by, :hosts, :digest, :document)", row,
            )  # fmt: skip
            append_records(connection, [event])

        hit("plan.save.before")
        self._database.write(save)
        hit("plan.save.after")

    def load_plan(self, rollout: str) -> Plan:
        """Return a saved plan. Raise UsageError when there is none of that name."""
        with self._database.read() as connection:
            document = connection.value("SELECT document FROM plans WHERE rollout = :rollout", {"rollout": rollout})
        if document is None:
            import difflib  # slow to load, and seldom needed

            near = difflib.get_close_matches(rollout, [row.rollout for row in self.rollouts()], n=1)
            hint = f"did you mean {near[0]}?" if near else "list them: patchctl status"
            raise UsageError("no-rollout", f"there is no rollout {rollout!r}", hint)
        return from_json(Plan, zlib.decompress(document))

    def latest_rollout(self) -> str | None:
        """Return the id of the plan saved last, None if there is none."""
        with self._database.read() as connection:
            rollout: str | None = connection.value("SELECT rollout FROM plans ORDER BY id DESC LIMIT 1")
        return rollout

    def rollouts(self) -> list[RolloutRow]:
        """Return all rollouts, the newest first."""
        return list_rollouts(self._database)

    def last_kinds(self, kinds: Sequence[str]) -> dict[str, str]:
        """Return per rollout the latest of these kinds of event that it has."""
        select = "SELECT number, rollout, kind FROM audit WHERE rollout <> '' AND kind IN (:each)"
        with self._database.read() as connection:
            found = sorted(rows_of_each(connection, select, kinds))
        return {rollout: kind for _, rollout, kind in found}

    # --- tokens and locks

    def next_token(self) -> int:
        """Return a number higher than any handed out before, durably."""

        def raise_token(connection: Connection) -> int:
            connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'token'")
            (token,) = only(connection.rows("SELECT value FROM counters WHERE name = 'token'"))
            return int(token)

        return self._database.write(raise_token)

    def lock(self, name: str, holder: str, wait: float = 0.0) -> AbstractContextManager[Holder]:
        """Hold the lock `name`; `holder` says what for (the command line). Raise LockedError naming who has it."""
        return hold_lock(self._database, name, holder, wait, self._now)

    def holders(self) -> list[Holder]:
        """Return who holds which lock now."""
        return read_holders(self._database)

    def break_lock(self, name: str, actor: str, reason: str) -> Holder | None:
        """Take a lock from a holder that is gone for good, on the record; return who it was, None if nobody."""

        def take(connection: Connection) -> Holder | None:
            holder = break_lock(connection, name)
            if holder is not None:
                data = {"lock": name, "holder": holder.describe()}
                append_records(connection, [Event("", 0, self._now(), actor, "lock-broken", "", data, reason)])
            return holder

        return self._database.write(take)


    # --- upkeep

    def size(self) -> dict[str, Any]:
        """Return {"rows": {table: count}, "evidence_bytes", "total_bytes"}."""
        return measure(self._database)

    def prunable(self, snapshots_before: float, proofs_before: float) -> int:
        """Return how many snapshots `prune` would delete."""
        with self._database.read() as connection:
            return len(find_old_snapshots(connection, snapshots_before, proofs_before))

    def prune(
        self, snapshots_before: float, proofs_before: float, actor: str, *, assessments_before: float = 0.0
    ) -> Pruned:
        """Delete old snapshots, assessments, and evidence nothing refers to, on the record. The audit chain stays."""

        def job(connection: Connection) -> Pruned:
            pruned = prune(connection, snapshots_before, proofs_before, assessments_before)
            if pruned.snapshots or pruned.evidence or pruned.assessments:
                data = {
                    "snapshots": pruned.snapshots, "evidence": pruned.evidence, "before": snapshots_before,
                    "assessments": pruned.assessments,
                }  # fmt: skip
                append_records(connection, [Event("", 0, self._now(), actor, "store-pruned", "", data)])
            return pruned

        return self._database.write(job)

    def compact(self) -> None:
        """Give unused space back to the file system; needs as much free space as the store is big."""
        self._database.maintain("VACUUM")

    def backup(self, target: Path) -> None:
        """Write a consistent copy to a new file. Raise StoreError."""
        copy_store(self._database, target)

    def raise_epoch(self, actor: str, reason: str) -> int:
        """Mark this store as restored from a backup, on the record; hosts accept it after an explicit takeover."""

        def job(connection: Connection) -> int:
            epoch = raise_epoch(connection)
            append_records(connection, [Event("", 0, self._now(), actor, "epoch-raised", "", {"epoch": epoch}, reason)])
            return epoch

        self.epoch = self._database.write(job)
        return self.epoch
