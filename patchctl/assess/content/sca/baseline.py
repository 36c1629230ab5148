"""A compiled SCA policy: its checks as rules, the probes they need, and their verdicts from a snapshot.

Verdicts: Wazuh's passed -> PASS, failed -> FAIL, not applicable -> NOT_APPLICABLE (requirements not met, or INVALID and
no rule that decides). What Wazuh has no word for: UNKNOWN where a deciding answer is missing, NOT_CHECKED where a
deciding rule cannot be interpreted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from patchctl.assess.content.sca import questions, windows
from patchctl.assess.content.sca.answers import Answer, Answers, Batch, Key, read_answers
from patchctl.assess.content.sca.document import Check, Policy
from patchctl.assess.content.sca.grammar import (
    FOUND,
    INVALID,
    NOT_FOUND,
    ODD,
    OSREGEX,
    PCRE2,
    PCRE2_V5,
    UNSEEN,
    Result,
    Test,
    check_pattern,
    parse_test,
)
from patchctl.assess.content.sca.judge import Judge
from patchctl.assess.contract import Request
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, NOT_CHECKED, PASS, UNKNOWN, Finding, Item, Rule
from patchctl.model.errors import DocumentsError, Problem
from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.text import one_line

ENGINE = "sca-1"
"""Part of the digest: changes when the same content may come to other verdicts."""
SHOWN = 200
"""Characters of a line that are kept as evidence."""


class Compiled(Struct, frozen=True):
    """A check and its tests."""

    check: Check
    tests: tuple[Test, ...]
    judge: Judge
    odd: tuple[str, ...]
    """What of it cannot be interpreted."""


class ScaBaseline(Struct, frozen=True):
    """See patchctl.assess.contract.Baseline."""

    name: str
    title: str
    kind: str
    source: str
    digest: str
    shell: str
    rules: Sequence[Rule]
    dialect: int
    requirements: Compiled | None
    checks: tuple[Compiled, ...]
    batches: tuple[Batch, ...]

    def probes(self) -> Sequence[Probe]:
        return [batch.probe for batch in self.batches]

    def follow_up(self, snapshot: Snapshot) -> Sequence[Probe]:
        return [b.probe for b in self.second(snapshot) if b.probe.id not in snapshot.evidence]

    def second(self, snapshot: Snapshot) -> list[Batch]:
        """Return the batches that read the files which the first ones named."""
        answers = self.answers(self.batches, snapshot)
        if self.met(answers)[0] in (FAIL, NOT_APPLICABLE):
            return []
        keys: dict[Key, None] = {}
        for one in self.checks:
            for test in one.tests:
                if not one.odd:
                    keys.update(dict.fromkeys(one.judge.follow_up(test, answers)))
        return self.module.make_batches(k for k in keys if k not in answers.found)

    @property
    def module(self) -> _Asks:
        return windows if self.shell == "powershell" else questions

    def answers(self, batches: Sequence[Batch], snapshot: Snapshot) -> Answers:
        return read_answers(batches, snapshot, self.module.read_status)

    def met(self, answers: Answers) -> tuple[str, str]:
        """Return the verdict on the policy's requirements and why."""
        if self.requirements is None:
            return PASS, ""
        verdict, results = judge_check(self.requirements, answers)
        return verdict, _reason(verdict, results)

    def evaluate(self, snapshot: Snapshot) -> Sequence[Finding]:
        answers = self.answers((*self.batches, *self.second(snapshot)), snapshot)
        met, why = self.met(answers)
        found = []
        for rule, one in zip(self.rules, self.checks, strict=True):
            items: tuple[Item, ...] = ()
            if met == PASS:
                verdict, results = judge_check(one, answers)
                reason = _reason(verdict, results)
                items = tuple(_item(test, result) for test, result in zip(one.tests, results, strict=True))
            elif met in (FAIL, NOT_APPLICABLE):
                verdict, reason = NOT_APPLICABLE, f"the policy's requirements are not met{': ' if why else ''}{why}"
            else:
                verdict, reason = met, f"whether the policy's requirements are met is not known: {why}"
            decisive = next((i for i in items if i.ok is False), None)
            found.append(Finding(
                snapshot.host, self.name, rule.id, verdict, rule.title, rule.severity,
                decisive.expected if decisive else "", decisive.actual if decisive else "", items,
                one_line(reason, 500), snapshot.taken_at,
            ))  # fmt: skip
        return found

    def explain(self, rule: str, snapshot: Snapshot | None = None) -> Sequence[str]:
        one = next((c for c in self.checks if c.check.id == rule), None)
        if one is None:
            raise KeyError(rule)
        lines = [
            f"{one.check.id}  {one_line(one.check.title, 200)}",
            f"{self.source}, line {one.check.line}: Wazuh {self.dialect}, condition {one.check.condition}",
        ]
        answers = None
        if snapshot is not None:
            answers = self.answers((*self.batches, *self.second(snapshot)), snapshot)
        for test in one.tests:
            lines.append(f"  {one_line(test.text, 400)}")
            if answers is not None:
                result = one.judge.judge(test, answers)
                lines.append(f"    {result.state}{': ' if result.reason else ''}{one_line(result.reason, 300)}")
                if result.shown:
                    lines.append(f"    {one_line(result.shown, 300)}")
        lines += [f"  not interpreted: {one_line(text, 300)}" for text in one.odd]
        if answers is not None:
            met, why = self.met(answers)
            lines.append(f"requirements: {met}{': ' if why else ''}{one_line(why, 300)}")
            verdict, results = judge_check(one, answers)
            reason = _reason(verdict, results)
            lines.append(f"verdict: {verdict}{': ' if reason else ''}{one_line(reason, 300)}")
        return lines


