"""What assessments found: one row for each run, host and baseline; findings lie by their hash beside the evidence."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.assessment import Finding, Item
from patchctl.model.errors import StoreError
from patchctl.model.evidence import Snapshot
from patchctl.store import schema
from patchctl.store.engine import Database
from patchctl.store.snapshots import insert_or_ignore, iterate_snapshots, read_snapshots

LIVE, BEGUN, SNAPSHOTS = "live", "begun", "snapshots"
"""Where a run's findings come from. BEGUN: from hosts, and whoever asked was not told yet what it came to."""
_CHUNK = 400
"""Parameters in one IN (...)."""


class AssessedBaseline(Struct, frozen=True):
    """Which baseline a run used, and how to find it again."""

    name: str
    digest: str
    kind: str
    reference: str
    """What was given for --baseline."""
    title: str = ""


class AssessmentRun(Struct, frozen=True):
    run: str
    at: float
    actor: str
    origin: str
    """live | begun | snapshots"""
    baselines: tuple[AssessedBaseline, ...]


class Assessment(Struct, frozen=True):
    """One host against one baseline in one run, without its findings."""

    run: str
    host: str
    baseline: str
    at: float
    digest: str
    status: str
    taken_at: float | None
    snapshot: int | None
    counts: Mapping[str, int]
    score: float | None
    findings: str = ""
    """Hash of the findings; "" = there are none: the host was not reached."""


