"""patchctl drift: what changed on hosts since a recorded state, and which host differs from its peers."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.options import inventory_options, output_option, quiet_options, state_option
from patchctl.cli.output import Column, Document, emit
from patchctl.cli.visiting import fleet_of, settings_of
from patchctl.model.text import one_line

if TYPE_CHECKING:
    from patchctl.assess.drift import Difference
    from patchctl.model.assessment import Finding
    from patchctl.usecases.drift import Drift

COLUMNS = (
    Column("host", "HOST"),
    Column("change", "CHANGE"),
    Column("cause", "CAUSE"),
    Column("severity", "SEVERITY"),
    Column("rule", "RULE", fit="cut"),
    Column("baseline", "BASELINE", wide=True),
    Column("was", "BEFORE", fit="wrap"),
    Column("is", "NOW", fit="wrap"),
)


@click.command("drift")
@click.option("--baseline", "names", multiple=True, metavar="NAME",
              help="Only by these baselines. [default: those of the latest assessment]")
@click.option("--against", default="last", show_default=True, metavar="last|peers|DATE|RUN|TAG",
              help="What to compare the latest assessment with: the one before, hosts like it, a recorded state.")
@inventory_options
@state_option
@output_option()
@quiet_options
def command(
    names: tuple[str, ...], against: str, inventory: tuple[str, ...], limit: str | None, state: str | None, output: str,
    quiet: bool, verbose: int,
) -> int:  # fmt: skip
    """Tell what changed between assessments; no host is touched.

    Exits 3 when hosts drifted and 4 when some could not be compared. What differs only because the baseline changed is
    shown as caused by `content` and gives no 3. With `peers`, a host differs where at least four fifths of the hosts
    that --limit selects agree on something else.
    """
    from patchctl.store.database import open_store
    from patchctl.usecases.baselines import load_baselines
    from patchctl.usecases.drift import find_drift, make_loader

    settings = settings_of({"inventory": inventory, "state": state})
    fleet = fleet_of(settings, limit)
    load = make_loader(lambda reference: load_baselines([reference], settings.baselines)[0])
    with open_store(settings.state, writable=False) as store:
        drift = find_drift(store.assessments, [host.name for host in fleet.hosts], names, against, load)
    code = 3 if any(d.cause != "content" for d in drift.differences) else 0
    code = 4 if drift.not_compared else code
    if not quiet or code:
        emit(_document(drift, against), output)
    return code


def _document(drift: Drift, against: str) -> Document:
    events = [_event(one) for one in drift.differences]
    counts: dict[str, int] = {}
    for event in events:
        counts[event["cause"]] = counts.get(event["cause"], 0) + 1
    missing = [{"host": host, "reason": reason} for host, reason in drift.not_compared.items()]
    summary = {"against": against, "compared": drift.compared, "not_compared": len(missing), "causes": counts}
    rows = [{**e, "was": _short(e["before"], e["peers"]), "is": _short(e["after"])} for e in events]
    caused = ", ".join(f"{count} by {cause}" for cause, count in counts.items()) or "none"
    nothing = ("nothing could be compared" if not drift.compared else
               "no drift where it could be told" if missing else "no drift")
    footer = ["" if rows else nothing, f"{drift.compared} comparisons with {against}; differences: {caused}"]
    footer += [f"NOT COMPARED  {m['host']}  {m['reason']}" for m in missing]
    data = {"events": events, "not_compared": missing, "summary": summary}
    return Document("patchctl/drift/1", data, rows, COLUMNS, "events", footer)


def _event(one: Difference) -> dict[str, Any]:
    """Return one event; `fingerprint` names host, baseline and rule, and stays the same from night to night."""
    key = hashlib.sha256(f"{one.host}\0{one.baseline}\0{one.rule}".encode()).hexdigest()[:16]
    return {
        "host": one.host, "baseline": one.baseline, "rule": one.rule, "title": one_line(one.finding.title),
        "severity": one.finding.severity, "change": one.change, "cause": one.cause, "before": _side(one.before),
        "after": _side(one.after), "peers": list(one.peers) if one.peers[1] else None, "fingerprint": key,
    }  # fmt: skip


def _side(finding: Finding | None) -> dict[str, Any] | None:
    if finding is None:
        return None
    return {
        "verdict": finding.verdict, "actual": one_line(finding.actual), "reason": one_line(finding.reason),
        "collected_at": finding.collected_at,
    }  # fmt: skip


def _short(side: dict[str, Any] | None, peers: list[int] | None = None) -> str:
    if side is None:
        return "-"
    usual = f" ({peers[0]} of {peers[1]})" if peers else ""
    return f"{side['verdict']} {side['actual'] or side['reason']}".strip() + usual