class _Asks(Protocol):
    """How a kind of host is asked: questions.py or windows.py."""

    def make_batches(self, keys: Iterable[Key]) -> list[Batch]: ...

    def read_status(self, key: Key, word: str, lines: Sequence[str]) -> Answer: ...


def judge_check(one: Compiled, answers: Answers) -> tuple[str, list[Result]]:
    """Return the verdict on a check and what each of its tests came to."""
    results = [one.judge.judge(test, answers) for test in one.tests]
    return combine(one.check.condition, [r.state for r in results]), results


def combine(condition: str, states: Sequence[str]) -> str:
    """Return the verdict of a condition over the states of its rules. A deciding rule wins over any doubt."""
    deciding, verdict, otherwise = {
        "all": (NOT_FOUND, FAIL, PASS), "any": (FOUND, PASS, FAIL), "none": (FOUND, FAIL, PASS),
    }[condition]  # fmt: skip
    if deciding in states:
        return verdict
    for state, doubt in ((UNSEEN, UNKNOWN), (ODD, NOT_CHECKED), (INVALID, NOT_APPLICABLE)):
        if state in states:
            return doubt
    return otherwise if states else NOT_APPLICABLE


def _reason(verdict: str, results: Sequence[Result]) -> str:
    state = {UNKNOWN: UNSEEN, NOT_CHECKED: ODD, NOT_APPLICABLE: INVALID}.get(verdict, "")
    return next((r.reason for r in results if r.state == state and r.reason), "")


def _item(test: Test, result: Result) -> Item:
    source, _, wanted = test.text.partition(" -> ")
    actual = result.reason or result.shown or result.state
    ok = {FOUND: True, NOT_FOUND: False}.get(result.state)
    return Item(one_line(source, SHOWN), one_line(wanted, SHOWN), one_line(actual, SHOWN), ok)


