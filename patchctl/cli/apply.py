"""patchctl apply: carry out a plan file, or plan a policy and carry it out after one confirmation."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from patchctl.cli.options import connection_options, inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import emit
from patchctl.cli.redacting import run_secrets
from patchctl.cli.visiting import prompt_for_secret, settings_of

if TYPE_CHECKING:
    from patchctl.documents.settings import Settings
    from patchctl.model.hosts import Inventory
    from patchctl.model.plan import Plan
    from patchctl.model.ports import Observer
    from patchctl.store.database import Store


@click.command("apply")
@click.argument("plan_file", required=False, metavar="[PLAN]", type=click.Path(path_type=Path))
@click.option("--policy", metavar="NAME|FILE", help="Plan this policy now and carry the plan out.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--detach", is_flag=True, help="Leave the terminal: a process of its own carries the rollout on.")
@click.option("--override-window", is_flag=True, help="Start now, whatever the windows say; needs --reason.")
@click.option("--reason", default="", metavar="TEXT", help="Recorded with the rollout (a ticket, an incident).")
@click.option("--refresh", type=click.Choice(["auto", "never", "always"]),
              help="Package lists, with --policy. [default: the policy's]")
@click.option("--check", is_flag=True, help="Show what would be done; change and record nothing.")
@inventory_options
@state_option
@connection_options
@output_option()
@quiet_options
def command(
    plan_file: Path | None, policy: str | None, yes: bool, detach: bool, override_window: bool, reason: str,
    refresh: str | None, check: bool, inventory: tuple[str, ...], limit: str | None, state: str | None,
    forks: int | None, timeout: float | None, output: str, quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Carry out a plan: exactly that plan, or the one that a policy gives now.

    Hosts are patched ring by ring. The work runs detached on each host: when the link drops or this command is ended,
    the host finishes, and `patchctl rollout resume` goes on. Nothing is ever started twice.
    """
    if (plan_file is None) == (policy is None):
        raise click.UsageError("name a plan file, or a policy with --policy (and not both)")
    if plan_file is not None and (limit or refresh):
        raise click.UsageError("a plan file is carried out as it is: --limit and --refresh belong to `patchctl plan`")
    if override_window and not reason.strip():
        raise click.UsageError("--override-window needs --reason")
    from patchctl.cli.actor import current_actor
    from patchctl.cli.fixes import describe_any
    from patchctl.cli.plan import never_run_note
    from patchctl.cli.progress import make_observer
    from patchctl.store.database import open_store
    from patchctl.usecases.apply import exit_code_without_work, is_over, outline_plan, require_fresh
    from patchctl.usecases.plan import load_plan_file

    settings = settings_of({"inventory": inventory, "state": state, "forks": forks, "timeout": timeout})
    observer = make_observer(quiet, verbose, steps=True)
    with open_store(settings.state, writable=not check) as store:
        if plan_file is not None:
            plan = load_plan_file(plan_file)
            if not check and is_over(store, plan):
                print(f"{plan.rollout} was carried out already; this is how it ended", file=sys.stderr)
                return finish(plan.rollout, settings, store, current_actor(), 0, output=output, quiet=quiet)
            known = require_fresh(plan, settings)
        else:
            plan, known = _make(policy or "", settings, store, limit, refresh, observer, save=not check)
        if check or not outline_plan(plan).hosts:
            code = 0 if check else exit_code_without_work(plan)
            if not quiet or code:
                emit(describe_any(plan), output)
            return code
        for note in never_run_note(plan):
            print(f"Note: {note}", file=sys.stderr)
        tell_ways_back(plan, observer)
        confirm(plan, yes)
        return carry_out(
            plan, known, settings, store, observer, reason=reason, override=override_window, detach=detach,
            output=output, quiet=quiet,
        )  # fmt: skip


def _make(
    policy: str, settings: Settings, store: Store, limit: str | None, refresh: str | None, observer: Observer,
    *, save: bool,
) -> tuple[Plan, Inventory]:  # fmt: skip
    from patchctl.cli.actor import current_actor
    from patchctl.documents.inventories import load_inventory
    from patchctl.usecases.access import expand_limit, open_connections
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.controller import known_artefacts
    from patchctl.usecases.plan import PlanRequest, controller_names, find_policy, make_plan

    request = PlanRequest(
        policy=find_policy(policy, settings), inventory=load_inventory(settings.inventory), actor=current_actor(),
        limit=expand_limit(limit or ""), refresh=refresh or "", forks=settings.forks, controllers=controller_names(),
        kept=known_artefacts(settings),
    )  # fmt: skip
    redactor = run_secrets().redactor()
    with open_connections(settings, request.inventory, prompt_for_secret(), redactor=redactor) as connections:
        plan = make_plan(request, store.redacting(redactor.clean), connections, SystemClock(), observer, save=save)
    return plan, request.inventory


