"""The rollouts of a store, as far as they can be told without reading their journals."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec import Struct

from patchctl.store import schema
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
    plans, audit = schema.plans, schema.audit
    last = (
        sa.select(audit.c.rollout, sa.func.count().label("events"), sa.func.max(audit.c.seq).label("seq"))
        .where(audit.c.rollout != "")
        .group_by(audit.c.rollout)
        .subquery()
    )
    query = (
        sa.select(
            plans.c.rollout, plans.c.policy, plans.c.created_at, plans.c.created_by, plans.c.hosts, last.c.events,
            audit.c.record,
        )
        .select_from(plans)
        .outerjoin(last, plans.c.rollout == last.c.rollout)
        .outerjoin(audit, (audit.c.rollout == last.c.rollout) & (audit.c.seq == last.c.seq))
        .order_by(plans.c.id.desc())
    )
    with database.read() as connection:
        rows = connection.execute(query).all()
    found = []
    for row in rows:
        event = decode_event(row.record) if row.record else None
        found.append(
            RolloutRow(
                row.rollout, row.policy, row.created_at, row.created_by, row.hosts, row.events or 0,
                event.at if event else None, event.kind if event else "",
            )
        )  # fmt: skip
    return found
