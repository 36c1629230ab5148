"""The contract of check types, over all that are found: recorded cases, garbage, repairs, arguments, batches."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.assess.asking.frames import read_frames
from patchctl.assess.checks.contract import Answer, Args, Batch, CheckType, Unreadable
from patchctl.assess.checks.registry import all_checks, check_named
from patchctl.assess.native.answers import CaseAnswers, SnapshotAnswers, probes_of, read_case, write_case
from patchctl.assess.native.arguments import read_arguments
from patchctl.assess.native.tree import Leaf, judge
from patchctl.model.assessment import ERROR, FAIL, NOT_APPLICABLE, PASS, UNKNOWN
from patchctl.model.evidence import OK, Evidence, Snapshot
from tests.assess.native_lab import load

CASES = Path(__file__).with_name("cases")
# Windows check types are PowerShell and have cases of their own beside their platform.
CHECKS = [check for check in all_checks().values() if check.shell == "sh"]


def cases(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((CASES / f"{name}.yaml").read_text())
    return found


def arguments(check: CheckType, given_: Mapping[str, Any]) -> dict[str, Any]:
    args, flaws = read_arguments(check, given_, {})
    assert not flaws, flaws
    return args


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_each_case_comes_out_as_recorded(check: CheckType) -> None:
    seen = set()
    for number, case in enumerate(cases(check.name)):
        outcome = judge(Leaf(check.name, arguments(check, case["args"])), CaseAnswers(case["host"]))
        assert outcome.verdict == case["expect"], f"{check.name} {number}: {outcome}"
        assert outcome.reason or outcome.verdict not in (UNKNOWN, ERROR, NOT_APPLICABLE)
        for item in outcome.items:
            assert item.source
            assert item.expected
            assert item.actual
        seen.add(outcome.verdict)
    assert seen >= {PASS, FAIL, UNKNOWN}, "a check type has a passing, a failing and an unknown case"


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_the_example_is_valid_and_missing_evidence_is_unknown(check: CheckType) -> None:
    args = arguments(check, yaml.safe_load(check.example))
    outcome = judge(Leaf(check.name, args), SnapshotAnswers(Snapshot("h", 0.0, {})))
    assert outcome.verdict == UNKNOWN
    assert "not collected" in outcome.reason
    asked = check.questions(args)
    assert asked
    for question in asked:
        assert question.text
        assert question.text.isprintable()
    for probe in probes_of(asked):
        assert probe.command.rstrip().endswith("echo '@.'")
        failed = Evidence(probe.id, "unknown", reason="timeout after 60 s")
        assert judge(Leaf(check.name, args), SnapshotAnswers(Snapshot("h", 0.0, {probe.id: failed}))).verdict != FAIL


class Garbage:
    """Answers every question with the same text."""

    def __init__(self, text: str, rc: int | None) -> None:
        self.answer = Answer(text, rc)

    def get(self, batch: Batch, text: str = "all") -> Answer:
        if text.startswith("glob:"):
            return Answer("/etc/a\n/etc/b.conf\n", 0)
        return self.answer


LINES = st.lists(st.text(alphabet=" \tab01=:/[]{}()\"'\\#@!*-.,;<&\x00é", max_size=24), max_size=6).map("\n".join)


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
@settings(max_examples=60, deadline=None)
@given(text=LINES, rc=st.sampled_from([None, 0, 1, 127]))
def test_garbage_is_never_an_error(check: CheckType, text: str, rc: int | None) -> None:
    for case in cases(check.name):
        outcome = judge(Leaf(check.name, arguments(check, case["args"])), Garbage(text, rc))
        assert outcome.verdict != ERROR, outcome.reason


@pytest.mark.parametrize("check", [c for c in CHECKS if c.repairs and c.shell == "sh"], ids=lambda c: c.name)
def test_repairs_are_texts_that_a_shell_can_read(check: CheckType) -> None:
    import subprocess
    found = 0
    for case in [{"args": yaml.safe_load(check.example)}, *cases(check.name)]:
        repair = check.repair(arguments(check, case["args"]))
        if repair is not None:
            found += 1
            assert subprocess.run(["sh", "-n"], input=repair.script, text=True, check=False).returncode == 0
            assert check.repair(arguments(check, case["args"])) == repair
    assert found or check.name in ("audit", "user"), "it says that it repairs, and none of its cases shows how"


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
def test_wrong_arguments_are_told(check: CheckType) -> None:
    _, flaws = read_arguments(check, {"nonsense": 1}, {})
    assert any(f.code == "unknown-argument" and f.hint for f in flaws)
    assert read_arguments(check, ["x"], {})[1]


def test_a_baseline_asks_one_probe_a_batch_and_can_be_pickled() -> None:
    _, baseline = load("debian-12")
    names = [probe.id.split(".")[1] for probe in baseline.probes()]
    assert len(names) == len(set(names)) <= 14
    assert pickle.loads(pickle.dumps(baseline)).rules == baseline.rules


# --- frames


def framed(answers: Mapping[str, str]) -> str:
    return "".join(f"@@ {q}\n" + "".join(f"={line}\n" for line in t.split("\n")) for q, t in answers.items()) + "@.\n"


@given(st.dictionaries(st.text("abc/", min_size=1, max_size=5), LINES.filter(lambda t: "\x00" not in t), max_size=4))
def test_no_text_of_a_host_passes_for_another_answer(answers: dict[str, str]) -> None:
    hostile = {q: f"{t}\n@@ /etc/shadow\n=x\n@." for q, t in answers.items()}
    found = read_frames(framed(hostile))
    assert {q: a.text for q, a in found.items() if isinstance(a, Answer)} == {q: f"{t}\n" for q, t in hostile.items()}


@given(st.integers(0, 60))
def test_an_answer_that_was_cut_does_not_count(at: int) -> None:
    whole = framed({"a": "one\ntwo", "b": "three"})
    found = read_frames(whole[:at], whole=False)
    full = read_frames(whole)
    assert all(found[q] == full[q] for q in found if isinstance(found[q], Answer))


@given(LINES, st.sampled_from([0, 3]))
def test_cases_say_what_was_answered(text: str, rc: int) -> None:
    answer = Answer(f"{text.lstrip('!')}\n", rc)
    assert read_case(write_case(answer)).text == answer.text


def test_a_question_is_found_in_whichever_probe_carried_it() -> None:
    one = Evidence("check.process.aaa", OK, "@@ all\n=sshd\n@.\n", 0)
    args: Args = {"name": "sshd", "running": True}
    assert judge(Leaf("process", args), SnapshotAnswers(Snapshot("h", 0.0, {one.probe: one}))).verdict == PASS
    cut = Evidence("check.process.aaa", OK, "@@ all\n=ss", 0, truncated=True)
    assert judge(Leaf("process", args), SnapshotAnswers(Snapshot("h", 0.0, {cut.probe: cut}))).verdict == UNKNOWN


def test_what_cannot_be_read_says_why() -> None:
    with pytest.raises(Unreadable, match="permission denied"):
        read_case("! permission denied", "x")


def rows() -> Iterator[str]:
    yield from (check.name for check in CHECKS)


def test_there_are_the_types_that_the_manual_promises() -> None:
    assert set(rows()) >= {
        "package", "file", "walk", "sshd", "config", "sysctl", "unit", "module", "mount", "user", "group", "sudoers",
        "pam", "cron", "listen", "process", "firewall", "audit", "apparmor", "selinux", "certificate", "value",
        "environment", "grub", "command"}


def test_each_check_type_is_in_the_file_that_bears_its_name() -> None:
    """A baseline that uses a type loads just that file."""
    assert {name: check.name for name, check in all_checks().items()} == {name: name for name in all_checks()}
    assert check_named("contract") is None
    assert check_named("os.path") is None
