"""Runs the passing and failing cases that a baseline of our own brings with it. Offline: no host is needed."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from patchctl.assess.native.compiled import bind, run_test
from patchctl.documents.baselines import read_baseline
from patchctl.documents.source import Findings
from patchctl.model.assessment import ERROR
from patchctl.model.errors import DocumentsError


class CaseResult(Struct, frozen=True):
    rule: str
    case: str
    expected: str
    verdict: str
    why: str = ""

    @property
    def right(self) -> bool:
        return self.verdict == self.expected


def run_cases(path: Path) -> tuple[list[CaseResult], list[str]]:
    """Return what each case came to, and the rules that have none. Raise DocumentsError for an invalid baseline."""
    findings = Findings()
    found = read_baseline(path, str(path), findings)
    if found is not None:
        for fault in bind(found.native)[2]:
            findings.add(found.document.problem(fault.path, fault.code, fault.message, fault.hint, key=fault.key))
    if found is None or findings.problems:
        raise DocumentsError(findings.sorted())
    results: list[CaseResult] = []
    for rule in found.native.rules:
        for number, test in enumerate(rule.tests, 1):
            outcome = run_test(found.native, rule, test)
            verdict = outcome.verdict if outcome is not None else ERROR
            why = outcome.reason if outcome is not None else "the rule itself is wrong"
            results.append(CaseResult(rule.id, test.name or f"case {number}", test.expect, verdict, why))
    return results, [rule.id for rule in found.native.rules if not rule.tests]
