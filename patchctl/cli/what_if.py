"""patchctl assess --what-if: which hosts another baseline would newly fail or pass."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from patchctl.cli.output import Column, Document, emit

if TYPE_CHECKING:
    from patchctl.assess.contract import Baseline
    from patchctl.documents.settings import Settings
    from patchctl.model.assessment import Finding
    from patchctl.usecases.access import Fleet
    from patchctl.usecases.what_if import Outlook

COLUMNS = (
    Column("host", "HOST"),
    Column("was", "SCORE", right=True),
    Column("will", "WOULD BE", right=True),
    Column("fails", "NEW FAILS", right=True),
    Column("unknown", "NEW UNKNOWN", right=True),
    Column("waived", "WAIVED", right=True),
    Column("passes", "NEW PASSES", right=True),
)


def tell_what_if(
    settings: Settings, fleet: Fleet, baselines: Sequence[Baseline], instead: str, recorded: str, model: str,
    output: str, *, quiet: bool,
) -> int:  # fmt: skip
    """Compare the one baseline given with `instead` on recorded snapshots; print it; return 0, 2, 3 or 4.

    What a waiver of the project covers is told as waived and gives no 3.
    """
    from patchctl.documents.waivers import load_waivers
    from patchctl.store.database import open_store
    from patchctl.usecases.baselines import load_baselines
    from patchctl.usecases.replay import recorded_snapshots
    from patchctl.usecases.waivers import waiver_members
    from patchctl.usecases.what_if import Accepted, look_ahead

    if len(baselines) != 1:
        raise click.UsageError("--what-if compares one baseline with another: give --baseline once")
    new = load_baselines([instead], settings.baselines)[0]
    waivers = load_waivers(settings.baselines, settings.max_waiver)
    accepted = Accepted(waivers, waiver_members(waivers, fleet.inventory))
    with open_store(settings.state, writable=False) as store:
        found = recorded_snapshots(store.assessments, [host.name for host in fleet.hosts], recorded)
        outlooks = look_ahead(fleet.hosts, found, baselines[0], new, accepted, time.time(), model)
    code = _code(outlooks)
    if not quiet or code:
        emit(_document(outlooks, baselines[0], new), output)
    return code


def _code(outlooks: Sequence[Outlook]) -> int:
    judged = [one for one in outlooks if one.collected]
    if not judged:
        return 4
    if all(one.after is None for one in judged):
        return 2
    if len(judged) < len(outlooks):
        return 4
    return 3 if any(_open(one.fails) or _open(one.unknown) for one in judged) else 0


def _open(findings: Sequence[Finding]) -> list[Finding]:
    """Return those that no waiver covers."""
    return [finding for finding in findings if finding.waiver is None]


def _document(outlooks: Sequence[Outlook], old: Baseline, new: Baseline) -> Document:
    hosts = [
        {"host": o.host, "collected": o.collected, "score_before": o.before, "score_after": o.after,
         "newly_fails": [_rule(f) for f in o.fails], "newly_unknown": [_rule(f) for f in o.unknown],
         "newly_passes": [_rule(f) for f in o.passes]}
        for o in outlooks
    ]  # fmt: skip
    rows = [
        {"host": o.host, "was": _score(o, o.before), "will": _score(o, o.after), "fails": len(_open(o.fails)),
         "unknown": len(_open(o.unknown)), "waived": _waived(o), "passes": len(o.passes)}
        for o in outlooks
    ]  # fmt: skip
    failing = sum(bool(_open(o.fails)) for o in outlooks)
    waived = sum(_waived(o) for o in outlooks)
    summary = {
        "baseline": old.name, "instead": new.name, "hosts": len(outlooks), "newly_failing": failing,
        "not_collected": sum(not o.collected for o in outlooks), "waived": waived,
    }  # fmt: skip
    by_rule: dict[tuple[str, str], list[str]] = {}
    for one in outlooks:
        for finding in one.fails:
            until = f" (waived until {finding.waiver.until})" if finding.waiver is not None else ""
            by_rule.setdefault((until, finding.rule), []).append(one.host)
    covered = f", {waived} findings waived" if waived else ""
    footer = ["", f"{failing} of {len(outlooks)} hosts would newly fail by {new.name}{covered}"]
    footer += [
        f"FAIL    {rule}{until}  on {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for (until, rule), names in sorted(by_rule.items(), key=lambda i: (bool(i[0][0]), -len(i[1]), i[0]))[:40]
    ]
    data = {"hosts": hosts, "summary": summary}
    return Document("patchctl/assess-what-if/1", data, rows, COLUMNS, "hosts", footer)


def _rule(finding: Finding) -> dict[str, Any]:
    from patchctl.report.assessment import describe_waiver

    waiver = describe_waiver(finding.waiver) if finding.waiver is not None else None
    return {"rule": finding.rule, "severity": finding.severity, "reason": finding.reason, "waiver": waiver}


def _waived(one: Outlook) -> int:
    return sum(finding.waiver is not None for finding in (*one.fails, *one.unknown))


def _score(one: Outlook, score: float | None) -> str:
    if not one.collected:
        return "unknown"
    return "n/a" if score is None else f"{score:.1f}"
