"""What is going on: rollouts that are not over, what they wait for, hosts nobody has seen, who holds which lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from patchctl.model.hosts import Host
from patchctl.model.units import format_duration
from patchctl.report.digest import exit_code_for, title_of
from patchctl.rollout.gates import check_ring
from patchctl.rollout.journal import fold_all, initial, to_document
from patchctl.rollout.state import RolloutState
from patchctl.store.database import RolloutRow, Store

UNSEEN_SECONDS = 7 * 86400.0
STATUS_KINDS = (
    "rollout-started", "rollout-paused", "rollout-resumed", "rollout-halted", "rollout-aborted", "rollout-completed",
    "rollout-retried",
)  # fmt: skip
_OVER = frozenset({"rollout-completed", "rollout-aborted"})


def read_status(store: Store, hosts: Mapping[str, Host] | None, now: float) -> dict[str, Any]:
    """Return the `status` document. `hosts` = the inventory (None: judge by the hosts the store knows)."""
    latest = store.last_kinds(STATUS_KINDS)
    rows = store.rollouts()
    open_rows = [row for row in rows if latest.get(row.rollout) not in _OVER]
    holders = store.holders()
    rollouts, waiting = [], []
    for row in open_rows:
        state = fold_all(initial(store.load_plan(row.rollout)), store.journal.events(row.rollout))
        rollouts.append(_rollout(row, state, [h.describe() for h in holders if row.rollout in h.name.split()]))
        waiting += _waiting(state, now)
    return {
        "rollouts": rollouts,
        "waiting": waiting,
        "last": _last(store, next((row for row in rows if latest.get(row.rollout) in _OVER), None)),
        "unseen": _unseen(store, hosts, now),
        "locks": [{"lock": h.name, "holder": h.describe()} for h in holders],
        "store": _health(store),
    }


def _rollout(row: RolloutRow, state: RolloutState, holders: list[str]) -> dict[str, Any]:
    document = to_document(state)
    return {
        "rollout": row.rollout, "policy": row.policy, "state": state.status, "reason": state.message,
        "created_at": row.created_at, "created_by": row.created_by, "last_event_at": row.last_at,
        "summary": document["summary"], "held_by": holders,
    }  # fmt: skip


def _last(store: Store, row: RolloutRow | None) -> dict[str, Any] | None:
    """The latest rollout that is over, and how it ended."""
    if row is None:
        return None
    document = to_document(fold_all(initial(store.load_plan(row.rollout)), store.journal.events(row.rollout)))
    code = exit_code_for(document)
    return {
        "rollout": row.rollout, "state": document["state"], "result": title_of(document["state"], code),
        "exit_code": code, "ended_at": document["ended_at"], "summary": document["summary"],
    }  # fmt: skip


def _waiting(state: RolloutState, now: float) -> list[dict[str, Any]]:
    """Return what each ring that has not opened waits for; rings behind one that still works wait for that one."""
    found: list[dict[str, Any]] = []
    for index, ring in enumerate(state.rings):
        if ring.opened_at is not None or ring.finished_at is not None:
            continue
        before = state.rings[index - 1] if index else None
        if before is not None and before.finished_at is None:
            found.append(_wait(state, ring.name, "ring", f"ring {before.name} is not finished", None))
            continue
        gate = check_ring(state, index, now)
        if not gate.open:
            due = None if gate.look_at == float("inf") else gate.look_at
            found.append(_wait(state, ring.name, gate.kind, gate.reason, due))
    return found


def _wait(state: RolloutState, ring: str, kind: str, reason: str, at: float | None) -> dict[str, Any]:
    return {"rollout": state.rollout, "ring": ring, "for": kind, "reason": reason, "at": at}


def _unseen(store: Store, hosts: Mapping[str, Host] | None, now: float) -> list[dict[str, Any]]:
    """Return hosts that were not reached for 7 days, or longer than they are marked to be away, the longest first."""
    times = store.times_seen()
    names: Iterable[str] = times if hosts is None else hosts
    found = []
    for name in names:
        host = hosts.get(name) if hosts is not None else None
        allowed = max(UNSEEN_SECONDS, host.intermittent or 0.0) if host else UNSEEN_SECONDS
        seen, tried = times.get(name, (None, None))
        if seen is not None and now - seen <= allowed:
            continue
        reason = "never reached" if seen is None else f"not reached for {format_duration(now - seen)}"
        if tried is None:
            reason = "never scanned"
        found.append({"host": name, "last_seen": seen, "last_tried": tried, "reason": reason})
    return sorted(found, key=lambda entry: (entry["last_seen"] or 0.0, entry["host"]))


def _health(store: Store) -> dict[str, Any]:
    head = store.head()
    return {"store_id": store.store_id, "epoch": store.epoch, "records": head.number, "head": head.hash, **store.size()}
