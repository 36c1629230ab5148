"""Finds drift in what is recorded: against the assessment before, a tagged or dated state, or the host's peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from patchctl.assess.contract import Baseline
from patchctl.assess.drift import CONTENT, HOST, UNCLEAR, Difference, compare, compare_peers
from patchctl.model.assessment import Finding
from patchctl.model.errors import PatchctlError, UsageError
from patchctl.model.evidence import Snapshot
from patchctl.store.assessments import Assessment, Assessments
from patchctl.usecases.assess import assess_snapshot
from patchctl.usecases.replay import recorded_snapshots

CHANGED = "its baseline changed since, or was used with --set or --tailoring: assess again"
Loader = Callable[[str, str], Baseline | None]
"""(reference, digest) -> the baseline if it can still be compiled to that digest."""


class Drift(Struct):
    """What differs, and which hosts could not be compared, with the reason."""

    differences: list[Difference] = field(default_factory=list)
    not_compared: dict[str, str] = field(default_factory=dict)
    compared: int = 0
    """Hosts, each counted once for each baseline."""


def find_drift(
    assessments: Assessments, hosts: Sequence[str], baselines: Sequence[str], against: str, load: Loader
) -> Drift:
    """Compare each host's latest assessment. No host is touched.

    `against`: last, peers, or a day, run or tag. `baselines`: names; () = those of the latest run. Raise UsageError
    when nothing was assessed yet or `against` is nothing known.
    """
    runs = assessments.runs()
    if not runs:
        raise UsageError("not-assessed", "nothing was assessed yet", "run first: patchctl assess")
    references = {b.name: b.reference for run in reversed(runs) for b in run.baselines}
    names = list(baselines) or [b.name for b in runs[0].baselines]
    drift = Drift()
    for name in names:
        if name not in references:
            raise UsageError("not-assessed", f"no host was assessed by {name!r}", f"known: {', '.join(references)}")
        rows = {h: row for h, row in assessments.latest(name).items() if h in set(hosts)}
        last = assessments.latest(name, reached=False)
        for host in hosts:
            if host not in rows:
                drift.not_compared[host] = f"never assessed by {name}"
            elif not last[host].findings:  # what is known of it is older, and was compared then
                drift.not_compared[host] = f"not reached by the last assessment: {last[host].status}"
                del rows[host]
        now = _findings(assessments, rows)
        if against == "peers":
            drift.compared += len(now)
            drift.differences += compare_peers(now)
            continue
        if against == "last":
            _against_last(assessments, name, references[name], rows, now, drift, load)
        else:
            before = recorded_snapshots(assessments, hosts, against)
            _against_snapshots(before, references[name], rows, now, drift, load)
    return drift


def _against_last(
    assessments: Assessments, name: str, reference: str, rows: Mapping[str, Assessment],
    now: Mapping[str, Sequence[Finding]], drift: Drift, load: Loader,
) -> None:  # fmt: skip
    """Compare with each host's assessment before; what only comes from changed content is told apart.

    Where the content changed, the earlier snapshot is judged by the new content: what then differs from now is the
    host's doing, the rest the content's.
    """
    earlier: dict[str, Assessment] = {}
    for at in sorted({row.at for row in rows.values()}):
        older = assessments.latest(name, before=at)
        earlier |= {h: older[h] for h, row in rows.items() if row.at == at and h in older}
    then = _findings(assessments, earlier)
    changed = {h: row for h, row in earlier.items() if row.digest != rows[h].digest}
    snapshots = assessments.snapshots_of([row.snapshot for row in changed.values() if row.snapshot is not None])
    for host, row in rows.items():
        if host not in earlier:
            drift.not_compared[host] = "assessed once only"
            continue
        drift.compared += 1
        if host not in changed:
            drift.differences += compare(then[host], now[host], HOST)
            continue
        baseline, snapshot = load(reference, row.digest), snapshots.get(changed[host].snapshot or -1)
        if baseline is None or snapshot is None:
            drift.differences += compare(then[host], now[host], UNCLEAR)
            continue
        judged = assess_snapshot(snapshot, baseline.shell, [baseline]).findings
        drift.differences += compare(judged, now[host], HOST)
        drift.differences += compare(then[host], judged, CONTENT)


def _against_snapshots(
    before: Mapping[str, Snapshot], reference: str, rows: Mapping[str, Assessment],
    now: Mapping[str, Sequence[Finding]], drift: Drift, load: Loader,
) -> None:  # fmt: skip
    """Compare with recorded states, judged by the content that judged the host last."""
    for host, row in rows.items():
        baseline = load(reference, row.digest)
        if host not in before or baseline is None:
            why = "there is no such state of it" if baseline is not None else CHANGED
            drift.not_compared[host] = why
            continue
        drift.compared += 1
        judged = assess_snapshot(before[host], baseline.shell, [baseline]).findings
        drift.differences += compare(judged, now[host], HOST)


def _findings(assessments: Assessments, rows: Mapping[str, Assessment]) -> dict[str, Sequence[Finding]]:
    return {row.host: findings for row, findings in assessments.findings(list(rows.values()))}


def make_loader(compile_it: Callable[[str], Baseline]) -> Loader:
    """Return a Loader that compiles each reference once; one that cannot be compiled any more is None."""
    known: dict[str, Baseline | None] = {}

    def load(reference: str, digest: str) -> Baseline | None:
        if reference not in known:
            try:
                known[reference] = compile_it(reference)
            except PatchctlError:
                known[reference] = None
        found = known[reference]
        return found if found is not None and found.digest == digest else None

    return load
