"""What happened to one host in a rollout: versions before and after, reboot proof, failures and what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.model.plan import Change, HostPlan
from patchctl.model.rollout import Event

PROVEN = frozenset({"succeeded", "reboot-pending"})
"""States in which a new snapshot has shown every planned version in place."""


class ChangeLine(Struct, frozen=True):
    """One package on one host. `result`: verified | installed (reported, not verified) | not-installed | not-planned"""

    package: str
    arch: str
    before: str
    after: str
    """The version that was reported or verified; the planned one while result is not-installed."""
    result: str
    origin: str = ""
    security: bool | None = None
    sha256: str = ""
    pulled: bool = False
    reason: str = ""


class FixLine(Struct, frozen=True):
    """One finding that was to be repaired on one host: intended against actual."""

    fix: str
    title: str
    severity: str
    was: str
    intended: str
    after: str
    """Its verdict after the fix; "" = it was not judged again."""
    actual: str
    result: str
    """applied | failed | taken-back | "" (not carried out)"""


class FailureLine(Struct, frozen=True):
    """One failed attempt: its class and evidence, and what the next attempt did differently."""

    at: float
    cls: str
    signature: str
    message: str
    evidence: str
    remedy: str
    retried: bool
    adjustments: tuple[str, ...] = ()


class HostDigest(Struct, frozen=True):
    plan: HostPlan
    state: str
    message: str
    counts: str
    """The limit the host counts against, "" = none."""
    attempts: int
    changes: tuple[ChangeLine, ...]
    started_at: float | None
    ended_at: float | None
    boot_ids: tuple[str, ...]
    """Every boot id seen, oldest first: two or more prove a reboot."""
    reboot: str
    """proven | not-needed | pending | unproven | none"""
    touched: bool | None = None
    """Whether anything was changed on the host; None = it was begun and never told."""
    failures: tuple[FailureLine, ...] = field(default=())
    conffiles: tuple[str, ...] = ()
    """Configuration files kept although the package brings a new one."""
    transactions: tuple[str, ...] = ()
    """Commands that show on the host what its package manager recorded of it."""
    health: tuple[tuple[str, str, str], ...] = ()
    """(check, before, after): ok | failed | unknown"""
    fixes: tuple[FixLine, ...] = ()
    backup: str = ""
    """Where the host keeps what was changed as it was before."""

    @property
    def host(self) -> str:
        return self.plan.host

    @property
    def rolled_back_on_request(self) -> bool:
        return _is_meant(self.state, self.counts)


def digest_host(plan: HostPlan, shown: Mapping[str, Any], events: Sequence[Event]) -> HostDigest:
    """Bring a host's plan, its entry of the status document and its events together."""
    state = str(shown.get("state") or plan.skip_state or ("skipped" if plan.skip else "pending"))
    settled = next((e for e in reversed(events) if e.kind == "host-settled"), None)
    diagnosis = shown.get("diagnosis") or {}
    message = str(shown.get("message") or (settled.reason if settled else "") or diagnosis.get("message") or plan.skip)
    reported = _reported_changes(shown, events)
    boots = _boot_ids(plan, events)
    counts = str(settled.data.get("counts", "")) if settled else ""
    proven = state in PROVEN or (bool(settled) and _is_meant(state, counts))
    begun = [e.at for e in events if e.kind == "job-intended"]
    return HostDigest(
        plan=plan, state=state, message=message, counts=counts,
        attempts=int(shown.get("attempts") or 0), changes=_change_lines(plan, proven, reported),
        started_at=begun[0] if begun else None, ended_at=settled.at if settled else None, boot_ids=boots,
        reboot=_reboot_word(state, boots, events), touched=_touched(events), failures=_failures(events),
        conffiles=_told(events, "conffiles"), transactions=_told(events, "transactions"),
        health=_health(events), fixes=_fix_lines(shown),
        backup=str(shown.get("backup") or ""),
    )  # fmt: skip


