"""What assessments found: one row for each run, host and baseline; findings lie by their hash beside the evidence."""

from __future__ import annotations

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.assessment import Finding, Item
from patchctl.model.errors import StoreError
from patchctl.model.evidence import Snapshot
from patchctl.store.connection import CHUNK, Connection, Row, rows_of_each
from patchctl.store.engine import Database
from patchctl.store.snapshots import INSERT_EVIDENCE, iterate_snapshots, read_snapshots

LIVE, BEGUN, SNAPSHOTS = "live", "begun", "snapshots"
"""Where a run's findings come from. BEGUN: from hosts, and whoever asked was not told yet what it came to."""
_ALL = 2**62
"""More rows than there can be."""
_RUN = "SELECT run, at, actor, origin, baselines FROM assessment_runs"
_ASSESSMENT = (
    "SELECT run, host, baseline, at, digest, status, taken_at, snapshot, counts, score, findings FROM assessments"
)
_MEANT = (
    " WHERE baseline = :baseline AND at < :before AND (findings <> '' OR NOT :reached)"
    " AND (NOT :told OR run NOT IN (SELECT run FROM assessment_runs WHERE origin = :begun))"
)


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
        insert = (
            "INSERT INTO assessment_runs (run, at, actor, origin, baselines)"
            " VALUES (:run, :at, :actor, :origin, :baselines)"
        )
        self._database.write(lambda c: c.execute(insert, row))

    def mark_told(self, run: str) -> None:
        """Record that what a run came to has reached whoever asked for it."""
        update = "UPDATE assessment_runs SET origin = :live WHERE run = :run AND origin = :begun"
        self._database.write(lambda c: c.execute(update, {"live": LIVE, "run": run, "begun": BEGUN}))

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

        def write(connection: Connection) -> None:
            connection.execute_many(INSERT_EVIDENCE, packed)
            connection.execute_many(
                "INSERT INTO assessments"
                " (run, host, baseline, at, digest, status, taken_at, snapshot, counts, score, findings) VALUES"
                " (:run, :host, :baseline, :at, :digest, :status, :taken_at, :snapshot, :counts, :score, :findings)",
                rows,
            )

        self._database.write(write)

    def runs(self, limit: int | None = None) -> list[AssessmentRun]:
        """Return the runs, the newest first."""
        with self._database.read() as connection:
            most = _ALL if limit is None else limit
            rows = connection.rows(_RUN + " ORDER BY at DESC, run DESC LIMIT :most", {"most": most})
        return [_run(row) for row in rows]

    def of_run(self, run: str) -> list[Assessment]:
        """Return what one run assessed, by host and baseline."""
        with self._database.read() as connection:
            rows = connection.rows(_ASSESSMENT + " WHERE run = :run ORDER BY host, baseline", {"run": run})
        return [_assessment(row) for row in rows]

    def latest(
        self, baseline: str, *, before: float | None = None, reached: bool = True, told: bool = False
    ) -> dict[str, Assessment]:
        """Return each host's latest assessment by a baseline, those of hosts not reached left out if `reached`.

        `before`: only those strictly before this Unix time. `told`: only those of runs that ended, and whose outcome
        somebody was told.
        """
        values = {
            "baseline": baseline, "before": math.inf if before is None else before, "reached": reached, "told": told,
            "begun": BEGUN,
        }  # fmt: skip
        with self._database.read() as connection:
            rows = connection.rows(
                _ASSESSMENT + " JOIN (SELECT host, max(at) AS at FROM assessments" + _MEANT + " GROUP BY host)"
                " AS latest USING (host, at)" + _MEANT + " ORDER BY run", values,
            )  # fmt: skip
        return {one.host: one for one in map(_assessment, rows)}

    def history(self, host: str) -> list[Assessment]:
        """Return all assessments of a host, oldest first."""
        with self._database.read() as connection:
            rows = connection.rows(_ASSESSMENT + " WHERE host = :host ORDER BY at, baseline", {"host": host})
        return [_assessment(row) for row in rows]

    def findings(self, assessments: Sequence[Assessment]) -> Iterator[tuple[Assessment, tuple[Finding, ...]]]:
        """Give each assessment with its findings (none for hosts that were not reached). Raise StoreError if lost."""
        known: dict[str, tuple[Finding, ...]] = {}
        for start in range(0, len(assessments), CHUNK):
            part = assessments[start : start + CHUNK]
            wanted = sorted({one.findings for one in part if one.findings} - known.keys())
            with self._database.read() as connection:
                select = "SELECT sha256, body FROM evidence WHERE sha256 IN (:each)"
                for digest, body in rows_of_each(connection, select, wanted):
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

        def write(connection: Connection) -> dict[str, int]:
            rows = connection.rows(
                "SELECT host, id FROM snapshots WHERE kind = 'assess' AND reached ORDER BY taken_at, id"
            )
            latest: dict[str, int] = dict(rows)
            chosen = {host: latest[host] for host in hosts if host in latest}
            for host, number in chosen.items():
                row = {"tag": tag, "host": host, "snapshot": number, "at": at, "actor": actor, "reason": reason}
                connection.execute("DELETE FROM snapshot_tags WHERE tag = :tag AND host = :host", row)
                connection.execute(
                    "INSERT INTO snapshot_tags (tag, host, snapshot, at, actor, reason)"
                    " VALUES (:tag, :host, :snapshot, :at, :actor, :reason)", row,
                )  # fmt: skip
            return chosen

        return self._database.write(write)

    def tagged(self, tag: str) -> dict[str, int]:
        """Return host -> snapshot id of a tag ({} = there is no such tag)."""
        with self._database.read() as connection:
            rows = connection.rows("SELECT host, snapshot FROM snapshot_tags WHERE tag = :tag", {"tag": tag})
        return dict(rows)

    def tags(self) -> list[dict[str, Any]]:
        """Return each tag with its number of hosts, when it was last set, by whom and why."""
        found: dict[str, dict[str, Any]] = {}
        with self._database.read() as connection:
            rows = connection.rows("SELECT tag, at, actor, reason FROM snapshot_tags ORDER BY at")
        for tag, at, actor, reason in rows:
            one = found.setdefault(tag, {"tag": tag, "hosts": 0})
            one.update(hosts=one["hosts"] + 1, at=at, actor=actor, reason=reason)
        return list(found.values())

    def untag(self, tag: str) -> int:
        """Take a tag away; return from how many hosts."""
        return self._database.write(lambda c: c.execute("DELETE FROM snapshot_tags WHERE tag = :tag", {"tag": tag}))


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


def _run(row: Row) -> AssessmentRun:
    run, at, actor, origin, baselines = row
    return AssessmentRun(run, at, actor, origin, msgspec.json.decode(baselines, type=tuple[AssessedBaseline, ...]))


def _assessment(row: Row) -> Assessment:
    run, host, baseline, at, digest, status, taken_at, snapshot, counts, score, findings = row
    return Assessment(
        run, host, baseline, at, digest, status, taken_at, snapshot, json.loads(counts), score, findings
    )