def tell_ways_back(plan: Plan, observer: Observer) -> None:
    """Say before anything starts which hosts will not be rolled back although the policy asks for it."""
    if plan.on_failure != "rollback":
        return
    for host in [host for host in plan.hosts.values() if host.changes and not host.skip][:1000]:
        if host.undo is None or host.undo.why_not:
            why = host.undo.why_not if host.undo else "nobody looked for its earlier versions"
            observer.note(f"{host.host} cannot be rolled back if it fails: {why}")


def confirm(plan: Plan, yes: bool) -> None:
    """Ask once, with the number of hosts. Raise ConfirmationError when nobody is there to ask, or the answer is no."""
    if yes:
        return
    from patchctl.model.errors import ConfirmationError
    from patchctl.model.plan import REMEDIATE
    from patchctl.model.units import format_bytes
    from patchctl.usecases.apply import outline_plan

    outline = outline_plan(plan)
    rings = ", ".join(f"{name} {count}" for name, count in outline.rings)
    left = ", ".join(f"{count} {state}" for state, count in outline.left_alone)
    what = "fixes" if plan.kind == REMEDIATE else "package changes"
    lines = [
        f"Rollout {plan.rollout}: {outline.changes} {what} on {outline.hosts} of {len(plan.hosts)} hosts",
        f"  rings: {rings}; {outline.reboots} reboots expected"
        + ("" if plan.kind == REMEDIATE else f"; {format_bytes(outline.download)} to fetch once"),
    ]
    if left:
        lines.append(f"  left alone: {left}")
    print("\n".join(lines), file=sys.stderr)
    if not sys.stdin.isatty():
        raise ConfirmationError(
            "not-confirmed", f"nobody is there to confirm changes on {outline.hosts} hosts", "add --yes"
        )
    if not click.confirm(f"Change {outline.hosts} hosts?", err=True):
        raise ConfirmationError("not-confirmed", "not confirmed: nothing was changed")


def carry_out(
    plan: Plan, inventory: Inventory, settings: Settings, store: Store, observer: Observer,
    *, reason: str, override: bool, detach: bool, output: str, quiet: bool,
) -> int:  # fmt: skip
    from patchctl.cli.actor import current_actor
    from patchctl.cli.interrupts import catch_signals
    from patchctl.deliver.cache import ArtefactCache
    from patchctl.usecases import rollouts
    from patchctl.usecases.apply import keep_artefacts, record_rollout, start_detached
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.controller import artefact_folder, run_rollout

    actor, clock = current_actor(), SystemClock()
    with catch_signals() as interrupt:
        keep_artefacts(plan, ArtefactCache(artefact_folder(settings)), observer)
        if interrupt.requested():
            print("patchctl: stopped before anything was started", file=sys.stderr)
            return interrupt.exit_code
        record_rollout(plan, store, actor)
        rollouts.create(store, plan.rollout, actor, clock, reason)
        if override:
            rollouts.override_windows(store, plan.rollout, actor, clock, reason)
        if detach:
            log = start_detached(plan.rollout, settings, settings.project / ".patchctl" / "logs")
            if not quiet:
                print(f"Rollout {plan.rollout} runs on its own (log: {log})")
                print(f"Watch:  patchctl rollout watch {plan.rollout}")
            return 0
        run_rollout(
            settings, plan.rollout, store=store, clock=clock, observer=observer, interrupt=interrupt, actor=actor,
            command=f"patchctl apply {plan.rollout}", prompt=prompt_for_secret(), inventory=inventory,
            redactor=run_secrets().redactor(),
        )
        return finish(plan.rollout, settings, store, actor, interrupt.exit_code, output=output, quiet=quiet)


def finish(
    rollout: str, settings: Settings, store: Store, actor: str, interrupted: int, *, output: str, quiet: bool
) -> int:
    """Write the report, say how it ended, return the exit code. Shared by apply and rollout resume.

    `output`: a format; "" says nothing.
    """
    from patchctl.cli.output import Document
    from patchctl.report.summary import ReportLine, render_summary
    from patchctl.rollout.journal import to_document
    from patchctl.usecases.report import write_report
    from patchctl.usecases.rollouts import load_state

    written = write_report(store, rollout, settings.reports, time.time(), actor)
    code = interrupted or written.digest.exit_code
    digest = replace(written.digest, exit_code=code)
    if not output or (quiet and not code):
        return code
    if output == "table":
        page = next((file for file in written.files if file.format == "html"), None)
        line = ReportLine(str(page.path), page.sha256, written.audit) if page is not None else None
        sys.stdout.write(render_summary(digest, line))
    else:
        emit(Document("patchctl/rollout/1", to_document(load_state(store, rollout)), list_key="hosts"), output)
    return code
