"""What a rollout came to, as values that every form of report is written from. Pure: plan, events and document in.

The document is that of `rollout status ID` (docs/schemas); the events are those of the journal with their audit
numbers. Nothing is assumed where neither says anything: it is None, and the reports say unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.model.plan import Plan
from patchctl.model.rollout import Event
from patchctl.model.units import resolve_budget
from patchctl.report.hosts import HostDigest, digest_host

STATE_ORDER = (
    "succeeded", "reboot-pending", "failed", "rolled-back", "in-doubt", "interrupted", "unreachable", "blocked",
    "late", "skipped", "frozen", "superseded", "applying", "rebooting", "verifying", "staging", "preflight", "pending",
)
"""Order in which counts of states are told: good, bad, left alone, at work, to come."""

_CODE_OF_STATE = {
    "failed": 5, "rolled-back": 5, "in-doubt": 5, "interrupted": 5,
    "unreachable": 4, "blocked": 4,
    "reboot-pending": 3, "skipped": 3, "pending": 3,
}  # fmt: skip
_PRECEDENCE = (130, 143, 1, 13, 11, 2, 10, 7, 6, 12, 5, 4, 3, 0)


class Sealed(Struct, frozen=True):
    """An event with its place in the audit chain."""

    number: int
    hash: str
    event: Event


class LimitLine(Struct, frozen=True):
    """One limit: how many hosts count against it, of how many, and how many may."""

    name: str
    count: int
    total: int
    limit: int

    def __str__(self) -> str:
        return f"{self.name} {self.count:,}/{self.total:,}, limit {self.limit:,}"


class RingDigest(Struct, frozen=True):
    name: str
    window: str
    soak: float
    approval: str
    hosts: int
    counts: tuple[tuple[str, int], ...]
    opened_at: float | None
    finished_at: float | None
    approvals: tuple[tuple[float, str, str], ...]
    """(Unix time, actor, reason)"""
    rolled_back: int = 0
    """Hosts that were taken back, where that was the aim."""

    @property
    def verified(self) -> int:
        return count_verified(self.counts) + self.rolled_back


class NotApproved(Struct, frozen=True):
    """Pending updates that the plan leaves alone."""

    updates: int
    hosts: int
    next_due: float | None
    """Unix time when the next of them becomes due; None = not known."""
    lines: tuple[tuple[str, str, str, int], ...]
    """(package, candidate, reason, hosts), most hosts first"""


class RolloutDigest(Struct, frozen=True):
    plan: Plan
    state: str
    title: str
    """The result in capitals: COMPLETED | COMPLETED, NOT CLEAN | HALTED | ..."""
    message: str
    exit_code: int
    total: int
    verified: int
    counts: tuple[tuple[str, int], ...]
    limits: tuple[LimitLine, ...]
    started_at: float | None
    ended_at: float | None
    rings: tuple[RingDigest, ...]
    hosts: tuple[HostDigest, ...]
    not_approved: NotApproved
    events: tuple[Sealed, ...] = field(default=())

    @property
    def rollout(self) -> str:
        return self.plan.rollout


def digest_rollout(plan: Plan, events: Sequence[Sealed], document: Mapping[str, Any]) -> RolloutDigest:
    """Bring together what was planned, what happened and where it ended."""
    by_host: dict[str, list[Event]] = {}
    for sealed in events:
        if sealed.event.host:
            by_host.setdefault(sealed.event.host, []).append(sealed.event)
    shown = {str(h.get("host")): h for h in document.get("hosts", ())}
    hosts = tuple(
        digest_host(host, shown.get(name, {}), by_host.get(name, [])) for name, host in sorted(plan.hosts.items())
    )
    counts = count_states(hosts)
    state = str(document.get("state", "planned"))
    code = exit_code_for(document)
    last = events[-1].event.at if events else None
    return RolloutDigest(
        plan=plan, state=state, title=title_of(state, code), message=str(document.get("reason") or ""),
        exit_code=code, total=len(hosts), counts=counts,
        verified=count_verified(counts) + sum(host.rolled_back_on_request for host in hosts if plan.undoes),
        limits=measure_limits(plan, hosts, document), started_at=document.get("started_at"),
        ended_at=document.get("ended_at") or last, rings=_digest_rings(plan, hosts, events), hosts=hosts,
        not_approved=sum_not_approved(plan), events=tuple(events),
    )  # fmt: skip


def count_states(hosts: Iterable[HostDigest]) -> tuple[tuple[str, int], ...]:
    """Return (state, hosts) for every state that occurs, in the order of STATE_ORDER."""
    counted = Counter(host.state for host in hosts)
    known = [(state, counted.pop(state)) for state in STATE_ORDER if state in counted]
    return (*known, *sorted(counted.items()))


def count_verified(counts: Iterable[tuple[str, int]]) -> int:
    """Return how many hosts are done and proven, in time or late."""
    return sum(count for state, count in counts if state in ("succeeded", "late"))


def exit_code_for(document: Mapping[str, Any]) -> int:
    """Return the exit code for a `rollout status` document, the gravest of several (DESIGN.md's order).

    13 every host refused by its host key; 5 failed, rolled back, in doubt or interrupted hosts; 4 unreachable or
    blocked; 6 halted; 7 the window closed or somebody paused it; 3 something is left to do (pending, skipped, reboot
    pending). Frozen hosts are meant to be left alone and late ones are verified: they count as nothing. Hosts of a
    rollout that still runs are not held against it for being unfinished.
    """
    state = str(document.get("state", "planned"))
    over = state in ("completed", "halted", "aborted")
    codes = {{"halted": 6, "paused": 7}.get(state, 0)}
    for host in document.get("hosts", ()):
        if host.get("state") == "rolled-back" and host.get("counts") == "":
            continue  # somebody asked for it
        code = code_of_state(str(host.get("state")))
        if code != 3 or over:
            codes.add(code)
    signatures = [str((host.get("diagnosis") or {}).get("signature", "")) for host in document.get("hosts", ())]
    if signatures and all(signature.startswith("host-key") for signature in signatures):
        codes.add(13)
    return worst_exit(codes)


def code_of_state(state: str) -> int:
    """Return the exit code that a host in this state stands for, 0 for one that ended well or is meant to be left."""
    return _CODE_OF_STATE.get(state, 0)


def worst_exit(codes: Iterable[int]) -> int:
    """Return the code that is told when several apply: 130/143 > 1 > 13 > 11 > 2 > 10 > 7 > 6 > 12 > 5 > 4 > 3 > 0."""
    return min(codes, key=_PRECEDENCE.index, default=0)


def title_of(state: str, exit_code: int) -> str:
    """Return the result in capitals; a completed rollout is clean only if nothing is left to say."""
    return "COMPLETED, NOT CLEAN" if state == "completed" and exit_code else state.upper()


def measure_limits(
    plan: Plan, hosts: Sequence[HostDigest], document: Mapping[str, Any]
) -> tuple[LimitLine, ...]:
    """Return the use of each limit: as the document says it, else counted from what each host counts against."""
    given = document.get("limits")
    if given:
        return tuple(
            LimitLine(str(one["name"]), int(one["count"]), int(one["total"]), int(one["limit"])) for one in given
        )
    total = sum(1 for host in plan.hosts.values() if not host.skip)
    counted = Counter(host.counts for host in hosts)
    budgets = {"errors": plan.limits.errors, "unreachable": plan.limits.unreachable, "changed": plan.limits.changed}
    return tuple(LimitLine(name, counted[name], total, resolve_budget(text, total)) for name, text in budgets.items())


def sum_not_approved(plan: Plan) -> NotApproved:
    """Sum up what waits for approval, is held, phased or rejected; each (package, candidate) counts once."""
    counted: Counter[tuple[str, str, str]] = Counter()
    affected = 0
    for host in plan.hosts.values():
        affected += bool(host.not_approved)
        counted.update(host.not_approved)
    updates = {(package, candidate) for package, candidate, _ in counted}
    lines = sorted(((*key, count) for key, count in counted.items()), key=lambda line: (-line[3], line))
    return NotApproved(len(updates), affected, plan.next_due, tuple(lines))


def _digest_rings(plan: Plan, hosts: Sequence[HostDigest], events: Sequence[Sealed]) -> tuple[RingDigest, ...]:
    opened: dict[str, float] = {}
    finished: dict[str, float] = {}
    approvals: dict[str, list[tuple[float, str, str]]] = {}
    for event in (sealed.event for sealed in events):
        ring = str(event.data.get("ring", ""))
        if event.kind == "ring-opened":
            opened.setdefault(ring, event.at)
        elif event.kind == "ring-finished":
            finished[ring] = event.at
        elif event.kind == "ring-approved":
            approvals.setdefault(ring, []).append((event.at, event.actor, event.reason))
    found = []
    for ring_plan in plan.rings:
        name = ring_plan.name
        members = [host for host in hosts if host.plan.ring == name]
        found.append(
            RingDigest(
                name, ring_plan.windows, ring_plan.soak, ring_plan.approval, len(members), count_states(members),
                opened.get(name), finished.get(name), tuple(approvals.get(name, ())),
                sum(host.rolled_back_on_request for host in members) if plan.undoes else 0,
            )
        )  # fmt: skip
    return tuple(found)
