"""Follows a rollout that another process carries out, by reading its journal."""

from __future__ import annotations

from collections.abc import Callable

from patchctl.model.ports import Interrupt, Observer
from patchctl.rollout.journal import fold_all
from patchctl.rollout.state import PLANNED, RUNNING, RolloutState
from patchctl.store.database import Store
from patchctl.usecases.narrate import tell, tell_step
from patchctl.usecases.rollouts import load_state

_EVERY = 1.0


def watch_rollout(
    store: Store, rollout: str, observer: Observer, interrupt: Interrupt, sleep: Callable[[float], None]
) -> RolloutState:
    """Tell the observer what happens until the rollout is over, stands still, or the user leaves. Writes nothing."""
    state = load_state(store, rollout)
    observer.started(f"Rollout {rollout}", sum(1 for host in state.hosts.values() if not host.settled))
    try:
        for host in state.hosts.values():
            if host.active:
                observer.step(host.host, host.state)
        while not interrupt.requested() and not _stands_still(state):
            sleep(_EVERY)
            events = store.journal.events(rollout, state.seq)
            state = fold_all(state, events)
            for event in events:
                tell_step(observer, event)
                tell(observer, event)
    finally:
        observer.ended()
    return state


def _stands_still(state: RolloutState) -> bool:
    return state.status not in (PLANNED, RUNNING) and not any(host.active for host in state.hosts.values())
