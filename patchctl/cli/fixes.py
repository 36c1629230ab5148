"""How a plan that repairs findings is shown: per host what changes from what to what, and what is left and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from patchctl.cli.output import Column, Document

if TYPE_CHECKING:
    from patchctl.model.plan import HostFix, HostPlan, LeftFinding, Plan

COLUMNS = (
    Column("host", "HOST"),
    Column("ring", "RING"),
    Column("wave", "WAVE", right=True),
    Column("fixes", "FIXES", right=True),
    Column("by_hand", "BY HAND", right=True),
    Column("waived", "WAIVED", right=True),
    Column("unknown", "UNKNOWN", right=True),
    Column("reboot", "REBOOT"),
    Column("what", "WHAT", fit="cut", brief="what_brief"),
)
STATES = ("by-hand", "waived", "unknown", "not-chosen")


def describe_any(plan: Plan) -> Document:
    """Return a plan of either kind as a document."""
    from patchctl.cli.plan import describe_plan
    from patchctl.model.plan import REMEDIATE

    return describe_fixes(plan) if plan.kind == REMEDIATE else describe_plan(plan)


def describe_fixes(plan: Plan, out: str = "") -> Document:
    """Return the plan as a document: `rollout status` JSON of a rollout not begun, with what each fix would change."""
    from patchctl.rollout.journal import initial, to_document

    data = to_document(initial(plan))
    for item in data["hosts"]:
        item.update(_host(plan, plan.hosts[item["host"]]))
    data["notes"] = list(plan.notes)
    data["baselines"] = [{"name": b.name, "kind": b.kind, "digest": b.digest} for b in plan.baselines]
    data["summary"] = {**data["summary"], **_totals(plan)}
    rows = [_row(host) for host in plan.hosts.values()] if any(h.fixes or h.skip for h in plan.hosts.values()) else []
    return Document("patchctl/remediate/1", data, rows, COLUMNS, list_key="hosts", footer=_footer(plan, out))


def _host(plan: Plan, host: HostPlan) -> dict[str, Any]:
    from patchctl.model.codec import to_data

    return {
        "platform": host.platform,
        "fixes": [_fix(plan, fix) for fix in host.fixes],
        "left": [
            {"finding": left.name, "verdict": left.verdict, "severity": left.severity, "state": left.state,
             "reason": left.reason}
            for left in host.findings_left
        ],
        "reason": host.skip,
        "error": to_data(host.failure) if host.failure is not None else None,
        "late": host.late,
        "notes": list(host.notes),
    }


def _fix(plan: Plan, fix: HostFix) -> dict[str, Any]:
    whole = plan.fixes[fix.name]
    return {
        "fix": fix.name, "baseline": whole.baseline, "rule": whole.rule, "title": whole.title,
        "severity": whole.severity, "kind": whole.kind, "was": fix.was, "intended": "PASS", "is": None,
        "expected": fix.expected, "actual": fix.actual, "result": None, "diff": list(fix.preview),
        "diff_unknown": fix.preview_unknown, "script": whole.script, "files": list(whole.files),
        "disruption": whole.disruption, "reboot": whole.reboot, "access": whole.access,
        "waived": fix.waived or None,
    }  # fmt: skip


def _totals(plan: Plan) -> dict[str, Any]:
    acting = [host for host in plan.hosts.values() if not host.skip]
    states = Counter(left.state for host in plan.hosts.values() for left in host.findings_left)
    return {
        "changing": sum(bool(host.fixes) for host in acting), "fixes": sum(len(host.fixes) for host in acting),
        **{state.replace("-", "_"): states[state] for state in STATES}, "concurrency": plan.concurrency,
    }  # fmt: skip


def _row(host: HostPlan) -> dict[str, Any]:
    counts = Counter(left.state for left in host.findings_left)
    names = [fix.name.partition("/")[2] for fix in host.fixes]
    what = f"{host.skip_state}: {host.skip}" if host.skip else ", ".join(names) or "nothing to repair"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return {
        "host": host.host, "ring": host.ring or "-", "wave": host.wave or "-",
        "fixes": len(host.fixes) if not host.skip else "-", "by_hand": counts["by-hand"], "waived": counts["waived"],
        "unknown": counts["unknown"], "reboot": "-" if host.skip else "yes" if host.reboot_expected else "no",
        "what": what, "what_brief": f"{names[0]}{more}" if names and not host.skip else what,
    }  # fmt: skip


def _footer(plan: Plan, out: str) -> list[str]:
    from patchctl.cli.plan import never_run_note

    lines: list[str] = []
    groups: dict[tuple[tuple[HostFix, ...], str], list[str]] = {}
    for host in plan.hosts.values():
        if host.fixes:
            groups.setdefault((host.fixes, host.skip), []).append(host.host)
    told: set[str] = set()
    for (fixes, skip), hosts in groups.items():
        lines += ["", f"{_names(hosts)}{' (left alone: ' + skip + ')' if skip else ''}:"]
        for fix in fixes:
            lines += _fix_lines(plan, fix, told)
    lines += _left_lines(plan)
    totals = _totals(plan)
    lines += ["", f"Rollout {plan.rollout}: {totals['fixes']} fix{'es' if totals['fixes'] != 1 else ''} on "
              f"{totals['changing']} of {len(plan.hosts)} hosts"
              if totals["fixes"] else f"Nothing to repair on {len(plan.hosts)} hosts"]
    lines += [f"Note: {note}" for note in (*plan.notes, *never_run_note(plan))]
    lines += [f"Note: {host.host}: {note}" for host in plan.hosts.values() for note in host.notes]
    return [*lines, f"Next: patchctl apply {out}"] if out else lines


def _fix_lines(plan: Plan, fix: HostFix, told: set[str]) -> list[str]:
    whole = plan.fixes[fix.name]
    lines = [f"  {fix.name}  [{whole.severity}] {whole.title}", f"    is: {fix.actual}  should be: {fix.expected}"]
    lines += [f"    {line}" for line in fix.preview]
    if not fix.preview and not fix.preview_unknown:
        lines.append("    (its commands would change nothing that can be shown; the rule fails all the same)")
    if fix.preview_unknown:
        lines.append(f"    {fix.preview_unknown}")
        if whole.kind != "declarative" and fix.name not in told:
            told.add(fix.name)
            lines += [f"    | {line}" for line in whole.script.strip().splitlines()]
        elif whole.kind != "declarative":
            lines.append("    (the script is shown above)")
    lines += [f"    note: {whole.disruption}"] if whole.disruption else []
    lines += ["    note: counts only after a reboot"] if whole.reboot else []
    lines += [f"    note: waived {fix.waived}; repaired all the same, as asked for"] if fix.waived else []
    if whole.access:
        lines.append("    note: concerns the way in: taken back unless a new login succeeds after it")
    return lines


def _left_lines(plan: Plan) -> list[str]:
    words = {"by-hand": "BY HAND", "waived": "WAIVED", "unknown": "UNKNOWN"}
    groups: dict[LeftFinding, list[str]] = {}
    for host in plan.hosts.values():
        for left in host.findings_left:
            groups.setdefault(left, []).append(host.host)
    lines = []
    for state, word in words.items():
        found = [(left, hosts) for left, hosts in groups.items() if left.state == state]
        if found:
            lines += ["", f"{word}: not repaired here"]
            lines += [f"  {left.name}  ({_names(hosts)})  {left.reason}" for left, hosts in found]
    return lines


def _names(hosts: Sequence[str]) -> str:
    return ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more" if len(hosts) > 5 else "")
