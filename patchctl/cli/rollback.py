"""patchctl rollback: take a rollout back, on all its hosts or on some, to exactly the versions that it found."""

from __future__ import annotations

import sys

import click

from patchctl.cli.options import (
    connection_options,
    inventory_options,
    output_option,
    quiet_options,
    refuse_empty,
    state_option,
)
from patchctl.cli.output import emit
from patchctl.cli.redacting import run_secrets
from patchctl.cli.visiting import prompt_for_secret, settings_of


@click.command("rollback")
@click.argument("rollout", required=False, metavar="[ROLLOUT]", callback=refuse_empty)
@click.option("--host", "hosts", multiple=True, metavar="NAME", callback=refuse_empty,
              help="Only this host; may be given several times.")
@click.option("--check", is_flag=True, help="Show what would be taken back; change and record nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Leave the terminal: a process of its own carries it on.")
@click.option("--reason", default="", metavar="TEXT", help="Recorded with the rollback (a ticket, an incident).")
@inventory_options
@state_option
@connection_options
@output_option()
@quiet_options
def command(
    rollout: str | None, hosts: tuple[str, ...], check: bool, yes: bool, detach: bool, reason: str,
    inventory: tuple[str, ...], limit: str | None, state: str | None, forks: int | None, timeout: float | None,
    output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Take ROLLOUT back (the latest if none is named): restore the versions that its hosts had before.

    Hosts on which somebody changed a package since are left alone and counted. What the rollout installed anew is
    removed, and shown before. The way back is a rollout of its own: ring by ring, resumable, verified, reported.
    """
    from patchctl.cli.actor import current_actor
    from patchctl.cli.apply import carry_out, confirm
    from patchctl.cli.plan import describe_plan, pick_exit_code
    from patchctl.cli.progress import make_observer
    from patchctl.documents.inventories import load_inventory
    from patchctl.store.database import open_store
    from patchctl.usecases.access import expand_limit, open_connections
    from patchctl.usecases.apply import exit_code_without_work, outline_plan
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.controller import known_artefacts
    from patchctl.usecases.rollback import RollbackRequest, find_undoable, over_limit, plan_rollback

    if hosts and limit:
        raise click.UsageError("name hosts with --host, or a pattern with --limit (and not both)")
    settings = settings_of({"inventory": inventory, "state": state, "forks": forks, "timeout": timeout})
    fleet, observer = load_inventory(settings.inventory), make_observer(quiet, verbose, steps=True)
    redactor = run_secrets().redactor()
    with open_store(settings.state, writable=not check) as store:
        request = RollbackRequest(
            rollout=find_undoable(store, rollout), inventory=fleet, actor=current_actor(),
            kept=known_artefacts(settings), limit=":".join(hosts) or expand_limit(limit or ""), forks=settings.forks,
            timeout=settings.timeout,
        )
        with open_connections(settings, fleet, prompt_for_secret(), redactor=redactor) as connections:
            plan = plan_rollback(
                request, store.redacting(redactor.clean), connections, SystemClock(), observer, save=not check
            )
        idle = not outline_plan(plan).hosts
        if check or idle:
            code = pick_exit_code(plan) if check else exit_code_without_work(plan)
            if not quiet or code:
                emit(describe_plan(plan), output)
            return code
        if output == "table" and not quiet:
            emit(describe_plan(plan), output)
        if excess := over_limit(plan):
            print(f"patchctl: not begun: {excess}; name the hosts to take back with --limit", file=sys.stderr)
            return 6
        confirm(plan, yes)
        return carry_out(
            plan, fleet, settings, store, observer, reason=reason, override=False, detach=detach, output=output,
            quiet=quiet,
        )
