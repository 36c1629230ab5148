"""baselines/windows-server.yaml and its check types: each rule passes and fails, each text is PowerShell."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from patchctl.assess.asking.frames import read_frames
from patchctl.assess.asking.windows import SYSTEM
from patchctl.assess.checks.contract import Answer, CheckType, Unreadable
from patchctl.assess.checks.registry import all_checks
from patchctl.assess.native.conditions import read_conditions
from patchctl.assess.native.tree import Fault
from patchctl.collect.fixing_windows import BATCH
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, PASS, UNKNOWN
from patchctl.usecases.baseline_cases import run_cases
from patchctl.usecases.baselines import load_baseline
from tests.windows.test_texts import errors, unset_variables

BASELINE = Path(__file__).parents[2] / "baselines" / "windows-server.yaml"
CHECKS = [pytest.param(check, id=name) for name, check in all_checks().items() if name.startswith("windows_")]


def test_every_rule_has_a_passing_and_a_failing_case() -> None:
    results, without = run_cases(BASELINE)
    assert without == []
    assert [r for r in results if not r.right] == []
    cases = Counter((r.rule, r.expected) for r in results)
    rules = {r.rule for r in results}
    assert len(rules) >= 60
    assert all(cases[rule, verdict] for rule in rules for verdict in (PASS, FAIL))


def example(check: CheckType) -> dict[str, Any]:
    """Return the example's arguments as a baseline's reader would hand them over."""
    kinds = {a.name: a.kind for a in check.arguments}
    found = yaml.load(check.example, yaml.BaseLoader)
    return {name: value == "true" if kinds[name] == "flag" else int(value) if kinds[name] == "whole" else value
            for name, value in found.items()}  # fmt: skip


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_types_example_is_right_and_its_text_is_powershell(check: CheckType) -> None:
    args = example(check)
    assert list(check.flaws(args)) == []
    assert check.shell == "powershell"
    for question in check.questions(args):
        assert question.batch.powershell
        assert list(errors(question.batch.script([question.text, "it's"]))) == []
        assert "'it''s'" in question.batch.script([question.text, "it's"])


@pytest.mark.parametrize("check", [p for p in CHECKS if p.values[0].repairs])  # type: ignore[union-attr]  # they are
def test_a_repair_is_batch_lines_or_powershell_and_tells_what_it_sets(check: CheckType) -> None:
    args = example(check)
    repair = check.repair(args)
    assert repair is not None
    (place, value), = repair.sets
    assert (place, bool(value)) == (check.place(args), True)  # type: ignore[attr-defined]  # all are WindowsValue
    if not repair.script.startswith(BATCH):
        assert list(errors(repair.script)) == []
        assert unset_variables(repair.script) <= {"folder"}, "the folder is what the payload gives it"
        assert "restore.ps1" in repair.script.partition("# change")[0], "what takes it back is written before"


class Hosts:
    """One answer for everything; None = nothing came."""

    def __init__(self, answer: Answer | None) -> None:
        self.answer = answer

    def get(self, batch: object, text: str = "all") -> Answer:
        if self.answer is None:
            raise Unreadable("cut off here")
        return self.answer


@pytest.mark.parametrize("check", CHECKS)
def test_what_cannot_be_read_is_never_a_pass(check: CheckType) -> None:
    args = example(check)
    with pytest.raises(Unreadable):
        check.judge(args, Hosts(None))
    try:
        items = check.judge(args, Hosts(Answer("garbage without any value\n")))
    except Unreadable:
        return
    assert all(item.ok is not True for item in items), UNKNOWN


def test_frames_of_powershell_are_read_with_their_reasons() -> None:
    text = "@@ a!b\n=5\n@@ a!c\n@- not there\n@@ a!d\n@! Requested registry access is not allowed.\n@.\n"
    found = read_frames(text)
    assert found["a!b"] == Answer("5\n", None)
    assert found["a!c"] == Answer("not there", None, missing=True)
    assert found["a!d"] == "Requested registry access is not allowed."


def test_when_of_a_windows_baseline_asks_windows_hosts() -> None:
    """Never /etc/os-release by sh: that would be sent to PowerShell."""
    found = load_baseline(str(BASELINE), BASELINE.parent, write=False)
    assert found.shell == "powershell"
    assert {p.id.split(".")[1].partition("-")[0] for p in found.probes()} == {"windows"}
    assert list(errors(SYSTEM.script(["all"]))) == []
    conditions = read_conditions({"family": ["windows"], "version": ">= 10.0.20348"}, {}, (), [], "powershell")
    assert conditions is not None
    for said, verdict in (
        ("ID=windows\nVERSION_ID=10.0.20348.2031", PASS), ("ID=windows\nVERSION_ID=10.0.17763.1", NOT_APPLICABLE),
        ("VERSION_ID=", UNKNOWN),
    ):
        assert conditions.judge(Hosts(Answer(said)))[0] == verdict, said
    assert conditions.judge(Hosts(None))[0] == UNKNOWN


def test_a_windows_baseline_cannot_ask_for_containers() -> None:
    faults: list[Fault] = []
    assert read_conditions({"container": True}, {}, ("when",), faults, "powershell") is None
    assert [(f.path, f.code) for f in faults] == [(("when", "container"), "invalid-condition")]
