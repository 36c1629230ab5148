"""patchctl history HOST: visits, assessments, attempts, changes and decisions of one host."""

from __future__ import annotations

import time
from typing import Any

import click

from patchctl.cli.options import output_option, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.when import local_time

COLUMNS = (
    Column("time", "TIME"), Column("audit", "AUDIT", wide=True), Column("rollout", "ROLLOUT"), Column("actor", "ACTOR"),
    Column("what", "WHAT", fit="wrap", brief="brief"), Column("reason", "REASON", wide=True),
)  # fmt: skip
_QUIET_KINDS = frozenset({"job-intended", "snapshot"})


@click.command("history")
@click.argument("host")
@click.option("--since", default="90d", show_default=True, metavar="AGE", help="How far back: 12h, 90d, 52w.")
@state_option
@output_option()
def command(host: str, since: str, state: str | None, output: str) -> None:
    """Show what happened to HOST: attempts with their changes, decisions, and what assessments came to.

    With -o wide also visits, intents, and assessments that came out as the one before.
    """
    from patchctl.cli.visiting import settings_of
    from patchctl.model.errors import UsageError
    from patchctl.model.units import parse_duration
    from patchctl.store.database import open_store
    from patchctl.usecases.history import read_history

    try:
        age = parse_duration(since)
    except ValueError as error:
        raise UsageError("since", str(error), "for example --since 90d") from error
    settings = settings_of({"state": state})
    with open_store(settings.state, writable=False) as store:
        entries = read_history(store, host, time.time() - age)
    rows = [row for e in entries if output != "table" or not _is_quiet(e) for row in _rows(e)]
    changes = sum(len(e["changes"]) for e in entries)
    alike = sum(bool(e.get("same")) for e in entries)
    summary = {"events": len(entries), "changes": changes}
    fixes = sum(len(e["fixes"]) for e in entries)
    summary["fixes"] = fixes
    repaired = f", {fixes:,} fixes" if fixes else ""
    footer = [f"{len(entries):,} entries since {since}, {changes:,} package changes{repaired}"]
    if alike and output == "table":
        footer.append(f"{alike:,} assessments that came out as the one before are left out: -o wide shows them")
    emit(Document("patchctl/history/1", {"host": host, "history": entries, "summary": summary}, rows, COLUMNS,
                  "history", footer), output)


def _is_quiet(entry: dict[str, Any]) -> bool:
    return entry["kind"] in _QUIET_KINDS or bool(entry.get("same"))


def _rows(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for the entry and one for each package or finding it changed."""
    told = entry["what"] + (f" ({entry['reason']})" if entry["reason"] else "")
    audit = "" if entry["audit"] is None else entry["audit"]
    first = {**entry, "brief": told, "time": local_time(entry["at"]), "audit": audit}
    blank = {"time": "", "audit": "", "rollout": "", "reason": "", "actor": ""}
    changed = [
        f"  {c['package']} {c['from'] or '(not installed)'} -> {c['to'] or '(removed)'}" for c in entry["changes"]
    ]
    changed += [f"  {fix['fix']} {fix['result']}" for fix in entry["fixes"]]
    return [first, *({**blank, "what": text, "brief": text} for text in changed)]
