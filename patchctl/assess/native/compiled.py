"""A native baseline, compiled: binds rules to check types, asks hosts, judges snapshots, runs its own tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.assess.checks.contract import Answers, Question
from patchctl.assess.native.answers import CaseAnswers, SnapshotAnswers, probes_of
from patchctl.assess.native.arguments import insert, parameters_used, suggestion
from patchctl.assess.native.conditions import Conditions, read_conditions
from patchctl.assess.native.tree import (
    Fault,
    Node,
    Outcome,
    Path,
    judge,
    leaves,
    more_of,
    questions_of,
    read_tree,
    repair_of,
    type_of,
)
from patchctl.model.assessment import (
    FAIL,
    NOT_APPLICABLE,
    PASS,
    VERDICTS,
    Finding,
    Item,
    Remediation,
    Rule,
)
from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.native import NativeBaseline, NativeRule, RuleTest
from patchctl.model.text import one_line, quote_sh

SHOWN = 3
"""Items that a finding's expected and actual name; all are in its items."""


class Bound(Struct, frozen=True):
    """One rule with its check and conditions, ready to ask and to judge."""

    rule: Rule
    check: Node
    when: Conditions | None = None

    def questions(self) -> list[Question]:
        return (self.when.questions() if self.when else []) + questions_of(self.check)

    def more(self, host: Answers) -> list[Question]:
        return (self.when.more(host) if self.when else []) + more_of(self.check, host)

    def judge(self, host: Answers) -> Outcome:
        if self.when is not None:
            verdict, reason = self.when.judge(host)
            if verdict != PASS:
                return Outcome(verdict, reason=one_line(reason))
        return judge(self.check, host)


class CompiledNative(Struct):
    """Implements assess/contract.py Baseline."""

    name: str
    title: str
    source: str
    digest: str
    bound: tuple[Bound, ...]
    when: Conditions | None = None
    shell: str = "sh"
    kind: str = "native"
    rules: Sequence[Rule] = field(default=())

    def probes(self) -> Sequence[Probe]:
        """Return one probe for each batch that some rule asks."""
        asked = [q for b in self.bound for q in b.questions()]
        return probes_of(asked + (self.when.questions() if self.when else []))

    def follow_up(self, snapshot: Snapshot) -> Sequence[Probe]:
        """Return probes for what the answers so far point to: files that files include."""
        host = SnapshotAnswers(snapshot)
        asked = [q for b in self.bound for q in b.more(host)] + (self.when.more(host) if self.when else [])
        probes = probes_of(q for q in asked if not host.has(q))
        return tuple(p for p in probes if p.id not in snapshot.evidence)  # what gave nothing is not asked again

    def evaluate(self, snapshot: Snapshot) -> Sequence[Finding]:
        """Return one finding for each rule; never raises on what a host said."""
        host = SnapshotAnswers(snapshot)
        verdict, reason = self.when.judge(host) if self.when else (PASS, "")
        found = []
        for bound in self.bound:
            outcome = bound.judge(host) if verdict == PASS else Outcome(verdict, reason=one_line(reason))
            expected, actual = told(outcome)
            found.append(Finding(snapshot.host, self.name, bound.rule.id, outcome.verdict, bound.rule.title,
                                 bound.rule.severity, expected, actual, outcome.items, outcome.reason,
                                 snapshot.taken_at))
        return found

    def explain(self, rule: str, snapshot: Snapshot | None = None) -> Sequence[str]:
        """Return lines on what a rule reads, expects and, with a snapshot, why it came out so."""
        bound = next((b for b in self.bound if b.rule.id == rule), None)
        if bound is None:
            raise KeyError(rule)
        lines = [f"{rule}: {bound.rule.title}"]
        for leaf in leaves(bound.check):
            given = ", ".join(f"{k}={', '.join(v) if isinstance(v, tuple) else v}" for k, v in leaf.args.items())
            lines.append(f"check {leaf.type}: {given}")
            lines += [f"  reads {q.batch.name}: {q.text}" for q in type_of(leaf).questions(leaf.args)]
        if snapshot is not None:
            outcome = bound.judge(SnapshotAnswers(snapshot))
            lines.append(f"verdict {outcome.verdict}" + (f": {outcome.reason}" if outcome.reason else ""))
            lines += [f"  {_mark(item)} {item.source}: expected {item.expected}; is {item.actual}"
                      for item in outcome.items]
        return lines


def _mark(item: Item) -> str:
    return {True: "ok", False: "not ok", None: "unclear"}[item.ok]


def told(outcome: Outcome) -> tuple[str, str]:
    """Return (expected, actual) of an outcome in a line each: of what is wrong, else of what is right."""
    wanted = [i for i in outcome.items if i.ok is (outcome.verdict != FAIL)] or list(outcome.items)
    more = f" and {len(wanted) - SHOWN} more" if len(wanted) > SHOWN else ""
    expected = "; ".join(dict.fromkeys(i.expected for i in wanted[:SHOWN]))
    return one_line(expected), one_line("; ".join(f"{i.source}: {i.actual}" for i in wanted[:SHOWN])) + more


