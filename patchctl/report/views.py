"""What the HTML page shows, row by row: change sets, packages, timeline. Plain values; no markup here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.text import one_line
from patchctl.report.digest import RolloutDigest, Sealed
from patchctl.report.hosts import ChangeLine, HostDigest

TIMELINE_LIMIT = 4000
"""Events shown in the page; beyond it the routine steps of hosts that ended well are left to the JSON file."""

_ROUTINE = frozenset({"job-intended", "job-ended"})

STATE_TONE = {
    "succeeded": "good", "reboot-pending": "warn", "failed": "bad", "rolled-back": "bad", "in-doubt": "bad",
    "interrupted": "bad", "unreachable": "bad", "blocked": "bad", "late": "warn", "skipped": "warn", "frozen": "calm",
    "superseded": "calm",
}  # fmt: skip


class ChangeSet(Struct, frozen=True):
    """Hosts on which exactly the same versions were changed with the same result: told once."""

    number: int
    hosts: tuple[str, ...]
    changes: tuple[ChangeLine, ...]


class PackageLine(Struct, frozen=True):
    """One version step over the whole fleet."""

    package: str
    before: tuple[str, ...]
    after: str
    hosts: int
    verified: int
    security: bool | None
    origin: str


class TimelineLine(Struct, frozen=True):
    number: int
    at: float
    actor: str
    host: str
    text: str
    reason: str
    tone: str = ""


def group_changes(hosts: Sequence[HostDigest]) -> tuple[ChangeSet, ...]:
    """Group hosts by identical changes, the largest group first. Why an update was approved may differ between them."""
    groups: dict[tuple[ChangeLine, ...], list[str]] = {}
    for host in hosts:
        if host.changes:
            key = tuple(replace(change, reason="") for change in host.changes)
            groups.setdefault(key, []).append(host.host)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[1]))
    return tuple(ChangeSet(n, tuple(names), changes) for n, (changes, names) in enumerate(ordered, 1))


def sum_packages(hosts: Sequence[HostDigest]) -> tuple[PackageLine, ...]:
    """Return every package that was to be changed: from what, to what, on how many hosts, on how many proven."""
    before: dict[tuple[str, str], set[str]] = {}
    planned: Counter[tuple[str, str]] = Counter()
    verified: Counter[tuple[str, str]] = Counter()
    sample: dict[tuple[str, str], ChangeLine] = {}
    for host in hosts:
        for change in {(c.package, c.after): c for c in host.changes}.values():
            key = (change.package, change.after)
            before.setdefault(key, set()).add(change.before or "(not installed)")
            planned[key] += 1
            verified[key] += change.result == "verified"
            sample.setdefault(key, change)
    return tuple(
        PackageLine(
            key[0], tuple(sorted(before[key])), key[1] or "(removed)", planned[key], verified[key],
            sample[key].security, sample[key].origin,
        )
        for key in sorted(sample)
    )  # fmt: skip


def read_timeline(digest: RolloutDigest) -> tuple[tuple[TimelineLine, ...], int]:
    """Return (lines in order, events left out). Nothing about the rollout itself or a host in trouble is left out."""
    events: Sequence[Sealed] = digest.events
    if len(events) > TIMELINE_LIMIT:
        calm = {host.host for host in digest.hosts if STATE_TONE.get(host.state) in ("good", "calm")}
        events = [s for s in events if not (s.event.host in calm and s.event.kind in _ROUTINE)]
    if len(events) > TIMELINE_LIMIT:
        events = [s for s in events if s.event.kind not in _ROUTINE]
    return tuple(_timeline_line(sealed) for sealed in events), len(digest.events) - len(events)


def _timeline_line(sealed: Sealed) -> TimelineLine:
    event = sealed.event
    tone = ""
    if event.kind in ("rollout-halted", "rollout-aborted", "host-overdue"):
        tone = "bad"
    elif event.kind == "host-settled":
        tone = STATE_TONE.get(str(event.data.get("state")), "")
    elif event.kind in ("rollout-started", "ring-opened", "ring-finished", "ring-approved", "rollout-completed"):
        tone = "mark"
    text = describe_event(event.kind, event.data)
    return TimelineLine(sealed.number, event.at, event.actor, event.host, text, one_line(event.reason, 300), tone)


def describe_event(kind: str, data: dict[str, Any]) -> str:
    """Return an event in a few words."""
    if kind == "job-intended":
        attempt = f", attempt {data['number']}" if data.get("number") else ""
        return one_line(f"{data.get('kind', 'job')}: about to begin{attempt}")
    if kind == "job-ended":
        error = data.get("error") or {}
        why = f" ({error.get('code')}: {error.get('message')})" if error else ""
        return one_line(f"{data.get('kind', 'job')}: {data.get('result', '?')}{why}", 300)
    if kind == "host-rolled-back":
        return one_line(f"rolled back by {data.get('by', '?')}")
    if kind == "host-settled":
        return one_line(f"settled: {data.get('state', '?')}")
    if kind == "host-concluded":
        return one_line(f"concluded: {'retry' if data.get('retry') else data.get('state', '?')}")
    words = kind.replace("-", " ")
    ring = data.get("ring")
    return one_line(f"{words}: {ring}" if ring else words)
