"""Takes a rollout back: looks at its hosts, plans the way back, and afterwards lets its journal know."""

from __future__ import annotations

from msgspec import Struct

from patchctl.model.errors import StoreError, UsageError
from patchctl.model.facts import HostFacts
from patchctl.model.hosts import Inventory
from patchctl.model.plan import REMEDIATE, HostPlan, Plan
from patchctl.model.ports import Clock, Observer
from patchctl.model.rollout import ROLLED_BACK, Event
from patchctl.model.selection import select_hosts
from patchctl.model.units import resolve_budget
from patchctl.rollout.earlier import NOT_ASKED, Kept, find_way_back
from patchctl.rollout.state import PLANNED, RUNNING, RolloutState
from patchctl.rollout.takeback import (
    Seen,
    as_reported,
    build_takeback,
    count_changed,
    find_in_place,
    find_touched,
    name_takeback,
    turn_back,
)
from patchctl.store.database import Store
from patchctl.usecases.access import Fleet, with_total
from patchctl.usecases.earlier import ask_earlier
from patchctl.usecases.rollouts import load_state
from patchctl.usecases.scan import Opener, scan_hosts

_TRIES = 20


class RollbackRequest(Struct, frozen=True):
    rollout: str
    inventory: Inventory
    actor: str
    kept: Kept
    limit: str = ""
    """A limit pattern; @FILE is expanded already."""
    forks: int = 50
    timeout: float | None = None


def find_undoable(store: Store, rollout: str | None) -> str:
    """Return the rollout meant: the one named, else the latest that changed packages and takes no other one back.

    Raise UsageError when there is none, when it is still running, takes another one back itself, or repaired findings.
    """
    name = rollout
    if name is None:
        begun = (row.rollout for row in store.rollouts() if row.events)
        plans = ((one, store.load_plan(one)) for one in begun)
        name = next((one for one, plan in plans if not plan.undoes and plan.kind != REMEDIATE), None)
    if name is None:
        raise UsageError("no-rollout", "there is no rollout yet that could be taken back", "see: patchctl status")
    state = load_state(store, name)
    if state.plan.kind == REMEDIATE:
        raise UsageError(
            "is-a-remediation", f"{name} repaired findings: there are no earlier versions to go back to",
            "each host keeps what was changed: the report says where, and how it is restored",
        )
    if state.plan.undoes:
        raise UsageError(
            "is-a-rollback", f"{name} took {state.plan.undoes} back and is not taken back itself",
            "go forward with: patchctl apply --policy FILE",
        )
    if state.status in (PLANNED, RUNNING) and state.seq:
        raise UsageError(
            "still-running", f"{name} is {state.status}: it would go on while it is taken back",
            f"first: patchctl rollout abort {name} (or pause)",
        )
    return name


def plan_rollback(
    request: RollbackRequest, store: Store, connections: Opener, clock: Clock, observer: Observer, *, save: bool = True
) -> Plan:
    """Look at the hosts that the rollout touched and return the plan of its way back. Nothing is changed.

    `save=False` stores no snapshots. Raise UsageError when the rollout touched no host, or none that the limit selects.
    """
    state = load_state(store, request.rollout)
    names = _select(state, request)
    hosts = tuple(with_total(request.inventory.hosts[name], request.timeout) for name in names)
    scanned = scan_hosts(
        Fleet(request.inventory, hosts), connections, refresh="auto", forks=request.forks, clock=clock,
        observer=observer, store=store if save else None,
    )  # fmt: skip
    seen: dict[str, Seen] = {one.host: one.snapshot.failure or one.facts for one in scanned}
    there = {
        name: find_in_place(
            as_reported(state.plan.hosts[name], state.hosts[name]), state.hosts[name], seen.get(name)) for name in names
    }
    answers = ask_earlier(
        there, lambda some: Fleet(request.inventory, tuple(h for h in hosts if h.name in set(some))), request.kept,
        connections, observer, refresh="auto", forks=request.forks,
    )
    backs: dict[str, HostPlan] = {}
    artefacts = {}
    for name, plan in there.items():
        facts = seen.get(name)
        if plan.skip or not plan.changes or not isinstance(facts, HostFacts):
            backs[name] = plan
            continue
        undo, files = find_way_back(plan, answers.get(name, NOT_ASKED), request.kept, state.plan.artefacts)
        backs[name] = turn_back(plan, undo, facts)
        artefacts.update({artefact.sha256: artefact for artefact in files})
    known = {row.rollout for row in store.rollouts()}
    return build_takeback(
        state.plan, request.inventory, backs, artefacts, rollout=name_takeback(request.rollout, known),
        now=clock.now(), actor=request.actor,
    )


def over_limit(plan: Plan) -> str:
    """Return what to say when more hosts have changed since than limits.changed allows, or ""."""
    count, budget = count_changed(plan), resolve_budget(plan.limits.changed, len(plan.hosts))
    return f"changed {count}/{len(plan.hosts)}, limit {budget}" if count > budget else ""


def mark_undone(store: Store, state: RolloutState, actor: str, clock: Clock) -> None:
    """Let the rollout that was taken back know on which hosts: once each, however often this is called."""
    back = [name for name, host in state.hosts.items() if host.settled and host.state == ROLLED_BACK]
    for attempt in range(_TRIES):
        first = load_state(store, state.plan.undoes)
        news = [name for name in back if name in first.hosts and first.hosts[name].state != ROLLED_BACK]
        if not news:
            return
        now, reason = clock.now(), f"taken back by {state.rollout}"
        events = [
            Event(first.rollout, first.seq + n, now, actor, "host-rolled-back", name, {"by": state.rollout}, reason)
            for n, name in enumerate(news, 1)
        ]
        try:
            store.journal.append(events)
        except StoreError:
            if attempt == _TRIES - 1 or not store.journal.events(first.rollout, first.seq):
                raise
        else:
            return


def _select(state: RolloutState, request: RollbackRequest) -> list[str]:
    touched = find_touched(state)
    if not touched:
        message = f"{state.rollout} changed no package anywhere"
        raise UsageError("nothing-to-roll-back", message, f"see: patchctl rollout status {state.rollout}")
    gone = [name for name in touched if name not in request.inventory.hosts]
    if gone and not request.limit:
        raise UsageError(
            "not-in-inventory", f"no longer in the inventory: {', '.join(gone[:5])}",
            "put them back, or name the others with --limit",
        )
    chosen = set(select_hosts(request.inventory, request.limit)) if request.limit else set(touched)
    names = [name for name in touched if name in chosen]
    if not names:
        raise UsageError(
            "nothing-matched", f"{state.rollout} touched no host of {request.limit!r}",
            f"it touched: {', '.join(touched[:10])}",
        )
    return names


