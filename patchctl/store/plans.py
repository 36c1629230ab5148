"""The rollouts of a store, as far as they can be told without reading their journals."""

from __future__ import annotations

from msgspec import Struct

from patchctl.store.chain import decode_event
from patchctl.store.engine import Database


class RolloutRow(Struct, frozen=True):
    """A rollout as the store lists it; its state comes from folding its events."""

    rollout: str
    policy: str
    created_at: float
    created_by: str
    hosts: int
    events: int
    last_at: float | None
    """Unix time of its latest event; None = not started."""
    last_kind: str


def list_rollouts(database: Database) -> list[RolloutRow]:
    """Return all rollouts, the newest first: one query whatever the length of their journals."""
    with database.read() as connection:
        rows = connection.rows(
            "SELECT plans.rollout, policy, created_at, created_by, hosts, events, record"
            " FROM plans LEFT JOIN (SELECT rollout, count(*) AS events, max(seq) AS seq FROM audit"
            "  WHERE rollout <> '' GROUP BY rollout) AS last ON last.rollout = plans.rollout"
            " LEFT JOIN audit ON audit.rollout = last.rollout AND audit.seq = last.seq"
            " ORDER BY plans.id DESC"
        )
    found = []
    for rollout, policy, created_at, created_by, hosts, events, record in rows:
        event = decode_event(record) if record else None
        last_at, last_kind = (event.at, event.kind) if event else (None, "")
        found.append(RolloutRow(rollout, policy, created_at, created_by, hosts, events or 0, last_at, last_kind))
    return found
