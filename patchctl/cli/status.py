"""patchctl status: what runs, what waits for what, who is unseen, whether the store is well."""

from __future__ import annotations

import time
from typing import Any

import click

from patchctl.cli.options import output_option, quiet_options, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.when import local_time, relative
from patchctl.model.units import format_bytes

COLUMNS = (
    Column("what", "WHAT"), Column("name", "NAME"), Column("state", "STATE"), Column("when", "WHEN"),
    Column("detail", "DETAIL", fit="wrap"),
)  # fmt: skip
_UNSEEN_SHOWN = 10


@click.command("status")
@click.option("-i", "--inventory", "inventory", multiple=True, metavar="PATH", callback=refuse_empty,
              help="Inventory to look for unseen hosts.")
@state_option
@output_option()
@quiet_options
def command(inventory: tuple[str, ...], state: str | None, output: str, quiet: bool, verbose: int) -> None:
    """Show rollouts that are not over, what they wait for, hosts unseen for 7 days, locks and the store's size.

    Touches no host and writes nothing.
    """
    from patchctl.cli.visiting import settings_of
    from patchctl.documents.inventories import load_inventory
    from patchctl.store.database import open_store, sqlite_path, store_exists
    from patchctl.usecases.status import read_status

    settings = settings_of({"state": state, "inventory": inventory})
    hosts = load_inventory(settings.inventory).hosts if any(p.exists() for p in settings.inventory) else None
    now = time.time()
    with open_store(settings.state, writable=False) as store:
        found = read_status(store, hosts, now)
    rows = _rows(found, now, every=output != "table")
    summary = {
        "open": len(found["rollouts"]), "waiting": len(found["waiting"]), "unseen": len(found["unseen"]),
        "locks": len(found["locks"]),
    }  # fmt: skip
    health = found["store"]
    counts = f"{health['rows']['snapshots']:,} snapshots, {health['records']:,} audit records"
    there = store_exists(settings.state)
    footer = (f"store {format_bytes(health['total_bytes'])}, {counts}" if there else (
        f"no store yet at {sqlite_path(settings.state)}: nothing was recorded from here"),)
    if not (quiet and not any(summary.values())):
        emit(Document("patchctl/status/1", {**found, "summary": summary}, rows, COLUMNS, "rollouts", footer), output)


def _rows(found: dict[str, Any], now: float, *, every: bool) -> list[dict[str, Any]]:
    rows = []
    for one in found["rollouts"]:
        done = one["summary"]
        detail = f"{done.get('settled', 0)}/{done.get('hosts', 0)} hosts settled"
        at = one["last_event_at"] or one["created_at"]
        why = f"; {one['reason']}" if one["reason"] else ""
        if one["state"] == "running" and not one["held_by"]:
            why += f"; no process is at it: the next tick goes on, or patchctl rollout resume {one['rollout']}"
        rows.append(_row("rollout", one["rollout"], one["state"], relative(at, now), detail + why))
    for one in found["waiting"]:
        when = f"{local_time(one['at'])} ({relative(one['at'], now)})" if one["at"] else ""
        action = ""
        if one["for"] == "approval":
            action = f": patchctl rollout approve {one['rollout']}"
        rows.append(_row(one["for"], f"{one['rollout']} {one['ring']}", "waiting", when, one["reason"] + action))
    last = found["last"]
    if last is not None:
        verified = f"{last['summary'].get('succeeded', 0)}/{last['summary'].get('hosts', 0)} verified"
        when = relative(last["ended_at"], now) if last["ended_at"] else ""
        detail = f"{verified}, exit {last['exit_code']}"
        rows.append(_row("last", last["rollout"], last["result"].lower(), when, detail))
    unseen = found["unseen"]
    shown = unseen if every else unseen[:_UNSEEN_SHOWN]
    rows += [_row("unseen", one["host"], "unknown", local_time(one["last_seen"]), one["reason"]) for one in shown]
    if len(unseen) > _UNSEEN_SHOWN and not every:
        rest = len(unseen) - _UNSEEN_SHOWN
        rows.append(_row("unseen", f"{rest:,} more", "unknown", "", "all of them: patchctl status -o wide"))
    rows += [_row("lock", one["lock"], "held", "", one["holder"]) for one in found["locks"]]
    return rows


def _row(what: str, name: str, state: str, when: str, detail: str) -> dict[str, Any]:
    return {"what": what, "name": name, "state": state, "when": when, "detail": detail}
