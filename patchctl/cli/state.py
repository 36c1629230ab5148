"""patchctl state: size, prune, compact, backup, restore, upgrade and unlock the store; take hosts over for it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from patchctl.cli.options import connection_options, inventory_options, output_option, refuse_empty, state_option
from patchctl.cli.output import Column, Document, emit, emit_done
from patchctl.cli.redacting import run_secrets
from patchctl.model.codec import to_data
from patchctl.model.errors import UsageError
from patchctl.model.units import format_bytes, parse_duration


def _url(state: str | None) -> str:
    from patchctl.cli.visiting import settings_of

    return settings_of({"state": state}).state


def _age(text: str, option: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError("duration", f"{option}: {error}", "for example 90d") from error


@click.group("state")
def command() -> None:
    """Size, prune, back up and upgrade the store; take hosts over for it."""


@command.command("size")
@state_option
@output_option()
def size(state: str | None, output: str) -> None:
    """Show how many rows and bytes the store holds."""
    from patchctl.store.database import open_store

    with open_store(_url(state), writable=False) as store:
        found = store.size()
    rows = [{"what": name, "count": f"{count:,}"} for name, count in found["rows"].items()]
    footer = (f"{format_bytes(found['evidence_bytes'])} of evidence, {format_bytes(found['total_bytes'])} in all",)
    columns = (Column("what", "WHAT"), Column("count", "ROWS", right=True))
    emit(Document("patchctl/state-size/1", found, rows, columns, "", footer), output)


@command.command("prune")
@click.option("--snapshots", default="90d", show_default=True, metavar="AGE",
              help="Keep snapshots this long, and always each host's latest.")
@click.option("--proofs", default="760d", show_default=True, metavar="AGE",
              help="Keep snapshots that prove a rollout's result this long.")
@click.option("--assessments", default="760d", show_default=True, metavar="AGE",
              help="Keep findings this long, and always each host's latest.")
@click.option("--compact", is_flag=True, help="Give the space back to the file system afterwards (SQLite).")
@click.option("--check", is_flag=True, help="Only tell what would go.")
@state_option
@output_option()
def prune(
    snapshots: str, proofs: str, assessments: str, compact: bool, check: bool, state: str | None, output: str
) -> None:
    """Delete old snapshots, findings and evidence that nothing refers to. The audit chain is never pruned."""
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store

    now = time.time()
    limits = (now - _age(snapshots, "--snapshots"), now - _age(proofs, "--proofs"))
    if check:
        with open_store(_url(state), writable=False) as store:
            count = store.prunable(*limits)
        emit_done("patchctl/state-prune/1", {"check": True, "snapshots": count},
                  [f"{count:,} snapshots would be deleted"], output)  # fmt: skip
        return
    with open_store(_url(state)) as store:
        findings_before = now - _age(assessments, "--assessments")
        pruned = store.prune(*limits, current_actor(), assessments_before=findings_before)
        if compact:
            store.compact()
    freed = format_bytes(pruned.freed)
    said = (
        f"deleted {pruned.snapshots:,} snapshots, {pruned.assessments:,} assessments"
        f" and {pruned.evidence:,} pieces of evidence ({freed})"
    )
    data = {"check": False, "snapshots": pruned.snapshots, "assessments": pruned.assessments,
            "evidence": pruned.evidence, "freed_bytes": pruned.freed}  # fmt: skip
    emit_done("patchctl/state-prune/1", data, [said], output)


@command.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@state_option
@output_option()
def backup(file: Path, state: str | None, output: str) -> None:
    """Write a consistent copy of the store to FILE, also while patchctl runs. Never overwrites."""
    from patchctl.store.database import open_store

    with open_store(_url(state)) as store:
        store.backup(file)
        head = store.head()
    size = file.stat().st_size
    emit_done("patchctl/state-backup/1", {"file": str(file), "records": head.number, "bytes": size},
              [f"{file}: audit records up to {head.number:,}, {format_bytes(size)}"], output)  # fmt: skip


@command.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reason", required=True, metavar="TEXT", callback=refuse_empty, help="Why; recorded.")
@state_option
@output_option()
def restore(file: Path, reason: str, state: str | None, output: str) -> None:
    """Put the backup FILE in the place of a store that is lost.

    The restored store does not know what happened after the backup, so its epoch is raised: hosts refuse it until an
    explicit takeover. Refuses while a store is there: move it away first.
    """
    from patchctl.cli.actor import current_actor
    from patchctl.usecases.state import restore_store

    epoch, found = restore_store(_url(state), file, current_actor(), reason)
    said = f"epoch {epoch}, {found.records:,} audit records, chain {'intact' if found.ok else 'BROKEN'}"
    emit_done("patchctl/state-restore/1", {"epoch": epoch, "records": found.records, "ok": found.ok}, [said], output)
    if not found.ok:
        raise click.exceptions.Exit(13)


@command.command("upgrade")
@state_option
@output_option()
def upgrade(state: str | None, output: str) -> None:
    """Bring the store to this version's schema, all or nothing. Make a backup first."""
    from patchctl.store.database import upgrade_store

    passed = upgrade_store(_url(state))
    said = f"upgraded through schema {', '.join(map(str, passed))}" if passed else "the store is up to date"
    emit_done("patchctl/state-upgrade/1", {"passed": list(passed)}, [said], output)


