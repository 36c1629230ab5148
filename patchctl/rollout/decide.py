"""Decides what a rollout does next: pure, from its state and the time.

One pass returns either events to record (then decide again on what is true now) or jobs to run and when to wake.
Rings run in order. Within a ring hosts are begun in the order of its waves, at most `plan.concurrency` at work at
once, so that the next wave's hosts follow as slots become free. Hosts that the run itself depends on (`late`) come
after all others, one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from patchctl.model.plan import HostPlan
from patchctl.model.rollout import BLOCKED, SUCCEEDED
from patchctl.rollout.actions import Action, Draft, Finish, Record, RunJob, Surroundings, WakeAt
from patchctl.rollout.endings import Case, settle
from patchctl.rollout.gates import Gate, check_max_down, check_ring, check_window, find_down, find_halt
from patchctl.rollout.state import ABORTED, COMPLETED, PLANNED, RUNNING, HostProgress, RolloutState
from patchctl.rollout.steps import begin, next_step

_LOOK_ELSEWHERE = 60.0
"""Seconds between looks whether another rollout has freed a member of a group with max_down."""


def decide(state: RolloutState, now: float, around: Surroundings = Surroundings()) -> tuple[Action, ...]:
    """Return the next actions. Raise ValueError for a window or budget that does not parse (plans hold valid ones)."""
    if state.status == PLANNED:
        return (Record((Draft("rollout-started"),)),)
    if state.status == COMPLETED:
        return (Finish(),)
    if state.status == RUNNING:
        halt = find_halt(state)
        if halt is not None:
            data = {"by": halt.name, "count": halt.count}
            return (Record((Draft("rollout-halted", data=data, reason=halt.reason),)),)
    index = current_ring(state)
    if index is None and state.status == RUNNING:
        return (Record((Draft("rollout-completed", data=summarize(state)),)),)
    gate = _gate(state, index, now)
    return _assemble(state, [*_follow(state, gate, now, around), *_advance(state, index, gate, now, around)])


def current_ring(state: RolloutState) -> int | None:
    """Return the index of the first ring that is not finished, or None."""
    return next((i for i, ring in enumerate(state.rings) if ring.finished_at is None), None)


def summarize(state: RolloutState) -> dict[str, int]:
    """Return how many hosts are in each state, in the order of the plan's hosts."""
    counts: dict[str, int] = {}
    for host in state.hosts.values():
        counts[host.state] = counts.get(host.state, 0) + 1
    return counts


def find_waits(state: RolloutState, now: float) -> tuple[Gate, ...]:
    """Return the closed gates that the rollout stands before now: soak, approval or window of the current ring."""
    index = current_ring(state)
    if index is None or state.status not in (PLANNED, RUNNING):
        return ()
    if state.rings[index].opened_at is None:
        gate = check_ring(state, index, now)
    elif any(not host.settled and not host.active for _, host in state.ring_hosts(index)):
        gate = check_window(state, index, now)
    else:
        return ()
    return () if gate.open else (gate,)


def _gate(state: RolloutState, index: int | None, now: float) -> Gate:
    """Whether an install may be started now anywhere: only the current ring starts hosts."""
    if state.status != RUNNING or index is None:
        return Gate(False, f"the rollout is {state.status}")
    return check_window(state, index, now) if state.rings[index].opened_at is not None else Gate(False, "not opened")


def _follow(state: RolloutState, gate: Gate, now: float, around: Surroundings) -> Iterator[Action]:
    """Yield the next step of every host whose work has begun, and when the first of those that wait goes on."""
    if state.status == ABORTED:
        yield from (_drop(state.hosts[name]) for name in state.tally.waiting if state.hosts[name].staged)
    waits, wake = around.waits, math.inf
    waits.expect((state.status, gate.open, gate.reason))
    for name in state.tally.active:
        host = state.hosts[name]
        known = waits.until.get(name)
        if known is not None and known[0] is host and now < known[1]:
            wake = min(wake, known[1])
            continue
        waits.until.pop(name, None)
        if host.job or host.last is None:
            continue
        plan = state.plan.hosts[name]
        signatures = around.signatures.get(plan.platform, ())
        # A host that is taken back is at work, like one that is verified: neither window nor halt leaves it half-way.
        may_start = state.status != ABORTED if host.undoing else gate.open
        plan = plan.backwards() if host.undoing else plan
        step = next_step(Case(state, plan, host, host.last, now, may_start, gate.reason, signatures))
        if isinstance(step, WakeAt):
            waits.until[name] = (host, step.time)
            wake = min(wake, step.time)
        else:
            yield step
    if wake < math.inf:
        yield WakeAt(wake)