def _outcomes(events: Sequence[Event], kind: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (result, data) of every outcome of one kind of job."""
    return [
        (str(e.data.get("result")), e.data.get("data") or {})
        for e in events
        if e.kind == "job-ended" and e.data.get("kind") == kind
    ]


def _reported_changes(shown: Mapping[str, Any], events: Sequence[Event]) -> list[Mapping[str, Any]]:
    found = [
        change
        for result, data in _outcomes(events, "poll")
        if result in ("finished", "interrupted")
        for change in data.get("changes") or ()
        if not change.get("fix")
    ]
    return found if found or not shown.get("changed") else list(shown.get("changes") or ())


def _is_meant(state: str, counts: str) -> bool:
    """Whether a host was rolled back because somebody asked for it, and not because it failed."""
    return state == "rolled-back" and not counts


def _change_lines(plan: HostPlan, proven: bool, reported: Sequence[Mapping[str, Any]]) -> tuple[ChangeLine, ...]:
    """Match planned changes with reported ones; several reports of one package (a retry) are first to last."""
    seen: dict[tuple[str, str], tuple[str, str]] = {}
    for change in reported:
        key = (str(change.get("package")), str(change.get("arch") or ""))
        first = seen.get(key, (str(change.get("from") or ""), ""))[0]
        seen[key] = (first, str(change.get("to") or ""))
    lines = []
    for wanted in plan.changes:
        found = seen.pop((wanted.package, wanted.arch), None) or seen.pop((wanted.package, ""), None)
        lines.append(_planned_line(wanted, found, proven=proven))
    removals = set(plan.removals)
    for (package, arch), (before, after) in sorted(seen.items()):
        planned = not after and package in removals
        result = ("verified" if proven else "installed") if planned else "not-planned"
        lines.append(ChangeLine(package, arch, before, after, result, reason="planned removal" if planned else ""))
    return tuple(lines)


def _fix_lines(shown: Mapping[str, Any]) -> tuple[FixLine, ...]:
    return tuple(
        FixLine(
            str(one["fix"]), str(one["title"]), str(one["severity"]), str(one["was"]), str(one["intended"]),
            str(one["is"] or ""), str(one["actual"]), str(one["result"] or ""),
        )
        for one in shown.get("fixes") or ()
    )


def _planned_line(wanted: Change, found: tuple[str, str] | None, *, proven: bool) -> ChangeLine:
    before, after = found if found is not None else (wanted.from_version, wanted.to_version)
    if proven:
        result = "verified"
    elif found is not None and after == wanted.to_version:
        result = "installed"
    else:
        result, after = "not-installed", wanted.to_version
    return ChangeLine(
        wanted.package, wanted.arch, before, after, result, wanted.origin, wanted.security, wanted.sha256,
        wanted.pulled, wanted.reason,
    )  # fmt: skip


def _touched(events: Sequence[Event]) -> bool | None:
    """Say whether an attempt changed something: known only when each one that was begun has reported its changes."""
    begun = {e.data.get("attempt") for e in events if e.kind == "job-intended" and e.data.get("kind") == "start"}
    ends = [data for result, data in _outcomes(events, "poll") if result in ("finished", "interrupted")]
    if any(data.get("changes") for data in ends):
        return True
    told = [data for data in ends if data.get("changes") is not None]
    return False if len(told) >= len(begun) else None


def _boot_ids(plan: HostPlan, events: Sequence[Event]) -> tuple[str, ...]:
    found: list[str] = []
    for event in events:
        if event.kind == "job-ended":
            boot_id = str((event.data.get("data") or {}).get("boot_id") or "")
            if boot_id and (not found or found[-1] != boot_id):
                found.append(boot_id)
    if not found and plan.boot_id:
        found.append(plan.boot_id)
    return tuple(found)


def _reboot_word(state: str, boots: Sequence[str], events: Sequence[Event]) -> str:
    asked = any(e.kind == "job-intended" and e.data.get("kind") == "reboot" for e in events)
    if len(boots) > 1:
        return "proven"
    if state == "reboot-pending":
        return "pending"
    if asked:
        return "unproven"
    return "not-needed" if state == "succeeded" else "none"


def _failures(events: Sequence[Event]) -> tuple[FailureLine, ...]:
    found = []
    for event in events:
        diagnosis = event.data.get("diagnosis") if event.kind == "host-concluded" else None
        if diagnosis:
            found.append(
                FailureLine(
                    event.at, str(diagnosis.get("cls", "unknown")), str(diagnosis.get("signature", "")),
                    str(diagnosis.get("message", "")), str(diagnosis.get("evidence", "")),
                    str(diagnosis.get("remedy", "")), bool(event.data.get("retry")),
                    tuple(str(a) for a in event.data.get("adjustments") or ()),
                )
            )  # fmt: skip
    return tuple(found)


def _told(events: Sequence[Event], key: str) -> tuple[str, ...]:
    """Return what all attempts told under that key, each once."""
    return tuple(dict.fromkeys(str(one) for _, data in _outcomes(events, "poll") for one in data.get(key) or ()))


def _health(events: Sequence[Event]) -> tuple[tuple[str, str, str], ...]:
    """Compare the health checks of the first preflight with those of the last verification."""
    before = [d["health_before"] for _, d in _outcomes(events, "preflight") if d.get("health_before") is not None]
    after = [d["health_after"] for _, d in _outcomes(events, "verify") if d.get("health_after") is not None]
    first = _health_words(before[0]) if before else {}
    last = _health_words(after[-1]) if after else {}
    return tuple((name, first.get(name, "unknown"), last.get(name, "unknown")) for name in {**first, **last})


def _health_words(checks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    words = {True: "ok", False: "failed", None: "unknown"}
    return {f"{c.get('kind', '')} {c.get('target', '')}".strip(): words[c.get("ok")] for c in checks}
