"""patchctl rollout: status, watch, pause, resume, abort, retry, approve, tick."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from patchctl.cli.options import connection_options, output_option, quiet_options, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit

if TYPE_CHECKING:
    from patchctl.documents.settings import Settings
    from patchctl.rollout.state import RolloutState
    from patchctl.store.database import Store

F = TypeVar("F", bound=Callable[..., Any])

SCHEMA = "patchctl/rollout/1"
COLUMNS = (
    Column("host", "HOST"), Column("ring", "RING"), Column("wave", "WAVE", wide=True), Column("state", "STATE"),
    Column("attempts", "TRIES", right=True), Column("message", "WHY", fit="wrap"),
    Column("attempt", "ATTEMPT", wide=True),
)


@click.group("rollout")
def command() -> None:
    """Look at a rollout and steer it; ID left out means the latest."""


def _target(f: F) -> F:
    f = state_option(f)
    return click.argument("rollout", required=False, metavar="[ID]", callback=refuse_empty)(f)


def _reason(f: F) -> F:
    return click.option("--reason", default="", metavar="TEXT", help="Why; it is recorded and reported.")(f)


def _run_options(f: F) -> F:
    f = click.option("-i", "--inventory", multiple=True, metavar="PATH", help="Inventory file or folder.")(f)
    return quiet_options(connection_options(f))


@command.command("status")
@_target
@output_option()
@quiet_options
def status(rollout: str | None, state: str | None, output: str, quiet: bool, verbose: int) -> None:
    """Show where ROLLOUT stands: every host, the limits, what it waits for."""
    from patchctl.usecases.rollouts import find_rollout, load_state

    settings = _settings({"state": state})
    with _read(settings) as store:
        found = load_state(store, find_rollout(store, rollout))
    if not quiet:
        emit(_document(found, time.time()), output)


@command.command("watch")
@_target
@quiet_options
def watch(rollout: str | None, state: str | None, quiet: bool, verbose: int) -> None:
    """Follow a rollout that runs elsewhere, until it is over or nothing is at work. Ctrl-C leaves; it goes on."""
    from patchctl.cli.interrupts import catch_signals
    from patchctl.cli.progress import make_observer
    from patchctl.usecases.rollouts import find_rollout
    from patchctl.usecases.watch import watch_rollout

    settings = _settings({"state": state})
    with _read(settings) as store, catch_signals() as interrupt:
        observer = make_observer(quiet, verbose, steps=True)
        found = watch_rollout(store, find_rollout(store, rollout), observer, interrupt, time.sleep)
        if not quiet:
            click.echo(f"{found.rollout} {found.status}", err=True)
        raise click.exceptions.Exit(interrupt.exit_code or _exit_code(found))


@command.command("pause")
@_target
@_reason
def pause(rollout: str | None, state: str | None, reason: str) -> None:
    """Let nothing new start; hosts at work are followed to their end."""
    from patchctl.usecases import rollouts

    found = _change(state, rollout, reason, rollouts.pause)
    click.echo(f"{found.rollout} {found.status}; go on with: patchctl rollout resume {found.rollout}")


@command.command("abort")
@_target
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
def abort(rollout: str | None, state: str | None, reason: str, yes: bool) -> None:
    """End a rollout for good: nothing starts any more, hosts at work are followed to their end and cleaned up."""
    from patchctl.usecases import rollouts

    settings = _settings({"state": state})
    with _read(settings) as store:
        name = rollouts.find_rollout(store, rollout)
    _confirm(f"Abort {name} for good?", yes)
    found = _change(state, name, reason, rollouts.abort)
    click.echo(f"{found.rollout} {found.status}; hosts still at work: {_at_work(found)}")
    if _at_work(found):
        click.echo(f"follow them to their end with: patchctl rollout tick {found.rollout}")


@command.command("approve")
@_target
@_reason
@click.option("--ring", default="", metavar="NAME", help="Which ring. [default: the first that waits]")
def approve(rollout: str | None, state: str | None, reason: str, ring: str) -> None:
    """Record your approval of a ring that waits for one."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts
    from patchctl.usecases.clock import SystemClock

    settings = _settings({"state": state})
    with open_store(settings.state) as store:
        name = rollouts.find_rollout(store, rollout)
        found, approved = rollouts.approve(store, name, current_actor(), SystemClock(), reason, ring)
    click.echo(f"{found.rollout}: ring {approved} approved by {current_actor()}")


@command.command("resume")
@_target
@_reason
@click.option("--detach", is_flag=True, help="Only record it; the next tick carries on.")
@click.option("--override-window", is_flag=True, help="Let windows count no more; needs --reason.")
@_run_options
def resume(
    rollout: str | None, state: str | None, reason: str, detach: bool, override_window: bool, **flags: Any
) -> None:
    """Carry on a rollout that was paused, halted, interrupted or killed."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts
    from patchctl.usecases.clock import SystemClock

    settings = _settings({"state": state, **flags})
    with open_store(settings.state) as store:
        name = rollouts.find_rollout(store, rollout)
        if override_window:
            rollouts.override_windows(store, name, current_actor(), SystemClock(), reason)
        rollouts.resume(store, name, current_actor(), SystemClock(), reason)
        if detach:
            rollouts.create(store, name, current_actor(), SystemClock(), reason)
            click.echo(f"{name}: the next `patchctl rollout tick` carries on")
            return
        _carry_on(settings, store, name, flags, once=False)


@command.command("retry")
@_target
@_reason
@click.option("--failed", is_flag=True, required=True, help="All hosts that failed, were unreachable or in doubt.")
@click.option("--detach", is_flag=True, help="Only record it; the next tick carries on.")
@_run_options
def retry(rollout: str | None, state: str | None, reason: str, failed: bool, detach: bool, **flags: Any) -> None:
    """Take up again the hosts that ended badly, each with a new attempt linked to the old one."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts
    from patchctl.usecases.clock import SystemClock

    settings = _settings({"state": state, **flags})
    with open_store(settings.state) as store:
        name = rollouts.find_rollout(store, rollout)
        _, hosts = rollouts.retry_failed(store, name, current_actor(), SystemClock(), reason)
        if not flags["quiet"]:
            click.echo(f"{name}: taking up {len(hosts)} again: {', '.join(hosts[:10])}", err=True)
        if not detach:
            _carry_on(settings, store, name, flags, once=False)


