"""What happened to one host: visits, assessments, attempts, changes, decisions, from the audit chain and the rest."""

from __future__ import annotations

import difflib
from typing import Any

from patchctl.model.assessment import ERROR, FAIL, UNKNOWN
from patchctl.model.errors import UsageError
from patchctl.report.views import describe_event
from patchctl.store.assessments import Assessment
from patchctl.store.chain import AuditRecord
from patchctl.store.database import Store


def read_history(store: Store, host: str, since: float = 0.0) -> list[dict[str, Any]]:
    """Return what is known about a host since a Unix time, oldest first. Raise UsageError for a host never heard of."""
    entries = [_entry(record) for record in store.records(host=host)]
    entries += [_entry(r) for r in store.records(rollout="") if not r.event.host and _names(r, host)]
    visits = store.visits(host)
    entries += [_visit(snapshot_id, taken_at, reached) for snapshot_id, taken_at, reached in visits]
    entries += _assessments(store, host)
    if not entries:
        near = difflib.get_close_matches(host, store.times_seen(), n=1)
        hint = f"did you mean {near[0]}?" if near else "scan it first: patchctl scan"
        raise UsageError("unknown-host", f"nothing is recorded about {host!r}", hint)
    return sorted((e for e in entries if e["at"] >= since), key=lambda e: (e["at"], e["audit"] or 0))


def _entry(record: AuditRecord) -> dict[str, Any]:
    event = record.event
    given = event.data.get("data") if event.kind == "job-ended" else None
    changes = [
        {"package": c.get("package"), "from": c.get("from"), "to": c.get("to")}
        for c in (given or {}).get("changes") or () if not c.get("fix")
    ]
    fixes = [{"fix": c["fix"], "result": c.get("to")} for c in (given or {}).get("changes") or () if c.get("fix")]
    return {
        "at": event.at, "audit": record.number, "actor": event.actor, "rollout": event.rollout, "kind": event.kind,
        "what": describe_event(event.kind, event.data), "reason": event.reason, "changes": changes, "fixes": fixes,
    }  # fmt: skip


def _visit(snapshot_id: str, taken_at: float, reached: bool) -> dict[str, Any]:
    return {
        "at": taken_at, "audit": None, "actor": "", "rollout": "", "kind": "snapshot",
        "what": f"snapshot {snapshot_id}" if reached else "not reached", "reason": "", "changes": [], "fixes": [],
    }  # fmt: skip


def _assessments(store: Store, host: str) -> list[dict[str, Any]]:
    """Return what each assessment of the host came to; `same`: as the one before by the same, unchanged baseline."""
    actors = {run.run: run.actor for run in store.assessments.runs()}
    last: dict[str, tuple[Any, ...]] = {}
    found: list[dict[str, Any]] = []
    for one in store.assessments.history(host):
        outcome = (one.status, one.digest, one.findings)
        found.append({
            "at": one.at, "audit": None, "actor": actors.get(one.run, ""), "rollout": "", "kind": "assessment",
            "what": _outcome(one), "reason": "", "changes": [], "fixes": [],
            "same": last.get(one.baseline) == outcome,
            "assessment": {
                "run": one.run, "baseline": one.baseline, "status": one.status, "score": one.score,
                "counts": dict(one.counts), "snapshot": one.snapshot,
            },
        })  # fmt: skip
        last[one.baseline] = outcome
    return found


def _outcome(one: Assessment) -> str:
    """Say in words what an assessment came to."""
    if not one.findings:
        return f"could not be assessed by {one.baseline}: {one.status}"
    bad = [f"{one.counts[verdict]} {verdict}" for verdict in (FAIL, ERROR, UNKNOWN) if one.counts.get(verdict)]
    score = "nothing applied" if one.score is None else f"score {one.score:.1f}"
    return f"assessed by {one.baseline}: {score}, {', '.join(bad) or 'no findings'}"


def _names(record: AuditRecord, host: str) -> bool:
    """Say whether a record outside any rollout (trust, takeover) lists the host."""
    listed = record.event.data.get("hosts")
    return isinstance(listed, (list, dict)) and host in listed
