"""patchctl rollout: status, watch, pause, resume, abort, retry, approve, tick."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from patchctl.cli.options import connection_options, output_option, quiet_options, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit, emit_done

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
    f = click.option("-i", "--inventory", multiple=True, metavar="PATH", callback=refuse_empty,
                     help="Inventory file or folder.")(f)
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
@output_option()
@quiet_options
def watch(rollout: str | None, state: str | None, output: str, quiet: bool, verbose: int) -> None:
    """Follow a rollout that runs elsewhere, until it is over or nothing is at work. Ctrl-C leaves; it goes on.

    Each step is told on stderr. Where it stands at the end goes to stdout in every format but table.
    """
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
            if output != "table":
                emit(_document(found, time.time()), output)
        raise click.exceptions.Exit(interrupt.exit_code or _exit_code(found))


@command.command("pause")
@_target
@_reason
@output_option()
def pause(rollout: str | None, state: str | None, reason: str, output: str) -> None:
    """Let nothing new start; hosts at work are followed to their end."""
    from patchctl.usecases import rollouts

    found = _change(state, rollout, reason, rollouts.pause)
    following = f"patchctl rollout resume {found.rollout}"
    _emit_act("pause", found, output, f"{found.rollout} {found.status}; go on with: {following}", following=following)


@command.command("abort")
@_target
@_reason
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option()
def abort(rollout: str | None, state: str | None, reason: str, yes: bool, output: str) -> None:
    """End a rollout for good: nothing starts any more, hosts at work are followed to their end and cleaned up."""
    from patchctl.usecases import rollouts

    settings = _settings({"state": state})
    with _read(settings) as store:
        name = rollouts.find_rollout(store, rollout)
    _confirm(f"Abort {name} for good?", yes)
    found = _change(state, name, reason, rollouts.abort)
    said = [f"{found.rollout} {found.status}; hosts still at work: {_at_work(found)}"]
    following = f"patchctl rollout tick {found.rollout}" if _at_work(found) else None
    if following:
        said.append(f"follow them to their end with: {following}")
    _emit_act("abort", found, output, *said, following=following)


@command.command("approve")
@_target
@_reason
@click.option("--ring", default="", metavar="NAME", help="Which ring. [default: the first that waits]")
@output_option()
def approve(rollout: str | None, state: str | None, reason: str, ring: str, output: str) -> None:
    """Record your approval of a ring that waits for one."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts
    from patchctl.usecases.clock import SystemClock

    settings = _settings({"state": state})
    with open_store(settings.state) as store:
        name = rollouts.find_rollout(store, rollout)
        found, approved = rollouts.approve(store, name, current_actor(), SystemClock(), reason, ring)
    said = f"{found.rollout}: ring {approved} approved by {current_actor()}"
    _emit_act("approve", found, output, said, ring=approved)


@command.command("resume")
@_target
@_reason
@click.option("--detach", is_flag=True, help="Only record it; the next tick carries on.")
@click.option("--override-window", is_flag=True, help="Let windows count no more; needs --reason.")
@output_option()
@_run_options
def resume(
    rollout: str | None, state: str | None, reason: str, detach: bool, override_window: bool, output: str, **flags: Any
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
            found = rollouts.load_state(store, name)
            said = f"{name}: the next `patchctl rollout tick` carries on"
            _emit_act("resume", found, output, said, following=f"patchctl rollout tick {name}")
            return
        raise click.exceptions.Exit(_carry_on(settings, store, name, flags, output))


@command.command("retry")
@_target
@_reason
@click.option("--failed", is_flag=True, required=True, help="All hosts that failed, were unreachable or in doubt.")
@click.option("--detach", is_flag=True, help="Only record it; the next tick carries on.")
@output_option()
@_run_options
def retry(
    rollout: str | None, state: str | None, reason: str, failed: bool, detach: bool, output: str, **flags: Any
) -> None:
    """Take up again the hosts that ended badly, each with a new attempt linked to the old one."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts
    from patchctl.usecases.clock import SystemClock

    settings = _settings({"state": state, **flags})
    with open_store(settings.state) as store:
        name = rollouts.find_rollout(store, rollout)
        found, hosts = rollouts.retry_failed(store, name, current_actor(), SystemClock(), reason)
        if not flags["quiet"]:
            click.echo(f"{name}: taking up {len(hosts)} again: {', '.join(hosts[:10])}", err=True)
        if not detach:
            raise click.exceptions.Exit(_carry_on(settings, store, name, flags, output))
        if output not in ("table", "wide"):
            _emit_act("retry", found, output, following=f"patchctl rollout tick {name}")


@command.command("tick")
@_target
@output_option()
@_run_options
def tick(rollout: str | None, state: str | None, output: str, **flags: Any) -> None:
    """Do what is due now and exit: for a timer. Without ID, for every rollout that is under way."""
    from patchctl.model.errors import LockedError
    from patchctl.store.database import open_store
    from patchctl.usecases import rollouts

    settings = _settings({"state": state, **flags})
    shown = output if output in ("table", "wide") else ""
    done: list[dict[str, Any]] = []
    with open_store(settings.state) as store:
        for name in [rollouts.find_rollout(store, rollout)] if rollout else rollouts.released(store):
            code, note = 0, None
            try:
                code = _carry_on(settings, store, name, flags, shown, once=True)
            except LockedError as error:
                if rollout:
                    raise
                # Another run works on it: what is due is being done.
                note = error.message
                if not flags["quiet"]:
                    click.echo(f"{name}: {note}", err=True)
            found = rollouts.load_state(store, name).status
            done.append({"rollout": name, "state": found, "exit_code": code, "note": note})
    worst = max([0, *(one["exit_code"] for one in done)], key=_severity)
    if not shown and (worst or not flags["quiet"]):
        columns = [Column(key, key.upper()) for key in ("rollout", "state", "exit_code", "note")]
        rows = [{**one, "note": one["note"] or ""} for one in done]
        emit(Document("patchctl/rollout-tick/1", {"rollouts": done}, rows, columns, "rollouts"), output)
    raise click.exceptions.Exit(worst)


def _carry_on(
    settings: Settings, store: Store, name: str, flags: Mapping[str, Any], output: str, *, once: bool = False
) -> int:
    """Run the loop, write the report once it stands still; return the code that its end asks for."""
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
            return interrupt.exit_code
        return finish(name, settings, store, current_actor(), interrupt.exit_code, output=output, quiet=quiet)


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


def _emit_act(
    action: str, found: RolloutState, output: str, *sentences: str, ring: str | None = None,
    following: str | None = None,
) -> None:  # fmt: skip
    """Tell what was recorded; `following`: the command to give next, where there is one."""
    data = {"rollout": found.rollout, "action": action, "state": found.status, "at_work": _at_work(found),
            "ring": ring, "next": following}  # fmt: skip
    emit_done("patchctl/rollout-action/1", data, sentences, output)


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
