"""The report as JSON (everything, for machines) and CSV (one line per change, for spreadsheets)."""

from __future__ import annotations

import csv
import io
from typing import Any

from patchctl.model.codec import to_data, to_json
from patchctl.model.text import csv_cell
from patchctl.report.digest import RolloutDigest, Sealed
from patchctl.report.hosts import ChangeLine, HostDigest
from patchctl.report.html import Seal

REPORT_SCHEMA = "patchctl/report/1"

CSV_COLUMNS = (
    "rollout", "host", "site", "ring", "wave", "state", "package", "arch", "before", "after", "result", "security",
    "origin", "sha256", "pulled", "reason", "attempts", "reboot", "ended_at", "message", "fix",
    "was", "intended", "is",
)  # fmt: skip


def render_json(digest: RolloutDigest, seal: Seal, generated_at: float) -> str:
    """Return the whole report as JSON; keys are only ever added (docs/schemas/report.json)."""
    plan = digest.plan
    data: dict[str, Any] = {
        "schema": REPORT_SCHEMA,
        "rollout": digest.rollout,
        "policy": plan.policy,
        "state": digest.state,
        "result": digest.title,
        "exit_code": digest.exit_code,
        "reason": digest.message,
        "generated_at": generated_at,
        "planned": {
            "at": plan.created_at, "by": plan.created_by, "policy_digest": plan.policy_digest,
            "membership_digest": plan.membership_digest, "timezone": plan.timezone, "limit": plan.limit,
            "notes": list(plan.notes),
        },
        "started_at": digest.started_at,
        "ended_at": digest.ended_at,
        "summary": {"hosts": digest.total, "verified": digest.verified, "states": dict(digest.counts)},
        "limits": digest.limits,
        "rings": [_ring(ring) for ring in digest.rings],
        "hosts": [_host(host) for host in digest.hosts],
        "not_approved": [
            {"host": host.host, "package": package, "candidate": candidate, "reason": reason}
            for host in digest.hosts
            for package, candidate, reason in host.plan.not_approved
        ],
        "events": [_event(sealed) for sealed in digest.events],
        "audit": seal,
    }  # fmt: skip
    return to_json(data, indent=1).decode() + "\n"


def _event(sealed: Sealed) -> dict[str, Any]:
    event = sealed.event
    return {
        "number": sealed.number, "hash": sealed.hash, "rollout": event.rollout, "seq": event.seq, "at": event.at,
        "actor": event.actor, "kind": event.kind, "host": event.host, "data": event.data, "reason": event.reason,
        "version": event.version,
    }  # fmt: skip


def _ring(ring: Any) -> dict[str, Any]:
    data: dict[str, Any] = to_data(ring)
    data["counts"] = dict(ring.counts)
    data["approvals"] = [{"at": at, "actor": actor, "reason": reason} for at, actor, reason in ring.approvals]
    return data


def _host(host: HostDigest) -> dict[str, Any]:
    return {
        "host": host.host,
        "site": host.plan.site,
        "ring": host.plan.ring,
        "wave": host.plan.wave,
        "state": host.state,
        "message": host.message,
        "skip": host.plan.skip,
        "counts_against": host.counts,
        "attempts": host.attempts,
        "started_at": host.started_at,
        "ended_at": host.ended_at,
        "reboot": {"result": host.reboot, "boot_ids": list(host.boot_ids)},
        "changes": host.changes,
        "fixes": host.fixes,
        "backup": host.backup,
        "failures": host.failures,
        "conffiles": list(host.conffiles),
        "transactions": list(host.transactions),
        "health": [{"check": check, "before": before, "after": after} for check, before, after in host.health],
    }


def render_csv(digest: RolloutDigest) -> str:
    """Return one line per change, and one for each host without any, so that no host is missing."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for host in digest.hosts:
        for change in host.changes or (() if host.fixes else (None,)):
            writer.writerow([csv_cell(cell) for cell in [*_csv_row(digest, host, change), "", "", "", ""]])
        for fix in host.fixes:
            row = [*_csv_row(digest, host, None), fix.fix, fix.was, fix.intended, fix.after]
            writer.writerow([csv_cell(cell) for cell in row])
    return out.getvalue()


def _csv_row(digest: RolloutDigest, host: HostDigest, change: ChangeLine | None) -> list[str]:
    changed = ["", "", "", "", "", "", "", "", "", ""]
    if change is not None:
        security = "unknown" if change.security is None else "yes" if change.security else "no"
        changed = [
            change.package, change.arch, change.before, change.after, change.result, security, change.origin,
            change.sha256, "yes" if change.pulled else "no", change.reason,
        ]  # fmt: skip
    ended = "" if host.ended_at is None else f"{host.ended_at:.0f}"
    plan = host.plan
    return [
        digest.rollout, host.host, plan.site, plan.ring, str(plan.wave or ""), host.state, *changed,
        str(host.attempts), host.reboot, ended, host.message,
    ]  # fmt: skip
