"""Failed collection is no result of SCAP content either: real content, a real host, its answers broken one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from patchctl.model.assessment import ERROR, UNKNOWN
from patchctl.model.evidence import NOT_APPLICABLE, OK, Evidence, Snapshot
from patchctl.model.evidence import UNKNOWN as LOST
from tests.lab import why_not
from tests.scap import content, oracle

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(3600)]


def broken(evidence: Evidence) -> Iterator[tuple[str, Evidence | None]]:
    """Yield ways in which one probe can fail; None = it is not there."""
    lines = evidence.output.splitlines(keepends=True)
    yield "not collected", None
    yield "late", replace(evidence, status=LOST, output="", reason="timeout after 60 s")
    yield "late with output", replace(evidence, status=LOST, reason="the connection was lost")
    yield "no root", replace(evidence, status=LOST, output="", reason="needs root")
    yield "guarded", replace(evidence, status=NOT_APPLICABLE, output="", reason="its condition failed")
    yield "empty", replace(evidence, output="")
    for part in (4, 2):
        cut = "".join(lines[: len(lines) - len(lines) // part])
        yield f"cut by 1/{part}", replace(evidence, output=cut, truncated=True)
        yield f"ended after all but 1/{part}", replace(evidence, output=cut)


def test_no_broken_probe_turns_a_verdict() -> None:
    system, profile = "debian11", "anssi_np_nt28_high"
    if reason := why_not() or content.why_no_content():
        pytest.skip(f"lab test left out: {reason}")
    baseline = oracle.compiled(system, profile)
    with oracle.ScapLab.session() as lab:
        snapshot = oracle.visit(lab.dressed(system), baseline).snapshot
    right = {f.rule: f.verdict for f in baseline.evaluate(snapshot)}
    wrong: list[str] = []
    tried = unknown = 0
    for probe, evidence in snapshot.evidence.items():
        if evidence.status != OK:
            continue
        for way, spoilt in broken(evidence):
            others = {k: v for k, v in snapshot.evidence.items() if k != probe}
            found = baseline.evaluate(Snapshot("h", snapshot.taken_at, others | ({probe: spoilt} if spoilt else {})))
            for finding in found:
                tried += 1
                unknown += finding.verdict == UNKNOWN
                if finding.verdict not in (right[finding.rule], UNKNOWN, ERROR):
                    wrong.append(f"{probe} {way}: {finding.rule} {right[finding.rule]} became {finding.verdict}")
    print(f"{system}: {tried} verdicts with one probe broken, {unknown} unknown, {len(wrong)} turned")
    assert unknown
    assert not wrong, "\n".join(wrong[:40])
