"""baselines/debian-12.yaml proved by mutation: a broken host FAILs each rule, its remediation makes it PASS again.

PATCHCTL_RECORD=1 writes what the host answered to baselines/tests/debian-12.yaml: the recorded cases of the rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchctl.assess.native.compiled import Bound, CompiledNative
from patchctl.model.assessment import FAIL, PASS, Finding
from patchctl.model.evidence import Snapshot
from tests.assess.native_lab import FUNCTIONS, ROOT, case_of, load, prepare, run_in, visit, write_cases
from tests.lab import LabHost

TABLE: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("debian12_mutations.yaml").read_text())
HEAD = """\
# What a lab host (Debian 12) answered when each rule of debian-12.yaml was right (pass) and broken (fail). Written by
# tests/assess/test_debian12_lab.py with PATCHCTL_RECORD=1; lines that decide nothing are left out. Rules that are never
# broken there (tests/assess/debian12_mutations.yaml says why) have their cases in debian-12.yaml itself.
"""
CASES = ROOT / "baselines" / "tests" / "debian-12.yaml"


def test_the_table_has_every_rule_and_reasons() -> None:
    bound, _ = load("debian-12")
    assert list(TABLE) == list(bound)
    for rule, row in TABLE.items():
        assert "break" in row or len(row["never"]) > 20, rule
        if "break" in row and bound[rule].rule.remediation is None:
            assert "mend" in row, f"{rule}: no remediation, so say how the host is mended"


def repair(host: LabHost, rules: dict[str, Bound]) -> dict[str, str]:
    """Run the remediations (or what mends the host) of rules; return rule -> what it said where it failed."""
    wrong = {}
    for rule, bound in rules.items():
        script = bound.rule.remediation.script if bound.rule.remediation else TABLE[rule]["mend"]
        done = run_in(host, f"set -eu\n{script}")
        if done.returncode:
            wrong[rule] = (done.stdout + done.stderr)[-300:]
    return wrong


def judged(baseline: CompiledNative, snapshot: Snapshot) -> dict[str, Finding]:
    return {finding.rule: finding for finding in baseline.evaluate(snapshot)}


def break_all(host: LabHost, rules: dict[str, Bound]) -> None:
    run_in(host, FUNCTIONS + "".join(f"( {TABLE[rule]['break']}\n)\n" for rule in rules))


@pytest.mark.lab
def test_breaking_a_host_fails_each_rule_and_its_remediation_passes_it(
    module_hosts: Callable[[int], list[LabHost]],
) -> None:
    host, = module_hosts(1)
    bound, baseline = load("debian-12")
    prepare(host, bound)
    todo = {rule: b for rule, b in bound.items() if "break" in TABLE[rule]}
    together = {rule: b for rule, b in todo.items() if not TABLE[rule].get("alone")}
    cases: dict[str, Any] = {}
    problems: list[str] = []
    rounds = [together, *({rule: b} for rule, b in todo.items() if rule not in together)]
    for rules in rounds:
        break_all(host, rules)
        broken = visit(host, baseline)
        wrong = repair(host, rules)
        problems += [f"{rule}: the remediation fails: {said}" for rule, said in wrong.items()]
        for snapshot, verdict, word in ((broken, FAIL, "fail"), (visit(host, baseline), PASS, "pass")):
            found = judged(baseline, snapshot)
            for rule in rules:
                one = found[rule]
                if one.verdict == verdict:
                    cases[f"{rule}.{word}"] = case_of(bound[rule], snapshot)
                else:
                    problems.append(f"{rule}: {word} expected, {one.verdict}: {one.reason} {one.actual}")
    if os.environ.get("PATCHCTL_RECORD"):
        write_cases(CASES, dict(sorted(cases.items())), HEAD)
    assert not problems, "\n".join(problems)


@pytest.mark.lab
@pytest.mark.soak
def test_each_rule_alone(module_hosts: Callable[[int], list[LabHost]]) -> None:
    host, = module_hosts(1)
    bound, baseline = load("debian-12")
    for rule, one in bound.items():
        if "break" not in TABLE[rule]:
            continue
        repair(host, {rule: one} if one.rule.remediation else {})
        break_all(host, {rule: one})
        assert judged(baseline, visit(host, baseline))[rule].verdict == FAIL, rule
        assert not repair(host, {rule: one}), rule
        assert judged(baseline, visit(host, baseline))[rule].verdict == PASS, rule
        assert not repair(host, {rule: one}), f"{rule}: a second time"
        assert judged(baseline, visit(host, baseline))[rule].verdict == PASS, f"{rule}: a second time"