def _drop(host: HostProgress) -> Action:
    """An aborted rollout left files on a host that was waiting for its window: take them away."""
    data = {"state": "skipped", "counts": "", "cleanup": True}
    return Record((Draft("host-concluded", host.host, data, "the rollout was aborted before its install began"),))


def _advance(
    state: RolloutState, index: int | None, gate: Gate, now: float, around: Surroundings
) -> Iterator[Action]:
    """Yield what opens, fills or finishes the current ring."""
    if state.status != RUNNING or index is None:
        return
    ring = state.rings[index]
    if not state.tally.unsettled.get(ring.name):
        yield Record((Draft("ring-finished", data={"ring": ring.name}),))
    elif ring.opened_at is None:
        yield from _open(state, index, now)
    else:
        yield from _begin_hosts(state, index, gate, now, around)


def _open(state: RolloutState, index: int, now: float) -> Iterator[Action]:
    ring = state.rings[index]
    pairs = state.ring_hosts(index)
    idle = tuple(_nothing_to_do(host) for plan, host in pairs if not host.settled and not _has_work(plan))
    if idle:
        yield Record(tuple(draft for record in idle for draft in record.events))
        return
    gate = check_ring(state, index, now)
    if gate.open:
        yield Record((Draft("ring-opened", data={"ring": ring.name}),))
    elif gate.kind == "approval" and ring.asked_at is None:
        yield Record((Draft("approval-requested", data={"ring": ring.name}, reason=gate.reason),))
    else:
        yield WakeAt(gate.look_at)


def _begin_hosts(
    state: RolloutState, index: int, gate: Gate, now: float, around: Surroundings
) -> Iterator[Action]:
    """Yield preflights of hosts whose turn it is, and end those that max_down will never let start."""
    if not gate.open:
        yield WakeAt(gate.look_at)
        return
    at_work = len(state.tally.active)
    if at_work >= state.plan.concurrency:
        return
    turn = _whose_turn(state, index)
    down = find_down(state, around.down_elsewhere)
    held: list[tuple[HostPlan, HostProgress, Gate]] = []
    for plan, host in turn:
        if at_work >= (1 if plan.late else state.plan.concurrency):
            return
        free = check_max_down(plan, down)
        if host.not_before > now:
            yield WakeAt(host.not_before)
        elif not free.open:
            held.append((plan, host, free))
        else:
            for group, _ in plan.max_down:
                down.setdefault(group, set()).add(plan.host)
            at_work += 1
            yield begin(state, host)
    if held and not at_work:
        yield from _hold(held, any(host.not_before > now for _, host in turn), now, around)


def _whose_turn(state: RolloutState, index: int) -> list[tuple[HostPlan, HostProgress]]:
    """Return the hosts that wait to be begun; `late` ones only when nothing else is left or at work."""
    names = [name for wave in state.plan.rings[index].waves for name in wave if name in state.tally.waiting]
    waiting = [(state.plan.hosts[name], state.hosts[name]) for name in names]
    ordinary = [pair for pair in waiting if not pair[0].late]
    return ordinary or ([] if state.tally.active else waiting)


def _hold(
    held: Sequence[tuple[HostPlan, HostProgress, Gate]], retry_due: bool, now: float, around: Surroundings
) -> Iterator[Action]:
    """Hosts behind max_down wait while somebody may still free a place; else they are blocked, and it is said."""
    groups = {group for plan, _, _ in held for group, _ in plan.max_down}
    if any(around.down_elsewhere.get(group) for group in groups):
        yield WakeAt(now + _LOOK_ELSEWHERE)
    elif not retry_due:
        yield Record(tuple(draft for _, host, gate in held for draft in settle(host, BLOCKED, gate.reason).events))


def _has_work(plan: HostPlan) -> bool:
    pending_reboot = plan.reboot_expected is True and plan.reboot in ("if_required", "always")
    return plan.changes_something or pending_reboot


def _nothing_to_do(host: HostProgress) -> Record:
    return settle(host, SUCCEEDED, "nothing to change")


def _assemble(state: RolloutState, actions: Sequence[Action]) -> tuple[Action, ...]:
    """Records first and alone; else jobs and the earliest time to wake; Finish when nothing is or may be at work."""
    records = tuple(action for action in actions if isinstance(action, Record))
    if records:
        return (Record(tuple(draft for record in records for draft in record.events)),)
    jobs = tuple(action for action in actions if isinstance(action, RunJob))
    wakes = [action.time for action in actions if isinstance(action, WakeAt)]
    out = any(state.hosts[name].job for name in state.tally.active)
    if state.status != RUNNING and not jobs and not wakes and not out:
        return (Finish(),)
    return (*jobs, WakeAt(min(wakes, default=math.inf)))
