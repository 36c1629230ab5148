"""What happened to one host: visits, attempts, changes, decisions, from the audit chain and the snapshots."""

from __future__ import annotations

import difflib
from typing import Any

from patchctl.model.errors import UsageError
from patchctl.report.views import describe_event
from patchctl.store.chain import AuditRecord
from patchctl.store.database import Store


def read_history(store: Store, host: str, since: float = 0.0) -> list[dict[str, Any]]:
    """Return what is known about a host since a Unix time, oldest first. Raise UsageError for a host never heard of."""
    entries = [_entry(record) for record in store.records(host=host)]
    entries += [_entry(r) for r in store.records(rollout="") if not r.event.host and _names(r, host)]
    visits = store.visits(host)
    entries += [_visit(snapshot_id, taken_at, reached) for snapshot_id, taken_at, reached in visits]
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
        for c in (given or {}).get("changes") or ()
    ]
    return {
        "at": event.at, "audit": record.number, "actor": event.actor, "rollout": event.rollout, "kind": event.kind,
        "what": describe_event(event.kind, event.data), "reason": event.reason, "changes": changes,
    }  # fmt: skip


def _visit(snapshot_id: str, taken_at: float, reached: bool) -> dict[str, Any]:
    return {
        "at": taken_at, "audit": None, "actor": "", "rollout": "", "kind": "snapshot",
        "what": f"snapshot {snapshot_id}" if reached else "not reached", "reason": "", "changes": [],
    }  # fmt: skip


def _names(record: AuditRecord, host: str) -> bool:
    """Say whether a record outside any rollout (trust, takeover) lists the host."""
    listed = record.event.data.get("hosts")
    return isinstance(listed, (list, dict)) and host in listed