class Assessments:
    """The store's part for assessments. Every method that writes returns after the write is durable."""

    def __init__(self, database: Database, clean: Callable[[str], str]) -> None:
        self._database = database
        self._clean = clean

    def save_run(self, run: AssessmentRun) -> None:
        """Record that a run began (with the origin BEGUN), or what it was made from."""
        row = {
            "run": run.run, "at": run.at, "actor": run.actor, "origin": run.origin,
            "baselines": msgspec.json.encode(run.baselines).decode(),
        }  # fmt: skip
        self._database.write(lambda c: c.execute(sa.insert(schema.assessment_runs), row))

    def mark_told(self, run: str) -> None:
        """Record that what a run came to has reached whoever asked for it."""
        table = schema.assessment_runs
        query = sa.update(table).where(table.c.run == run, table.c.origin == BEGUN).values(origin=LIVE)
        self._database.write(lambda c: c.execute(query))

    def save(self, assessed: Sequence[tuple[Assessment, Sequence[Finding]]]) -> None:
        """Store what some hosts came to, with one commit. Equal findings of many hosts or nights are stored once."""
        bodies: dict[str, bytes] = {}
        rows = []
        for one, findings in assessed:
            digest = ""
            if findings:
                body = encode_findings([clean_finding(f, self._clean) for f in findings])
                digest = hashlib.sha256(body).hexdigest()
                bodies[digest] = body
            rows.append({
                "run": one.run, "host": one.host, "baseline": one.baseline, "at": one.at, "digest": one.digest,
                "status": one.status, "taken_at": one.taken_at, "snapshot": one.snapshot,
                "counts": json.dumps(dict(one.counts), sort_keys=True), "score": one.score, "findings": digest,
            })  # fmt: skip
        if not rows:
            return
        packed = [{"sha256": d, "size": len(b), "body": zlib.compress(b)} for d, b in bodies.items()]

        def write(connection: sa.Connection) -> None:
            if packed:
                connection.execute(insert_or_ignore(connection, schema.evidence), packed)
            connection.execute(sa.insert(schema.assessments), rows)

        self._database.write(write)

    def runs(self, limit: int | None = None) -> list[AssessmentRun]:
        """Return the runs, the newest first."""
        table = schema.assessment_runs
        query = sa.select(table).order_by(table.c.at.desc(), table.c.run.desc()).limit(limit)
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query)]

    def of_run(self, run: str) -> list[Assessment]:
        """Return what one run assessed, by host and baseline."""
        table = schema.assessments
        query = sa.select(table).where(table.c.run == run).order_by(table.c.host, table.c.baseline)
        with self._database.read() as connection:
            return [_assessment(row) for row in connection.execute(query)]

    def latest(
        self, baseline: str, *, before: float | None = None, reached: bool = True, told: bool = False
    ) -> dict[str, Assessment]:
        """Return each host's latest assessment by a baseline, those of hosts not reached left out if `reached`.

        `before`: only those strictly before this Unix time. `told`: only those of runs that ended, and whose outcome
        somebody was told.
        """
        table, runs = schema.assessments, schema.assessment_runs
        meant = [table.c.baseline == baseline]
        if told:
            meant.append(table.c.run.not_in(sa.select(runs.c.run).where(runs.c.origin == BEGUN)))
        if reached:
            meant.append(table.c.findings != "")
        if before is not None:
            meant.append(table.c.at < before)
        newest = sa.select(table.c.host, sa.func.max(table.c.at).label("at")).where(*meant).group_by(table.c.host)
        last = newest.subquery()
        query = sa.select(table).join(last, (table.c.host == last.c.host) & (table.c.at == last.c.at)).where(*meant)
        with self._database.read() as connection:
            return {row.host: _assessment(row) for row in connection.execute(query.order_by(table.c.run))}

    def history(self, host: str) -> list[Assessment]:
        """Return all assessments of a host, oldest first."""
        table = schema.assessments
        query = sa.select(table).where(table.c.host == host).order_by(table.c.at, table.c.baseline)
        with self._database.read() as connection:
            return [_assessment(row) for row in connection.execute(query)]

    def findings(self, assessments: Sequence[Assessment]) -> Iterator[tuple[Assessment, tuple[Finding, ...]]]:
        """Give each assessment with its findings (none for hosts that were not reached). Raise StoreError if lost."""
        table = schema.evidence
        known: dict[str, tuple[Finding, ...]] = {}
        for start in range(0, len(assessments), _CHUNK):
            part = assessments[start : start + _CHUNK]
            wanted = sorted({one.findings for one in part if one.findings} - known.keys())
            with self._database.read() as connection:
                for digest, body in connection.execute(
                    sa.select(table.c.sha256, table.c.body).where(table.c.sha256.in_(wanted))
                ):
                    known[digest] = decode_findings(zlib.decompress(body))
            for one in part:
                if one.findings and one.findings not in known:
                    lost = f"findings {one.findings[:12]}… are not in the store"
                    raise StoreError("evidence-lost", lost, "patchctl audit verify")
                yield one, tuple(
                    replace(f, host=one.host, collected_at=one.taken_at or 0.0) for f in known.get(one.findings, ())
                )

    # --- snapshots taken for assessments

    def snapshots(self, hosts: Sequence[str], *, before: float | None = None) -> dict[str, Snapshot]:
        """Return each host's latest reached snapshot that an assessment took, else the latest of a scan."""
        found = {s.host: s for s in iterate_snapshots(self._database, hosts, reached=True, before=before)}
        taken = iterate_snapshots(self._database, hosts, reached=True, kind="assess", before=before)
        return {**found, **{s.host: s for s in taken}}

    def snapshots_of(self, numbers: Sequence[int]) -> dict[int, Snapshot]:
        """Return the snapshots with these ids; those that were pruned are left out."""
        return dict(read_snapshots(self._database, numbers))

    def tag(self, tag: str, hosts: Sequence[str], at: float, actor: str, reason: str) -> dict[str, int]:
        """Give the latest assessed snapshot of each host a name that keeps it; return host -> snapshot id.

        Hosts that were never assessed are left out. A tag that a host has already moves to the newer snapshot.
        """
        table, tags = schema.snapshots, schema.snapshot_tags

        def write(connection: sa.Connection) -> dict[str, int]:
            query = sa.select(table.c.host, table.c.id).where(table.c.kind == "assess", table.c.reached)
            latest = {r.host: r.id for r in connection.execute(query.order_by(table.c.taken_at, table.c.id))}
            chosen = {host: latest[host] for host in hosts if host in latest}
            for host, number in chosen.items():
                connection.execute(sa.delete(tags).where(tags.c.tag == tag, tags.c.host == host))
                row = {"tag": tag, "host": host, "snapshot": number, "at": at, "actor": actor, "reason": reason}
                connection.execute(sa.insert(tags), row)
            return chosen

        return self._database.write(write)

    def tagged(self, tag: str) -> dict[str, int]:
        """Return host -> snapshot id of a tag ({} = there is no such tag)."""
        tags = schema.snapshot_tags
        with self._database.read() as connection:
            query = sa.select(tags.c.host, tags.c.snapshot).where(tags.c.tag == tag)
            return {row.host: row.snapshot for row in connection.execute(query)}

    def tags(self) -> list[dict[str, Any]]:
        """Return each tag with its number of hosts, when it was last set, by whom and why."""
        tags = schema.snapshot_tags
        query = sa.select(tags).order_by(tags.c.at)
        found: dict[str, dict[str, Any]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                one = found.setdefault(row.tag, {"tag": row.tag, "hosts": 0})
                one.update(hosts=one["hosts"] + 1, at=row.at, actor=row.actor, reason=row.reason)
        return list(found.values())

    def untag(self, tag: str) -> int:
        """Take a tag away; return from how many hosts."""
        tags = schema.snapshot_tags
        return self._database.write(lambda c: c.execute(sa.delete(tags).where(tags.c.tag == tag)).rowcount)


def clean_finding(finding: Finding, clean: Callable[[str], str]) -> Finding:
    """Return a finding whose texts from the host went through `clean`, which masks secrets."""
    items = tuple(Item(clean(i.source), clean(i.expected), clean(i.actual), i.ok) for i in finding.items)
    return replace(
        finding, items=items, actual=clean(finding.actual), expected=clean(finding.expected),
        reason=clean(finding.reason),
    )  # fmt: skip


def encode_findings(findings: Sequence[Finding]) -> bytes:
    """Return findings as JSON without what differs from host to host and night to night (host, time)."""
    return msgspec.json.encode([replace(f, host="", collected_at=0.0) for f in findings])


def decode_findings(body: bytes) -> tuple[Finding, ...]:
    """Return findings as encode_findings was given them, without host and time."""
    return msgspec.json.decode(body, type=tuple[Finding, ...])


def _run(row: Any) -> AssessmentRun:
    baselines = msgspec.json.decode(row.baselines, type=tuple[AssessedBaseline, ...])
    return AssessmentRun(row.run, row.at, row.actor, row.origin, baselines)


def _assessment(row: Any) -> Assessment:
    return Assessment(
        row.run, row.host, row.baseline, row.at, row.digest, row.status, row.taken_at, row.snapshot,
        json.loads(row.counts), row.score, row.findings,
    )  # fmt: skip