def compile_policy(policy: Policy, data: bytes, source: str, request: Request) -> ScaBaseline:
    """Make a baseline of a policy that was read. Raise DocumentsError for parameters it has no variables for."""
    variables = _variables(policy, request.parameters, source)
    parts = [p for p in (policy.requirements, *policy.checks) if p is not None]
    parsed = {id(p): tuple(parse_test(text, policy.dialect, variables) for text in p.rules) for p in parts}
    on_windows = any(_is_windows(test) for tests in parsed.values() for test in tests)
    compiled = {id(p): _compile(p, parsed[id(p)], policy, on_windows=on_windows) for p in parts}
    checks = tuple(compiled[id(c)] for c in policy.checks)
    requirements = compiled[id(policy.requirements)] if policy.requirements is not None else None
    asks: _Asks = windows if on_windows else questions
    batches = asks.make_batches(
        key for one in compiled.values() for test in one.tests for key in one.judge.questions(test)
    )
    digest = hashlib.sha256(ENGINE.encode() + b"\0" + data)
    for name, value in sorted(request.parameters.items()):
        digest.update(f"\0{name}\0{value}".encode())
    return ScaBaseline(
        request.name, one_line(policy.name or policy.id, 200), "sca", source, digest.hexdigest(),
        "powershell" if on_windows else "sh", tuple(_rules(checks)), policy.dialect, requirements, checks,
        tuple(batches),
    )  # fmt: skip


def _variables(policy: Policy, parameters: Mapping[str, str], source: str) -> list[tuple[str, str]]:
    """Return the policy's variables with the request's values in their place."""
    values = dict(policy.variables)
    problems = []
    for name, value in parameters.items():
        variable = name if name.startswith("$") else f"${name}"
        if variable not in values:
            known = ", ".join(sorted(values)) or "it has none"
            message = f"the policy has no variable {one_line(variable, 60)}"
            problems.append(Problem(source, 1, 1, "unknown-parameter", message, f"known: {known}"))
        values[variable] = value
    if problems:
        raise DocumentsError(tuple(problems))
    return list(values.items())


def _is_windows(test: Test) -> bool:
    """Say whether only a Windows host can be meant: a registry rule, a drive letter, a Windows program."""
    target = test.targets[0] if test.targets else ""
    program = target.split(" ")[0].lower()
    return (
        test.kind == "r"
        or target[1:3] == ":\\"
        or (test.kind == "c" and (program.endswith(".exe") or program in ("powershell", "net", "reg", "secedit")))
    )


def _compile(check: Check, tests: tuple[Test, ...], policy: Policy, *, on_windows: bool) -> Compiled:
    if policy.dialect == 5:
        engine = PCRE2_V5
    else:
        engine = PCRE2 if (check.regex_type or policy.regex_type) == "pcre2" else OSREGEX
    judge = Judge(policy.dialect, engine, on_windows)
    odd: list[str] = []
    for test in tests:
        odd += [*test.odd, *(judge.limits(test) if not test.odd else ())]
        for pattern in _patterns(test, judge):
            odd += check_pattern(*pattern)
    return Compiled(check, tests, judge, tuple(dict.fromkeys(odd)))


def _patterns(test: Test, judge: Judge) -> Iterator[tuple[str, str]]:
    """Yield each pattern of a test with the engine that reads it."""
    if test.content is not None:
        yield test.content, judge.engine
    if test.kind == "p" and judge.dialect == 4:
        yield test.targets[0], judge.engine
    if test.pattern is None:
        return
    if test.kind == "d" and test.pattern.removeprefix("!")[:2] == "r:":
        yield test.pattern, OSREGEX if judge.dialect == 4 else judge.engine
    if test.kind in ("f", "c") or (test.kind == "r" and judge.dialect == 5 and test.content is None):
        yield test.pattern, judge.engine


def _rules(checks: Sequence[Compiled]) -> Iterator[Rule]:
    for one in checks:
        check = one.check
        why = check.rationale
        if check.remediation:
            why = f"{why}\n\nRemediation: {check.remediation}".strip()
        yield Rule(
            check.id, one_line(check.title, 300), "unknown", check.description, why, check.references,
            limits=(*check.notes, *one.odd),
        )  # fmt: skip
