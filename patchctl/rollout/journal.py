"""The journal of a rollout: every event kind, and how events fold into state.

`state = fold(state, event)`: mechanical and total for known kinds; no decision is taken here. What was decided is
itself an event, so a journal read years later tells the same story. docs/reference/journal.md lists kinds and keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from patchctl.model.errors import UsageError
from patchctl.model.plan import Plan
from patchctl.model.rollout import EVENT_VERSION, SKIPPED, Event, HostJob, JobOutcome
from patchctl.rollout.actions import Draft
from patchctl.rollout.document import to_document
from patchctl.rollout.hostfold import LOOKS, fold_host
from patchctl.rollout.state import (
    ABORTED,
    COMPLETED,
    HALTED,
    PAUSED,
    RUNNING,
    HostProgress,
    RingProgress,
    RolloutState,
)
from patchctl.rollout.tally import HostTable, take_tally

__all__ = ["HOST_KINDS", "ROLLOUT_KINDS", "fold", "fold_all", "initial", "intent_draft", "outcome_draft", "to_document"]

ROLLOUT_KINDS = (
    "rollout-created", "controller-took-over", "controller-released", "rollout-started", "rollout-paused",
    "rollout-resumed", "rollout-halted", "rollout-aborted", "rollout-completed", "rollout-retried",
    "windows-overridden", "ring-opened", "ring-finished", "approval-requested", "ring-approved", "notification-sent",
)
HOST_KINDS = (
    "job-intended", "job-ended", "host-postponed", "host-overdue", "host-concluded", "host-retried",
    "host-rolling-back", "host-settled", "host-rolled-back",
)
NOTIFIED_KINDS = ("rollout-halted", "rollout-aborted", "rollout-completed")

Upcaster = Callable[[Event], Event]
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {}
"""(kind, version) -> a function that returns the event as the next version writes it."""

_SAME_NEWS = ("running", "waiting", "unreachable")


def initial(plan: Plan) -> RolloutState:
    """Return the state before the first event: hosts the plan leaves alone are settled, the others pending."""
    hosts = {
        name: HostProgress(name, host.skip_state or SKIPPED, host.skip, settled=True)
        if host.skip
        else HostProgress(name)
        for name, host in plan.hosts.items()
    }
    rings = tuple(RingProgress(ring.name) for ring in plan.rings)
    return RolloutState(plan, rings=rings, hosts=hosts, tally=take_tally(plan, hosts))


def fold(state: RolloutState, event: Event) -> RolloutState:
    """Return the state after one event. Raise UsageError for a kind or version this program does not know."""
    return fold_all(state, (event,))


def fold_all(
    state: RolloutState,
    events: Sequence[Event],
    upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    current: int = EVENT_VERSION,
) -> RolloutState:
    """Fold many events at once. Events with seq 0 live in memory only and do not advance `state.seq`."""
    table = HostTable(state.plan, state.hosts, state.tally)
    hosts = table.hosts
    for raw in events:
        event = upcast(raw, upcasters, current)
        if event.kind in HOST_KINDS:
            if event.host not in hosts:
                raise UsageError("foreign-journal", f"event {event.seq} is about {event.host}, which the plan lacks")
            table.put(fold_host(hosts[event.host], event))
            if event.kind == "host-settled" and event.data.get("changed"):
                state = _mark_ring_changed(state, event.host)
        elif event.kind in ROLLOUT_KINDS:
            state = _fold_rollout(state, event, table)
        else:
            raise UsageError(
                "unknown-event", f"event {event.seq} of {event.rollout} is of unknown kind {event.kind!r}",
                "a newer patchctl wrote it: use that version",
            )
        if event.seq:
            state = replace(state, seq=event.seq)
    return replace(state, hosts=hosts, tally=table.tally())


def upcast(event: Event, upcasters: Mapping[tuple[str, int], Upcaster], current: int) -> Event:
    """Return an event in the current version. Raise UsageError when a newer patchctl wrote it."""
    if event.version > current:
        raise UsageError(
            "newer-journal", f"event {event.seq} of {event.rollout} has version {event.version}, known is {current}",
            "a newer patchctl wrote it: use that version",
        )
    while event.version < current:
        step = upcasters.get((event.kind, event.version))
        event = step(event) if step else replace(event, version=event.version + 1)
    return event


def intent_draft(job: HostJob, attempt_number: int) -> Draft:
    """Return the event that must be durable before a job is handed out."""
    data: dict[str, Any] = {
        "job": job.id, "kind": job.kind, "attempt": job.attempt, "number": attempt_number, "token": job.token,
    }
    if job.boot_id:
        data["boot_id"] = job.boot_id
    if job.adjustments:
        data["adjustments"] = list(job.adjustments)
    if job.previous:
        data["previous"] = job.previous
    if job.undo:
        data["undo"] = True
    return Draft("job-intended", job.host, data, durable=job.kind not in LOOKS)


def outcome_draft(host: HostProgress, outcome: JobOutcome) -> Draft:
    """Return the event for what a job gave. A look that tells nothing new stays out of the journal."""
    data: dict[str, Any] = {
        "job": outcome.job, "kind": outcome.kind, "attempt": outcome.attempt, "result": outcome.result,
        "data": outcome.data,
    }
    if outcome.error is not None:
        error = outcome.error
        data["error"] = {
            "code": error.code, "message": error.message, "hint": error.hint, "status": error.status,
        }
    last = host.last
    same = (
        outcome.kind in LOOKS
        and outcome.result in _SAME_NEWS
        and last is not None
        and (last.kind, last.result, last.data.get("step")) == (outcome.kind, outcome.result, outcome.data.get("step"))
    )
    return Draft("job-ended", outcome.host, data, durable=not same)


def _mark_ring_changed(state: RolloutState, host: str) -> RolloutState:
    name = state.plan.hosts[host].ring
    rings = tuple(replace(ring, changed_hosts=True) if ring.name == name else ring for ring in state.rings)
    return replace(state, rings=rings)


def _fold_rollout(state: RolloutState, event: Event, table: HostTable) -> RolloutState:
    if event.kind in NOTIFIED_KINDS:
        state = replace(state, unsent=(*state.unsent, event.seq))
    if event.kind.startswith("ring-") or event.kind == "approval-requested":
        return _fold_ring(state, event)
    if event.kind == "controller-took-over":
        for host in [host for host in table.hosts.values() if host.job]:
            table.put(fold_host(host, event))
        return replace(state, token=int(event.data["token"]), controller=event.actor)
    if event.kind == "rollout-retried":
        for name in event.data["hosts"]:
            table.put(fold_host(table.hosts[name], event))
        rings = tuple(
            replace(ring, finished_at=None) if ring.name in event.data["rings"] else ring for ring in state.rings
        )
        return replace(state, status=RUNNING, rings=rings, ended_at=None, message="")
    if event.kind == "windows-overridden":
        return replace(state, windows_overridden=event.reason or "overridden")
    if event.kind == "notification-sent":
        return replace(state, unsent=tuple(seq for seq in state.unsent if seq != event.data["of"]))
    return _fold_status(state, event)


def _fold_status(state: RolloutState, event: Event) -> RolloutState:
    if event.kind == "rollout-started":
        return replace(state, status=RUNNING, started_at=event.at)
    if event.kind == "rollout-paused":
        return replace(state, status=PAUSED, message=event.reason)
    if event.kind == "rollout-resumed":
        return replace(state, status=RUNNING, message="", acknowledged=dict(event.data.get("acknowledged", {})))
    if event.kind == "rollout-halted":
        return replace(state, status=HALTED, message=event.reason)
    if event.kind == "rollout-aborted":
        return replace(state, status=ABORTED, message=event.reason, ended_at=event.at)
    if event.kind == "rollout-completed":
        return replace(state, status=COMPLETED, message=event.reason, ended_at=event.at)
    return state  # rollout-created, controller-released: said for the reader, they change nothing


def _fold_ring(state: RolloutState, event: Event) -> RolloutState:
    def changed(ring: RingProgress) -> RingProgress:
        if ring.name != event.data["ring"]:
            return ring
        if event.kind == "ring-opened":
            return replace(ring, opened_at=event.at)
        if event.kind == "ring-finished":
            return replace(ring, finished_at=event.at)
        if event.kind == "approval-requested":
            return replace(ring, asked_at=event.at)
        return replace(ring, approvals=(*ring.approvals, (event.actor, event.reason)))

    return replace(state, rings=tuple(changed(ring) for ring in state.rings))