@command.command("unlock")
@click.argument("name")
@click.option("--reason", required=True, metavar="TEXT", callback=refuse_empty, help="Why; recorded.")
@state_option
@output_option()
def unlock(name: str, reason: str, state: str | None, output: str) -> None:
    """Take the lock NAME from a holder on another machine that is gone for good.

    Locks of processes that died on this machine need no unlocking.
    """
    from patchctl.cli.actor import current_actor
    from patchctl.store.database import open_store

    with open_store(_url(state)) as store:
        holder = store.break_lock(name, current_actor(), reason)
    if holder is None:
        raise UsageError("no-lock", f"nobody holds a lock {name!r}", "see: patchctl status")
    taken_from = holder.describe()
    data = {"lock": name, "holder": taken_from}
    emit_done("patchctl/state-unlock/1", data, [f"took {name} from {taken_from}"], output)


@command.command("takeover")
@click.option("--reason", required=True, metavar="TEXT", callback=refuse_empty,
              help="Why the other controller is known to be gone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@inventory_options
@connection_options
@state_option
@output_option()
def takeover(
    reason: str, yes: bool, inventory: tuple[str, ...], limit: str | None, forks: int | None, timeout: float | None,
    state: str | None, output: str,
) -> int:  # fmt: skip
    """Give hosts to this store, after a restored backup or when their controller is gone for good.

    Hosts refuse every other store and older epochs, so that no two controllers work on one host. Do this only when
    nothing else can still be patching them.
    """
    from patchctl.cli.actor import current_actor
    from patchctl.cli.visiting import fleet_of, prompt_for_secret, settings_of
    from patchctl.model.errors import ConfirmationError
    from patchctl.store.database import open_store
    from patchctl.usecases.access import open_connections
    from patchctl.usecases.takeover import take_over_hosts

    settings = settings_of({"inventory": inventory, "forks": forks, "timeout": timeout, "state": state})
    fleet = fleet_of(settings, limit)
    if not yes:
        if not sys.stdin.isatty():
            message = f"nobody is there to confirm {len(fleet.hosts)} hosts"
            raise ConfirmationError("not-confirmed", message, "add --yes")
        if not click.confirm(f"Take over {len(fleet.hosts)} hosts?", err=True):
            raise ConfirmationError("not-confirmed", "not confirmed: nothing was changed")
    with (
        open_store(settings.state) as store,
        open_connections(
            settings, fleet.inventory, prompt_for_secret(), redactor=run_secrets().redactor()
        ) as connections,
    ):
        taken = take_over_hosts(fleet, connections, store, current_actor(), reason, settings.forks)
    rows = [
        {"host": t.host, "result": "refused" if t.failure else "taken", "before": t.before or None,
         "error": to_data(t.failure) if t.failure else None, "why": t.failure.message if t.failure else ""}
        for t in taken
    ]  # fmt: skip
    shown = [{**row, "before": row["before"] or ""} for row in rows]
    columns = (Column("host", "HOST"), Column("result", "RESULT"), Column("before", "WAS"), Column("why", "WHY"))
    emit(Document("patchctl/takeover/1", {"hosts": rows}, shown, columns, "hosts"), output)
    return 4 if any(t.failure for t in taken) else 0