def bind(native: NativeBaseline, values: Mapping[str, str] | None = None) -> tuple[list[Bound], Conditions | None,
                                                                                   list[Fault]]:
    """Given a baseline and values for its parameters, return its bound rules, conditions, and everything wrong."""
    parameters = {p.name: p.default for p in native.parameters}
    faults = [Fault(("parameters",), "unknown-parameter", f"no parameter {name!r}", suggestion(name, parameters))
              for name in values or {} if name not in parameters]
    parameters |= values or {}
    bound = []
    for index, rule in enumerate(native.rules):
        found = _bind_rule(rule, parameters, ("rules", index), faults)
        if found is not None:
            bound.append(found)
    faults += _unused(native)
    shells = {type_of(leaf).shell: (leaf.type, at) for at, b in enumerate(bound) for leaf in leaves(b.check)}
    if len(shells) > 1:
        names = " and ".join(sorted(name for name, _ in shells.values()))
        at = max(at for _, at in shells.values())
        faults.append(Fault(("rules", at, "check"), "mixed-platforms",
                            f"{names} are for different systems: a baseline is for one",
                            "make one baseline for Linux and another for Windows"))
    shell = next(iter(shells), "sh")
    when = read_conditions(native.when, parameters, ("when",), faults, shell) if native.when is not None else None
    return bound, when, faults


def _bind_rule(rule: NativeRule, parameters: Mapping[str, str], path: Path, faults: list[Fault]) -> Bound | None:
    before = len(faults)
    check = read_tree(rule.check, parameters, (*path, "check"), faults)
    shell = type_of(next(iter(leaves(check)))).shell if check is not None else "sh"
    when = read_conditions(rule.when, parameters, (*path, "when"), faults, shell) if rule.when is not None else None
    repair = rule.remediation
    remediation: Remediation | None = None
    if repair is not None and repair.declarative and check is not None:
        remediation = repair_of(check)
        if remediation is None:
            faults.append(Fault((*path, "remediation"), "no-repair", "its checks cannot repair themselves",
                                "write remediation: {script: ...}, or leave it out"))
    elif repair is not None and repair.script:
        remediation = Remediation("script", _with_parameters(repair.script, parameters))
    if remediation is not None and repair is not None:
        remediation = replace(remediation, files=tuple(dict.fromkeys((*remediation.files, *repair.files))),
                              disruption=repair.disruption or remediation.disruption,
                              reboot=repair.reboot or remediation.reboot)
    if len(faults) > before or check is None:
        return None
    title = str(insert(rule.title, parameters)) if parameters_used(rule.title) <= parameters.keys() else rule.title
    made = Rule(rule.id, title, rule.severity, rule.description, rule.rationale, rule.references,
                (rule.group,) if rule.group else (), remediation=remediation)
    return Bound(made, check, when)


def _with_parameters(script: str, parameters: Mapping[str, str]) -> str:
    """Put the parameters that a script uses before it as variables; values are quoted, never text of the script."""
    lines = [f"{re.sub('[.-]', '_', name)}={quote_sh(value)}\n" for name, value in sorted(parameters.items())
             if re.search(rf"\$\{{?{re.escape(re.sub('[.-]', '_', name))}\b", script)]
    return "".join(lines) + script


def _unused(native: NativeBaseline) -> Iterator[Fault]:
    used: set[str] = set()
    for rule in native.rules:
        used |= parameters_used([rule.check, rule.when, rule.title])
        if rule.remediation:
            used |= {p.name for p in native.parameters
                     if re.search(rf"\$\{{?{re.escape(re.sub('[.-]', '_', p.name))}\b", rule.remediation.script)}
    used |= parameters_used(native.when)
    for parameter in native.parameters:
        if parameter.name not in used:
            yield Fault(("parameters", parameter.name), "unused-parameter", f"no rule uses ${{{parameter.name}}}",
                        "use it in a check, or remove it", key=True)


def run_tests(native: NativeBaseline) -> Iterator[Fault]:
    """Judge the tests of all rules; yield a Fault for each that comes out otherwise."""
    for index, rule in enumerate(native.rules):
        for at, test in enumerate(rule.tests):
            path: Path = ("rules", index, "tests", at)
            if test.expect not in VERDICTS:
                yield Fault((*path, "expect"), "unknown-value", f"no verdict {test.expect!r}",
                            suggestion(test.expect, VERDICTS))
                continue
            outcome = run_test(native, rule, test)
            if outcome is not None and outcome.verdict != test.expect:
                why = outcome.reason or told(outcome)[1]
                yield Fault(path, "test-failed", f"rule {rule.id}, case {test.name or at + 1}: expected {test.expect}, "
                            f"came to {outcome.verdict}: {why}")


def run_test(native: NativeBaseline, rule: NativeRule, test: RuleTest) -> Outcome | None:
    """Return what a rule comes to with a test's evidence; None where the rule itself is wrong (told elsewhere)."""
    faults: list[Fault] = []
    parameters = {p.name: p.default for p in native.parameters} | dict(test.parameters)
    bound = _bind_rule(rule, parameters, (), faults)
    if bound is None:
        return None
    asks_when = bound.when is not None and test.expect != NOT_APPLICABLE and not _asked(bound.when, test)
    host = CaseAnswers(test.host)
    return judge(bound.check, host) if asks_when else bound.judge(host)


def _asked(when: Conditions, test: RuleTest) -> bool:
    """Say whether a test holds evidence for the conditions too; most show only the check."""
    return all(q.text in test.host.get(q.batch.name, {}) for q in when.questions())
