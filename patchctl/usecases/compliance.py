"""Write compliance reports of a stored assessment: in every format asked for, each file whole or not at all."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from patchctl import __version__
from patchctl.assess.contract import Baseline
from patchctl.model.assessment import Finding, Rule, Score
from patchctl.model.errors import PatchctlError, UsageError
from patchctl.report.compliance.registry import Format
from patchctl.report.compliance.values import Compliance, ReportBaseline, ReportHost, Trend
from patchctl.store.assessments import AssessedBaseline, Assessment, AssessmentRun, clean_finding
from patchctl.store.database import Store
from patchctl.usecases.assess import AssessmentResult
from patchctl.usecases.atomic import write_atomically
from patchctl.usecases.baselines import load_baselines
from patchctl.usecases.report import safe_name

TRENDS = 60
"""Runs that the trend goes back."""


class WrittenFile(Struct, frozen=True):
    format: str
    path: Path
    sha256: str


def find_run(store: Store, run: str | None) -> AssessmentRun:
    """Return the run with this id, or the latest one. Raise UsageError when there is none."""
    runs = store.assessments.runs()
    found = next((r for r in runs if run is None or r.run == run), None)
    if found is not None:
        return found
    if run is None:
        hint = "make one with: patchctl assess --baseline NAME"
        raise UsageError("no-assessment", "there is no assessment yet", hint)
    near = next((r.run for r in runs), "")
    raise UsageError("no-assessment", f"there is no assessment {run}", f"the latest is {near}" if near else "")


def read_compliance(store: Store, run: AssessmentRun, baselines: Path, now: float) -> Compliance:
    """Return what a run came to, with the rules' texts as far as the baselines can still be read unchanged.

    `baselines`: the folder that names are looked up in; `now` is Unix time. Raise StoreError when findings are lost.
    """
    rows = store.assessments.of_run(run.run)
    findings: list[Finding] = []
    scores: list[Score] = []
    hosts: dict[str, ReportHost] = {}
    for row, found in store.assessments.findings(rows):
        findings += found
        scores.append(Score(row.host, row.baseline, dict(row.counts), row.score))
        known = hosts.get(row.host)
        if known is None or known.taken_at is None:
            hosts[row.host] = ReportHost(row.host, row.status, "", row.taken_at if row.findings else None)
    return Compliance(
        run.run, run.at, run.actor, now, __version__, tuple(_baseline(b, baselines) for b in run.baselines),
        tuple(hosts[name] for name in sorted(hosts)), tuple(findings), tuple(scores), tuple(_trends(store, run)),
    )  # fmt: skip


def compliance_of(
    result: AssessmentResult, baselines: Sequence[Baseline], now: float, clean: Callable[[str], str]
) -> Compliance:
    """Return a run that has just ended as a report takes it, without trends. `clean` masks secrets in hosts' texts."""
    run = result.run
    hosts = [
        ReportHost(one.host, one.status, clean(one.error["message"]) if one.error else "",
                   one.snapshot.taken_at if one.findings else None)
        for one in result.hosts
    ]  # fmt: skip
    return Compliance(
        run.run, run.at, run.actor, now, __version__,
        tuple(ReportBaseline(b.name, b.title, b.kind, b.digest, b.source, tuple(b.rules)) for b in baselines),
        tuple(sorted(hosts, key=lambda host: host.name)),
        tuple(clean_finding(finding, clean) for one in result.hosts for finding in one.findings),
        tuple(score for one in result.hosts for score in one.scores),
    )  # fmt: skip


def _baseline(used: AssessedBaseline, folder: Path) -> ReportBaseline:
    """Read a baseline's rules again. What has changed since, or is gone, is said, and only the findings speak then."""
    rules: tuple[Rule, ...] = ()
    note = ""
    try:
        (found,) = load_baselines([used.reference], folder, write=False)
    except PatchctlError as error:
        note = f"the texts of its rules could not be read again: {error.message}"
    else:
        if found.digest == used.digest:
            rules = tuple(found.rules)
        else:
            note = "it has changed since this assessment, or had other parameters: the texts of its rules are left out"
    return ReportBaseline(used.name, used.title, used.kind, used.digest, used.reference, rules, note)


def _trends(store: Store, run: AssessmentRun) -> list[Trend]:
    """Return what earlier runs by the same baselines came to, oldest first, this one included."""
    names = {b.name for b in run.baselines}
    earlier = [r for r in store.assessments.runs() if r.at <= run.at and names & {b.name for b in r.baselines}]
    trends = []
    for one in reversed(earlier[:TRENDS]):
        by_baseline: dict[str, list[Assessment]] = {}
        for row in store.assessments.of_run(one.run):
            if row.baseline in names:
                by_baseline.setdefault(row.baseline, []).append(row)
        for name, rows in sorted(by_baseline.items()):
            known = [row.score for row in rows if row.score is not None]
            counts: Counter[str] = Counter()
            for row in rows:
                counts.update(row.counts)
            score = sum(known) / len(known) if known else None
            trends.append(Trend(one.run, one.at, name, score, len(rows), dict(counts)))
    return trends


def write_compliance(report: Compliance, formats: Sequence[Format], folder: Path) -> list[WrittenFile]:
    """Write the report below `folder`/RUN and return the files. Raise StoreError when one cannot be written."""
    place = folder / safe_name(report.run)
    written = []
    for made in formats:
        for file in made.render(report):
            path = place / file.name
            write_atomically(path, file.data)
            written.append(WrittenFile(made.name, path, hashlib.sha256(file.data).hexdigest()))
    return written
