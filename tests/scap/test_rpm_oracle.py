"""RHEL 9 and SLE 15 content on a host that a real rpm database rules over: loaded, asked, judged, and as oscap does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from patchctl.assess.contract import MAX_TRIPS
from tests.lab import LabHost, why_not
from tests.scap import content, oracle

pytestmark = [pytest.mark.lab, pytest.mark.soak, pytest.mark.timeout(1800)]

SYSTEMS = ("rhel9", "sle15")
ENOUGH = 0.995
EXPLAINED = {"selinux_confinement_of_daemons": "without SELinux there are no labels; oscap passes, we do not know"}


@pytest.fixture(scope="module")
def host() -> Iterator[LabHost]:
    if reason := why_not() or content.why_no_content():
        pytest.skip(f"lab test left out: {reason}")
    with oracle.ScapLab.session() as lab:
        yield lab.with_rpm(SYSTEMS)


@pytest.mark.parametrize("system", SYSTEMS)
def test_that_a_profile_is_judged_as_by_oscap(host: LabHost, system: str) -> None:
    baseline = oracle.compiled(system, "cis")
    seen = oracle.visit(host, baseline)
    assert seen.trips <= MAX_TRIPS
    findings = baseline.evaluate(seen.snapshot)
    assert baseline.evaluate(seen.snapshot) == findings
    applied = [f for f in findings if f.verdict in ("PASS", "FAIL")]
    assert len(applied) > len(findings) / 2
    theirs = oracle.oscap(host, system, "cis")
    different = oracle.differences(findings, theirs)
    print(system, len(findings), different)
    assert {f.rule for f in findings} == theirs.keys()
    assert not [d for d in different if d[0] not in EXPLAINED]
    assert len(different) <= (1 - ENOUGH) * len(findings)
