"""patchctl audit verify: recompute the hash chain of everything that was recorded."""

from __future__ import annotations

from pathlib import Path

import click

from patchctl.cli.options import output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit

COLUMNS = (Column("number", "RECORD", right=True), Column("code", "PROBLEM"), Column("message", "WHAT"))


@click.group("audit")
def command() -> None:
    """Verify the record of everything that was done."""


@command.command("verify")
@click.option("--head", "heads", multiple=True, metavar="N:HASH|FILE",
              help="A chain head kept elsewhere (printed in every report), or a copy of audit-head.json.")
@click.option("--keep", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="When all is well, write the newest head to this file too.")
@click.option("--check", is_flag=True, help="Write nothing: leave the kept head where it is.")
@state_option
@output_option()
@quiet_options
def verify(
    heads: tuple[str, ...], keep: Path | None, check: bool, state: str | None, output: str, quiet: bool, verbose: int
) -> None:
    """Recompute every hash from the first record on; exit 13 and name the record if anything was altered.

    Edited, dropped, swapped and cut-off records are found, and edited plans and evidence. Against somebody who can
    rewrite the whole store, compare with a head kept on another machine (--head).
    """
    from patchctl.cli.visiting import settings_of
    from patchctl.store.database import open_store
    from patchctl.usecases.audit import HEAD_FILE, keep_head, parse_head, refuse_missing, verify_audit

    settings = settings_of({"state": state})
    refuse_missing(settings.state, settings.reports, bool(heads))
    with open_store(settings.state, writable=False) as store:
        found = verify_audit(store, settings.reports, [parse_head(text, store) for text in heads])
    if found.ok and found.records and not check:
        keep_head(found.head, settings.reports / HEAD_FILE, *([keep] if keep else []))
    rows = [{"number": p.number, "code": p.code, "message": p.message} for p in found.problems]
    head = {"number": found.head.number, "hash": found.head.hash, "store_id": found.head.store_id}
    summary = {"ok": found.ok, "records": found.records, "problems": len(rows)}
    word = "intact" if found.ok else f"BROKEN, {len(rows)} problem{'' if len(rows) == 1 else 's'}"
    footer = (f"{found.records:,} records, {word}; head {found.head.number}:{found.head.hash}",)
    if not (quiet and found.ok):
        data = {"ok": found.ok, "records": found.records, "head": head, "problems": rows, "summary": summary}
        emit(Document("patchctl/audit/1", data, rows, COLUMNS, "problems", footer), output)
    if not found.ok:
        raise click.exceptions.Exit(13)
