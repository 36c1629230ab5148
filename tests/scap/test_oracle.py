"""Rule by rule: our verdicts from one visit against oscap's inside the same host, plain and after seeded changes."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from patchctl.assess.contract import MAX_TRIPS
from tests.lab import LabHost, why_not
from tests.scap import content, oracle
from tests.scap.mutations import mutation

pytestmark = [pytest.mark.lab, pytest.mark.timeout(7200)]

PROFILES = {
    "debian11": ("anssi_np_nt28_high", "standard"),
    "ubuntu2204": ("cis_level2_server", "cis_level2_workstation"),
}
LONG = bool(os.environ.get("PATCHCTL_SOAK"))
MUTATIONS = 20 if LONG else 4
ENOUGH = 0.995

_FIPS = "without rpm's configuration files oscap takes every host for a certified Red Hat system"
EXPLAINED = {"sshd_use_approved_macs": _FIPS, "sshd_use_approved_ciphers": _FIPS}
"""Rule -> why the verdicts may differ (docs/explanation/how-scap-is-evaluated.md)."""


@pytest.fixture(scope="module")
def scap_lab() -> Iterator[oracle.ScapLab]:
    if reason := why_not() or content.why_no_content():
        pytest.skip(f"lab test left out: {reason}")
    with oracle.ScapLab.session() as lab:
        yield lab


@pytest.mark.parametrize("system", list(PROFILES))
def test_that_verdicts_are_those_of_oscap(scap_lab: oracle.ScapLab, system: str) -> None:
    host = scap_lab.dressed(system)
    compared = equal = 0
    unexplained: list[str] = []
    lines: list[str] = []
    try:
        for number in range(MUTATIONS + 1):
            if number:
                host.exec(mutation(seed=1000 + number), timeout=300)
            # The two profiles of a system share most rules: the short version takes turns.
            chosen = PROFILES[system] if LONG or not number else PROFILES[system][number % 2 :][:1]
            for profile in chosen:
                rules, different = _compare(host, system, profile)
                compared += rules
                equal += rules - len(different)
                lines.append(f"{system}/{profile} change {number}: {rules - len(different)} of {rules} {different}")
                print(lines[-1], flush=True)
                unexplained += [f"{number} {d}" for d in different if d[0] not in EXPLAINED]
    finally:
        scap_lab.down(host)
    assert compared >= 40 * (MUTATIONS + 1)
    assert not unexplained, "\n".join(lines)
    assert equal / compared >= ENOUGH, f"{equal} of {compared}:\n" + "\n".join(lines)


def _compare(host: LabHost, system: str, profile: str) -> tuple[int, list[tuple[str, str, str]]]:
    baseline = oracle.compiled(system, profile)
    theirs = oracle.oscap(host, system, profile)
    seen = oracle.visit(host, baseline)
    assert seen.trips <= MAX_TRIPS
    assert not baseline.follow_up(seen.snapshot)
    findings = baseline.evaluate(seen.snapshot)
    assert {f.rule for f in findings} == theirs.keys()
    assert sum(f.verdict in ("PASS", "FAIL") for f in findings) > len(findings) / 2
    return len(findings), oracle.differences(findings, theirs)