@command.command("tick")
@_target
@_run_options
def tick(rollout: str | None, state: str | None, **flags: Any) -> None:
    """Do what is due now and exit: for a timer. Without ID, for every rollout that is under way."""
    from patchctl.model.errors import LockedError
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts

    settings = _settings({"state": state, **flags})
    codes = [0]
    with open_store(settings.state) as store:
        for name in [rollouts.find_rollout(store, rollout)] if rollout else rollouts.released(store):
            try:
                _carry_on(settings, store, name, flags, once=True)
            except click.exceptions.Exit as done:
                codes.append(done.exit_code)
            except LockedError as error:
                if rollout:
                    raise
                # Another run works on it: what is due is being done.
                if not flags["quiet"]:
                    click.echo(f"{name}: {error.message}", err=True)
    raise click.exceptions.Exit(max(codes, key=_severity))


def _carry_on(settings: Settings, store: Store, name: str, flags: Mapping[str, Any], *, once: bool) -> None:
    """Run the loop, write the report once it stands still, and leave with the code that its end asks for."""
    from patchctl.cli.actor import current_actor
    from patchctl.cli.apply import finish
    from patchctl.cli.interrupts import catch_signals
    from patchctl.cli.progress import make_observer
    from patchctl.cli.redacting import run_secrets
    from patchctl.cli.visiting import prompt_for_secret
    from patchctl.rollout.state import RUNNING
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.controller import run_rollout
    from patchctl.usecases.rollouts import load_state

    verb, quiet = "tick" if once else "resume", flags["quiet"]
    before = load_state(store, name).seq
    with catch_signals() as interrupt:
        found = run_rollout(
            settings, name, store=store, clock=SystemClock(), interrupt=interrupt, actor=current_actor(),
            observer=make_observer(quiet, flags["verbose"], steps=True), once=once,
            command=f"patchctl rollout {verb} {name}", prompt=None if once else prompt_for_secret(),
            redactor=run_secrets().redactor(),
        )
        if once and (found.status == RUNNING or found.seq == before):
            raise click.exceptions.Exit(interrupt.exit_code)
        code = finish(name, settings, store, current_actor(), interrupt.exit_code, output="table", quiet=quiet)
    raise click.exceptions.Exit(code)


def _change(
    state: str | None, rollout: str | None, reason: str, act: Callable[..., RolloutState]
) -> RolloutState:
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases.clock import SystemClock
    from patchctl.usecases.rollouts import find_rollout

    settings = _settings({"state": state})
    with open_store(settings.state) as store:
        return act(store, find_rollout(store, rollout), current_actor(), SystemClock(), reason)


def _settings(flags: Mapping[str, object]) -> Settings:
    from patchctl.cli.visiting import settings_of

    return settings_of(flags)


def _read(settings: Settings) -> Store:
    from patchctl.store.database import open_store

    return open_store(settings.state, writable=False)


def _document(state: RolloutState, now: float) -> Document:
    from patchctl.rollout.journal import to_document

    data = to_document(state)
    return Document(SCHEMA, data, data["hosts"], COLUMNS, "hosts", _footer(state, now))


def _footer(state: RolloutState, now: float) -> tuple[str, ...]:
    """Return the lines below the table: state, counts, limits, what it waits for, what to do next."""
    from patchctl.cli.when import relative
    from patchctl.rollout.decide import find_waits, summarize
    from patchctl.rollout.gates import measure_limits

    counts = "  ".join(f"{name} {count}" for name, count in summarize(state).items())
    lines = [f"{state.rollout} {state.status.upper()}" + (f": {state.message}" if state.message else ""), counts]
    lines.append("   ".join(str(use) for use in measure_limits(state)))
    for gate in find_waits(state, now):
        due = "" if gate.look_at == float("inf") else f", {relative(gate.look_at, now)}"
        lines.append(f"waiting: {gate.reason}{due}")
        if gate.kind == "approval":
            lines.append(f"approve with: patchctl rollout approve {state.rollout}")
    from patchctl.rollout.state import HALTED, PAUSED

    if state.status in (PAUSED, HALTED):
        lines.append(f"go on with: patchctl rollout resume {state.rollout}")
    return tuple(lines)


def _exit_code(state: RolloutState) -> int:
    from patchctl.report.digest import exit_code_for
    from patchctl.rollout.journal import to_document

    return exit_code_for(to_document(state))


def _severity(code: int) -> int:
    """Order of exit codes when several rollouts were looked after: the documented precedence."""
    order = (0, 3, 4, 5, 12, 6, 7, 10, 2, 11, 13, 1, 143, 130)
    return order.index(code) if code in order else len(order)


def _at_work(state: RolloutState) -> int:
    return sum(1 for host in state.hosts.values() if host.active)


def _confirm(question: str, yes: bool) -> None:
    import sys

    from patchctl.model.errors import ConfirmationError

    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfirmationError("confirmation-missing", question, "add --yes to say so without being asked")
    if not click.confirm(question, err=True):
        raise ConfirmationError("not-confirmed", "nothing was changed")
