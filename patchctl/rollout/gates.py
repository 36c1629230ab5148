"""Gates: what must hold before a ring opens or a host is begun, each with its reason in words.

Limits are budgets over the hosts that the plan touches: reaching one is allowed, crossing it halts. So does a ring
that went badly and proved nothing. A ring opens when the ring before has soaked, its approval is recorded and its
window is open. A host is begun in its ring's window up to the cutoff: the smaller of `limits.host_time` and a quarter
of the opening before it closes, so that work that has begun can normally end inside. Work that is under way is never
cut off by a window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set

from msgspec import Struct

from patchctl.model.plan import HostPlan
from patchctl.model.rollout import (
    FAILED,
    IN_DOUBT,
    INTERRUPTED,
    LATE,
    REBOOT_PENDING,
    ROLLED_BACK,
    SUCCEEDED,
    UNREACHABLE,
)
from patchctl.model.units import resolve_budget
from patchctl.rollout.state import HostProgress, RingProgress, RolloutState
from patchctl.rollout.windows import openings, parse_window

LIMITS = ("errors", "unreachable", "changed")
DOWN_STATES = frozenset({FAILED, IN_DOUBT, INTERRUPTED, UNREACHABLE})
"""Settled hosts that count as down for max_down: nobody has shown that they serve."""

PROVEN_STATES = frozenset({SUCCEEDED, LATE, REBOOT_PENDING})


class LimitUse(Struct, frozen=True):
    """How much of one limit is used up."""

    name: str
    count: int
    total: int
    budget: int

    @property
    def crossed(self) -> bool:
        return self.count > self.budget

    def __str__(self) -> str:
        return f"{self.name} {self.count}/{self.total}, limit {self.budget}"


class Gate(Struct, frozen=True):
    """Whether something may go on; if not, why, and the Unix time to look again (inf = only a person can tell)."""

    open: bool
    reason: str = ""
    kind: str = ""
    """soak | approval | window | max-down | "" when open"""
    look_at: float = math.inf


OPEN = Gate(True)


def measure_limits(state: RolloutState) -> tuple[LimitUse, ...]:
    """Return the use of errors, unreachable and changed over the hosts that the plan touches."""
    total, counts, limits = state.tally.touched, state.tally.counts, state.plan.limits
    budgets = {"errors": limits.errors, "unreachable": limits.unreachable, "changed": limits.changed}
    return tuple(LimitUse(name, counts.get(name, 0), total, resolve_budget(budgets[name], total)) for name in LIMITS)


class Halt(Struct, frozen=True):
    """Why nothing new may start until a person says so. `name` and `count` are what a resume acknowledges."""

    name: str
    count: int
    reason: str


def find_halt(state: RolloutState) -> Halt | None:
    """Return why the rollout must halt now, beyond what a person acknowledged, or None."""
    for halt in _halts(state):
        if halt.count > state.acknowledged.get(halt.name, 0):
            return halt
    return None


def acknowledge(state: RolloutState) -> dict[str, int]:
    """Return what a person who resumes now has seen: for every reason to halt, its count."""
    return {**state.acknowledged, **{halt.name: halt.count for halt in _halts(state)}}


def _halts(state: RolloutState) -> Iterator[Halt]:
    for use in measure_limits(state):
        if use.crossed:
            yield Halt(use.name, use.count, str(use))
    for index, ring in enumerate(state.rings[:-1]):
        if state.rings[index + 1].opened_at is not None:
            continue
        hosts = [host for _, host in state.ring_hosts(index)]
        # Told together with the limit that the ring's last host crosses, so that one resume acknowledges both.
        if not all(host.settled for host in hosts):
            return
        bad = sum(1 for host in hosts if host.counts)
        if bad and not any(is_proven(host) for host in hosts):
            yield Halt(f"ring {ring.name}", bad, f"ring {ring.name} proved nothing: none of its hosts succeeded")


def is_proven(host: HostProgress) -> bool:
    """Whether a verification showed the host as its rollout wants it; rolled back counts where that was the aim."""
    return host.state in PROVEN_STATES or (host.state == ROLLED_BACK and not host.counts)


def check_ring(state: RolloutState, index: int, now: float) -> Gate:
    """Say whether ring `index` may open now: soak of the ring before, approval, window, in this order."""
    before = state.rings[index - 1] if index else None
    if before is not None and before.changed_hosts and before.finished_at is not None:
        soaked = before.finished_at + state.plan.rings[index - 1].soak
        if now < soaked:
            return Gate(False, f"ring {before.name} soaks", "soak", soaked)
    approval = check_approval(state, index)
    return approval if not approval.open else check_window(state, index, now)


def check_approval(state: RolloutState, index: int) -> Gate:
    """Say whether the approvals that ring `index` needs are recorded."""
    wanted, ring = state.plan.rings[index].approval, state.rings[index]
    if not wanted or approvers(state, ring, wanted):
        return OPEN
    if wanted == "second-person":
        other = f"someone other than {state.plan.created_by}"
        return Gate(False, f"ring {ring.name} needs the approval of {other}", "approval")
    return Gate(False, f"ring {ring.name} needs an operator's approval", "approval")


def approvers(state: RolloutState, ring: RingProgress, wanted: str) -> tuple[str, ...]:
    """Return who approved a ring and counts for the kind of approval it wants."""
    return tuple(who for who, _ in ring.approvals if wanted != "second-person" or who != state.plan.created_by)


def check_window(state: RolloutState, index: int, now: float) -> Gate:
    """Say whether a host of ring `index` may be begun at `now`, and when the next chance comes."""
    ring, plan = state.plan.rings[index], state.plan
    if state.windows_overridden or not (ring.windows or plan.blackout):
        return OPEN
    what = f"window of ring {ring.name} ({ring.windows or 'any time but blackouts'})"
    for begin, end in openings(parse_window(ring.windows), plan.blackout, plan.timezone, now):
        cutoff = end - window_cutoff(begin, end, plan.limits.host_time)
        if now >= cutoff:
            continue
        if begin <= now:
            return OPEN
        return Gate(False, f"{what} is closed", "window", begin)
    return Gate(False, f"{what} never opens again", "window")


def window_cutoff(begin: float, end: float, host_time: float) -> float:
    """Return how many seconds before its end an opening stops taking hosts: host_time, at most a quarter of it."""
    return 0.0 if math.isinf(end) else min(host_time, (end - begin) / 4)


def find_down(state: RolloutState, elsewhere: Mapping[str, Set[str]]) -> dict[str, set[str]]:
    """Return per group with max_down its members that are down or in flight, other rollouts' included."""
    down = {group: set(hosts) for group, hosts in elsewhere.items()}
    for name, plan in state.plan.hosts.items():
        if plan.max_down and is_down(state.hosts[name]):
            for group, _ in plan.max_down:
                down.setdefault(group, set()).add(name)
    return down


def is_down(host: HostProgress) -> bool:
    """Whether a host may not be serving: at work, ended without proof that it serves, or waiting for a retry."""
    return host.active or host.state in DOWN_STATES or (not host.settled and host.retries > 0)


def check_max_down(plan: HostPlan, down: Mapping[str, Set[str]]) -> Gate:
    """Say whether the host may go down beside those members of its groups that are down already."""
    for group, limit in plan.max_down:
        others = down.get(group, set()) - {plan.host}
        if len(others) >= limit:
            names = ", ".join(sorted(others)[:3]) + (" ..." if len(others) > 3 else "")
            return Gate(False, f"group {group}: {len(others)} down ({names}), max_down {limit}", "max-down")
    return OPEN
