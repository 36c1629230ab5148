"""A rollout's state as the JSON of `rollout status` (docs/reference/journal.md, schema patchctl/rollout/1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict

from patchctl.model.plan import HostFix, HostPlan
from patchctl.rollout.gates import measure_limits
from patchctl.rollout.state import HostProgress, RolloutState


def to_document(state: RolloutState) -> dict[str, Any]:
    """Return the machine-readable status of a rollout: plain JSON values, keys only ever added."""
    return {
        "rollout": state.rollout,
        "policy": state.plan.policy,
        "state": state.status,
        "reason": state.message,
        "created_at": state.plan.created_at,
        "created_by": state.plan.created_by,
        "started_at": state.started_at,
        "ended_at": state.ended_at,
        "controller": state.controller,
        "windows_overridden": state.windows_overridden,
        "undoes": state.plan.undoes or None,
        "rings": [_ring(state, index) for index in range(len(state.rings))],
        "hosts": [_host(state, host) for host in state.hosts.values()],
        "limits": [
            {
                "name": use.name, "count": use.count, "total": use.total, "limit": use.budget,
                "crossed": use.crossed, "text": str(use),
            }
            for use in measure_limits(state)
        ],
        "summary": _summary(state),
    }


def _ring(state: RolloutState, index: int) -> dict[str, Any]:
    planned, ring = state.plan.rings[index], state.rings[index]
    return {
        "name": ring.name,
        "waves": [list(wave) for wave in planned.waves],
        "gate": {
            "window": planned.windows,
            "soak": planned.soak,
            "approval": planned.approval,
            "approved_by": [who for who, _ in ring.approvals],
            "asked_at": ring.asked_at,
        },
        "opened_at": ring.opened_at,
        "finished_at": ring.finished_at,
    }


def _host(state: RolloutState, host: HostProgress) -> dict[str, Any]:
    plan = state.plan.hosts[host.host]
    reported = [
        {"package": c.get("package"), "from": c.get("from"), "to": c.get("to"), "arch": c.get("arch", "")}
        for c in host.changes if not c.get("fix")
    ]
    planned = [
        {"package": c.package, "from": c.from_version, "to": c.to_version, "arch": c.arch} for c in plan.changes
    ]
    return {
        "host": host.host,
        "ring": plan.ring,
        "wave": plan.wave,
        "state": host.state,
        "settled": host.settled,
        "message": host.message,
        "attempts": host.attempts,
        "attempt": host.attempt,
        "adjustments": list(host.adjustments),
        "diagnosis": _diagnosis(host),
        "error": _error(host),
        "changes": reported or planned,
        "changed": bool(host.changes),
        "fixes": [_fix(state, host, fix) for fix in plan.fixes],
        "backup": str(host.install.get("backup") or ""),
        "rollback": describe_undo(plan),
        "conffiles": list(host.install.get("conffiles") or ()),
        "transactions": list(host.install.get("transactions") or ()),
        "reboot": {
            "policy": plan.reboot,
            "expected": plan.reboot_expected,
            "reason": plan.reboot_reason,
            "required": host.verified.get("reboot_required"),
            "done": host.reboots,
        },
        "counts": host.counts,
        "started_at": host.started_at,
        "ended_at": host.ended_at,
    }


def _fix(state: RolloutState, host: HostProgress, fix: HostFix) -> dict[str, Any]:
    """Return a finding that was to be repaired: what it was, what it is by the last verification (None = none yet)."""
    planned = state.plan.fixes[fix.name]
    after: Mapping[str, Any] = next((one for one in host.verified.get("fixes") or () if one.get("fix") == fix.name), {})
    results = [str(one.get("to")) for one in host.changes if one.get("fix") == fix.name]
    return {
        "fix": fix.name, "baseline": planned.baseline, "rule": planned.rule, "title": planned.title,
        "severity": planned.severity, "was": fix.was, "intended": "PASS", "is": after.get("is"),
        "actual": str(after.get("actual") or fix.actual), "result": results[-1] if results else None,
    }  # fmt: skip


def describe_undo(plan: HostPlan) -> dict[str, Any] | None:
    """Return whether and from where a host's earlier versions can be restored; None where nothing is changed."""
    if not plan.changes:
        return None
    undo = plan.undo
    return {
        "feasible": None if undo is None else not undo.why_not,
        "reason": "nobody looked for the earlier versions" if undo is None else undo.why_not,
        "changes": [
            {"package": c.package, "from": c.from_version, "to": c.to_version, "source": c.origin, "sha256": c.sha256}
            for c in (undo.changes if undo else ())
        ],
        "removals": list(undo.removals) if undo else [],
    }


def _diagnosis(host: HostProgress) -> dict[str, Any] | None:
    if host.diagnosis is None:
        return None
    found = asdict(host.diagnosis)
    found["class"] = found.pop("cls")
    return found


def _error(host: HostProgress) -> dict[str, Any] | None:
    if host.error is not None:
        return {"code": host.error.code, "message": host.error.message, "hint": host.error.hint}
    if host.settled and host.counts in ("errors", "unreachable") and host.diagnosis is not None:
        return {"code": host.diagnosis.signature, "message": host.diagnosis.message, "hint": ""}
    return None


def _summary(state: RolloutState) -> dict[str, int]:
    summary = {"hosts": len(state.hosts), "settled": sum(1 for host in state.hosts.values() if host.settled)}
    for host in state.hosts.values():
        summary[host.state] = summary.get(host.state, 0) + 1
    return summary
