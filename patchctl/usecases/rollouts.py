"""What people may do to a rollout: create, pause, resume, abort, retry, approve, override windows.

Each is one durable event with actor and reason. A controller that is at work on the rollout sees it within a second;
where none is, the next tick or resume acts on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from patchctl.model.errors import ConfirmationError, StoreError, UsageError
from patchctl.model.ports import Clock
from patchctl.model.rollout import Event
from patchctl.rollout.actions import Draft
from patchctl.rollout.gates import acknowledge, check_approval, is_proven
from patchctl.rollout.journal import fold_all, initial
from patchctl.rollout.state import ABORTED, COMPLETED, GOOD_ENDS, HALTED, PAUSED, RolloutState
from patchctl.store.database import Store

_TRIES = 20
"""Times an event is offered again when the controller at work wrote in the same moment."""


def find_rollout(store: Store, rollout: str | None) -> str:
    """Return the rollout meant: the one named, else the latest. Raise UsageError when there is none."""
    name = rollout or store.latest_rollout()
    if name is None:
        raise UsageError("no-rollout", "there is no rollout yet", "make one with: patchctl apply --policy FILE")
    return name


def load_state(store: Store, rollout: str) -> RolloutState:
    """Return the rollout as its journal shows it now. Raise StoreError for an unknown rollout."""
    plan = store.load_plan(rollout)
    return fold_all(initial(plan), store.journal.events(rollout))


def create(store: Store, rollout: str, actor: str, clock: Clock, reason: str = "") -> RolloutState:
    """Release a saved plan for being carried out: from now on ticks take it up. Doing so again changes nothing."""
    def decide(state: RolloutState) -> Draft | None:
        return Draft("rollout-created", data={"hosts": len(state.hosts)}, reason=reason) if state.seq == 0 else None

    return _act(store, rollout, actor, clock, decide)


def pause(store: Store, rollout: str, actor: str, clock: Clock, reason: str = "") -> RolloutState:
    """Let nothing new start; what runs is followed to its end."""
    def decide(state: RolloutState) -> Draft | None:
        _refuse_over(state, "paused")
        return None if state.status in (PAUSED, HALTED) else Draft("rollout-paused", reason=reason)

    return _act(store, rollout, actor, clock, decide)


def resume(store: Store, rollout: str, actor: str, clock: Clock, reason: str = "") -> RolloutState:
    """Take back a pause or a halt. What halted it is recorded as seen: only more of the same halts it again."""
    def decide(state: RolloutState) -> Draft | None:
        if state.status == ABORTED:
            _refuse_over(state, "resumed")
        if state.status not in (PAUSED, HALTED):
            return None
        return Draft("rollout-resumed", data={"acknowledged": acknowledge(state)}, reason=reason)

    return _act(store, rollout, actor, clock, decide)


def abort(store: Store, rollout: str, actor: str, clock: Clock, reason: str = "") -> RolloutState:
    """End the rollout: nothing starts any more, ever; what runs is followed to its end and cleaned up."""
    def decide(state: RolloutState) -> Draft | None:
        if state.status == ABORTED:
            return None
        _refuse_over(state, "aborted")
        return Draft("rollout-aborted", reason=reason)

    return _act(store, rollout, actor, clock, decide)


def retry_failed(
    store: Store, rollout: str, actor: str, clock: Clock, reason: str = "", only: Sequence[str] = ()
) -> tuple[RolloutState, tuple[str, ...]]:
    """Take up again the hosts that ended badly (or those of them in `only`) with new attempts; return them too.

    Raise UsageError when there are none, or the rollout was aborted.
    """
    chosen: list[str] = []

    def decide(state: RolloutState) -> Draft | None:
        if state.status == ABORTED:
            _refuse_over(state, "retried")
        chosen[:] = [
            host.host for host in state.hosts.values()
            if host.settled and host.state not in GOOD_ENDS and not is_proven(host)
            and not state.plan.hosts[host.host].skip and (not only or host.host in only)
        ]
        if not chosen:
            raise UsageError("nothing-to-retry", f"no host of {rollout} ended badly", "see: patchctl rollout status")
        rings = sorted({state.plan.hosts[name].ring for name in chosen})
        return Draft("rollout-retried", data={"hosts": list(chosen), "rings": rings}, reason=reason)

    return _act(store, rollout, actor, clock, decide), tuple(chosen)


def approve(
    store: Store, rollout: str, actor: str, clock: Clock, reason: str = "", ring: str = ""
) -> tuple[RolloutState, str]:
    """Record an approval of `ring`, or of the first ring that waits for one; return the ring's name too.

    Raise UsageError when no ring waits for an approval, ConfirmationError when this person's does not count.
    """
    named: list[str] = []

    def decide(state: RolloutState) -> Draft | None:
        _refuse_over(state, "approved")
        index = _ring_to_approve(state, ring)
        planned = state.plan.rings[index]
        if planned.approval == "second-person" and actor == state.plan.created_by:
            raise ConfirmationError(
                "second-person", f"ring {planned.name} needs somebody else than {actor}, who made the plan",
                "another person runs: patchctl rollout approve",
            )
        named[:] = [planned.name]
        return Draft("ring-approved", data={"ring": planned.name}, reason=reason)

    return _act(store, rollout, actor, clock, decide), named[0]


def override_windows(store: Store, rollout: str, actor: str, clock: Clock, reason: str) -> RolloutState:
    """Let windows and blackouts count no more in this rollout. Raise UsageError without a reason."""
    if not reason:
        raise UsageError("reason-missing", "overriding windows needs a reason", "add: --reason INC123")

    def decide(state: RolloutState) -> Draft | None:
        return None if state.windows_overridden else Draft("windows-overridden", reason=reason)

    return _act(store, rollout, actor, clock, decide)


def released(store: Store) -> list[str]:
    """Return the rollouts that a tick looks after, oldest first: begun or released, and not over."""
    names = []
    for row in reversed(store.rollouts()):
        if not row.events:
            continue
        state = load_state(store, row.rollout)
        over = state.status in (COMPLETED, ABORTED) and not state.unsent
        if not over or any(host.active or (host.staged and not host.settled) for host in state.hosts.values()):
            names.append(row.rollout)
    return names


def _ring_to_approve(state: RolloutState, ring: str) -> int:
    names = [planned.name for planned in state.plan.rings]
    if ring and ring not in names:
        raise UsageError("no-ring", f"{state.rollout} has no ring {ring!r}", f"rings: {', '.join(names)}")
    for index, name in enumerate(names):
        if (ring in ("", name)) and state.rings[index].opened_at is None and not check_approval(state, index).open:
            return index
    what = f"ring {ring}" if ring else "no ring"
    raise UsageError("nothing-to-approve", f"{what} of {state.rollout} waits for an approval", "see: patchctl status")


def _refuse_over(state: RolloutState, what: str) -> None:
    if state.status in (COMPLETED, ABORTED):
        raise UsageError(
            "rollout-over", f"{state.rollout} is {state.status} and cannot be {what}",
            "see: patchctl rollout status",
        )


def _act(
    store: Store, rollout: str, actor: str, clock: Clock, decide: Callable[[RolloutState], Draft | None]
) -> RolloutState:
    """Append the event that `decide` wants on the state as it is, again when the state moved meanwhile."""
    for attempt in range(_TRIES):
        state = load_state(store, rollout)
        draft = decide(state)
        if draft is None:
            return state
        event = Event(rollout, state.seq + 1, clock.now(), actor, draft.kind, draft.host, draft.data, draft.reason)
        try:
            store.journal.append([event])
        except StoreError:
            if attempt == _TRIES - 1 or not store.journal.events(rollout, state.seq):
                raise
            continue
        return fold_all(state, [event])
    raise AssertionError("unreachable: the last try returns or raises")
