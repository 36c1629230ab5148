"""A compiled XCCDF profile: which probes it needs, what its rules come to on a host, and why. Can be pickled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.assess.content.xccdf import cpe, explain
from patchctl.assess.content.xccdf.oval import truth
from patchctl.assess.content.xccdf.oval.evaluate import Evaluator
from patchctl.assess.content.xccdf.oval.facts import PREFIX, Ask, Facts
from patchctl.assess.content.xccdf.oval.model import (
    ERROR,
    FALSE,
    NOT_APPLICABLE,
    NOT_EVALUATED,
    TRUE,
    UNKNOWN,
    Document,
)
from patchctl.assess.content.xccdf.oval.registry import all_sources
from patchctl.model import assessment
from patchctl.model.assessment import Finding, Rule
from patchctl.model.evidence import OK, Evidence, Probe, Snapshot

_COMPLIANCE = {TRUE: assessment.PASS, FALSE: assessment.FAIL, ERROR: assessment.ERROR, UNKNOWN: assessment.UNKNOWN,
               NOT_EVALUATED: assessment.NOT_CHECKED, NOT_APPLICABLE: assessment.NOT_APPLICABLE}
_FLAWS = frozenset({"vulnerability", "patch"})
"""Definitions of these classes are true when something is wrong (XCCDF 1.2 section 6.6.4.4, table 26)."""


class RuleCheck(Struct, frozen=True):
    """What decides a rule: definitions of one document under one set of values, or a complex-check of such checks."""

    key: str = ""
    """Key into XccdfBaseline.documents; "" for a check that nothing here can evaluate."""
    definitions: tuple[str, ...] = ()
    negate: bool = False
    operator: str = ""
    """AND | OR of the parts; "" for a plain check."""
    parts: tuple[RuleCheck, ...] = ()

    def leaves(self) -> Iterator[RuleCheck]:
        """Yield the plain checks that can be evaluated."""
        if self.operator:
            for part in self.parts:
                yield from part.leaves()
        elif self.key:
            yield self


class Loaded(Struct, frozen=True):
    """A document with the values its external variables have under this profile."""

    document: Document
    bindings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class XccdfBaseline(Struct, frozen=True):
    """One profile, ready to ask hosts and to judge what they answered."""

    name: str
    title: str
    source: str
    digest: str
    rules: tuple[Rule, ...]
    checks: Mapping[str, RuleCheck]
    """Rule id -> what decides it; a rule without one is NOT_CHECKED."""
    applicability: Mapping[str, tuple[tuple[str, ...], ...]]
    """Rule id -> platforms of the benchmark, profile, groups and the rule: one of each tuple must be this host."""
    roles: Mapping[str, str]
    documents: Mapping[str, Loaded]
    platform_documents: Mapping[str, str]
    """Name of a document that decides platforms -> key into documents."""
    platforms: cpe.Platforms
    version: str = ""
    warnings: tuple[str, ...] = ()
    kind: str = "xccdf"
    shell: str = "sh"

    def probes(self) -> Sequence[Probe]:
        """Return the probes of the first script: all that can be asked without knowing the host."""
        return _compile([a for a in self._missing(Facts()) if not self._later(a)])

    def follow_up(self, snapshot: Snapshot) -> Sequence[Probe]:
        """Return probes for what depends on earlier answers; () = nothing more to ask."""
        facts = facts_of(snapshot)
        first = {p.id for p in self.probes()}
        if not first & snapshot.evidence.keys():
            return ()
        asked = {a for a in self._missing(Facts()) if not self._later(a)}
        return [p for p in _compile([a for a in self._missing(facts) if a not in asked])
                if p.id not in snapshot.evidence]

    def _missing(self, facts: Facts) -> Sequence[Ask]:
        """Return what is asked for in vain when everything is evaluated."""
        for loaded in self.documents.values():
            evaluator = Evaluator(loaded.document, loaded.bindings, facts)
            for test in loaded.document.tests:
                evaluator.test(test)
        return tuple(facts.missing)

    def _later(self, ask: Ask) -> bool:
        """Say whether a walk waits for others over the same files that depend on what the host answers."""
        return ask[0] == "walk" and ask[1] == "/" and self._walks_wait()

    def _walks_wait(self) -> bool:
        return any(
            entity.var_ref
            for loaded in self.documents.values()
            for found in loaded.document.objects.values()
            if found.type == "file" and found.behaviors.get("recurse_direction") == "down"
            and (path := found.entities.get("path")) is not None and path.value == "/"
            for _, state in found.filters
            for entity in loaded.document.states[state].entities
        )

    def evaluate(self, snapshot: Snapshot) -> Sequence[Finding]:
        """Return one finding for each rule; see `Judge`."""
        judge = Judge(self, snapshot)
        return tuple(judge.finding(rule) for rule in self.rules)

    def explain(self, rule: str, snapshot: Snapshot | None = None) -> Sequence[str]:
        """Return lines that tell what a rule reads and, with a snapshot, why it came out so. KeyError: no such rule."""
        found = {r.id: r for r in self.rules}[rule]
        judge = Judge(self, snapshot) if snapshot is not None else None
        return explain.lines(self, found, judge)


class Judge:
    """The rules of a baseline on one host."""

    def __init__(self, baseline: XccdfBaseline, snapshot: Snapshot) -> None:
        self.baseline = baseline
        self.snapshot = snapshot
        facts = facts_of(snapshot)
        self._evaluators = {k: Evaluator(d.document, d.bindings, facts) for k, d in baseline.documents.items()}
        self._applies: dict[tuple[str, ...], str] = {}

    def evaluator(self, key: str) -> Evaluator:
        return self._evaluators[key]

    def applies(self, names: tuple[str, ...]) -> str:
        """Return true, false or unknown for platforms of which one must be this host."""
        if names not in self._applies:
            self._applies[names] = cpe.applies(self.baseline.platforms, names, self._platform)
        return self._applies[names]

    def _platform(self, check: cpe.Check) -> str:
        key = self.baseline.platform_documents.get(check.href, "")
        evaluator = self._evaluators.get(key)
        if evaluator is None or check.definition not in evaluator.document.definitions:
            return FALSE
        return evaluator.definition(check.definition)

    def finding(self, rule: Rule) -> Finding:
        """Return what a rule came to."""
        verdict, reason = self.verdict(rule)
        check = self.baseline.checks.get(rule.id)
        items: tuple[assessment.Item, ...] = ()
        if check is not None and verdict in (assessment.FAIL, assessment.ERROR, assessment.UNKNOWN):
            items = explain.items([(self.evaluator(c.key), c.definitions) for c in check.leaves()])
        if not reason and verdict in (assessment.ERROR, assessment.UNKNOWN):
            reason = next((i.actual for i in items if i.ok is None and i.actual), "its definition could not be decided")
        bad = [i for i in items if i.ok is False] or list(items)
        return Finding(
            self.snapshot.host, self.baseline.name, rule.id, verdict, rule.title, rule.severity,
            "; ".join(dict.fromkeys(i.expected for i in bad[:3] if i.expected))[:500],
            "; ".join(dict.fromkeys(i.actual for i in bad[:3] if i.actual))[:500],
            items, reason, self.snapshot.taken_at,
        )

    def verdict(self, rule: Rule) -> tuple[str, str]:
        """Return a rule's verdict and, where it is no pass or fail, why."""
        role = self.baseline.roles.get(rule.id, "full")
        if role == "unchecked":
            return assessment.NOT_CHECKED, "the profile says not to check it"
        for names in self.baseline.applicability.get(rule.id, ()):
            found = self.applies(names)
            if found == FALSE:
                return assessment.NOT_APPLICABLE, f"the host is not {' or '.join(names)}"
            if found != TRUE:
                return assessment.UNKNOWN, f"it could not be told whether the host is {' or '.join(names)}"
        check = self.baseline.checks.get(rule.id)
        if check is None:
            return assessment.NOT_CHECKED, rule.limits[0] if rule.limits else "it has no automatic check"
        verdict = self.check(check)
        if role == "unscored" and verdict in (assessment.PASS, assessment.FAIL):
            return assessment.INFORMATIONAL, f"unscored; it would be {verdict}"
        return verdict, ""

    def check(self, check: RuleCheck) -> str:
        """Return the verdict of a check."""
        if check.operator:
            order = _OR_ORDER if check.operator == "OR" else _AND_ORDER
            verdict = _combine([self.check(part) for part in check.parts], order)
        elif check.key:
            evaluator = self.evaluator(check.key)
            verdict = _combine([_result(evaluator, d) for d in check.definitions], _AND_ORDER)
        else:
            verdict = assessment.NOT_CHECKED
        return _NEGATED.get(verdict, verdict) if check.negate else verdict


def _result(evaluator: Evaluator, definition: str) -> str:
    result = evaluator.definition(definition)
    if evaluator.document.definitions[definition].cls in _FLAWS:
        result = truth.negate(result)
    return _COMPLIANCE[result]


_AND_ORDER = (assessment.FAIL, assessment.ERROR, assessment.UNKNOWN, assessment.PASS, assessment.NOT_CHECKED,
              assessment.NOT_APPLICABLE)


_OR_ORDER = (assessment.PASS, assessment.ERROR, assessment.UNKNOWN, assessment.FAIL, assessment.NOT_CHECKED,
             assessment.NOT_APPLICABLE)
_NEGATED = {assessment.PASS: assessment.FAIL, assessment.FAIL: assessment.PASS}


def _combine(verdicts: Sequence[str], order: Sequence[str]) -> str:
    """Combine checks by AND or OR (XCCDF 1.2 section 7.2.3.5.2, tables of complex-check): the first that occurs."""
    return next((v for v in order if v in verdicts), assessment.NOT_CHECKED)


def _compile(asks: Sequence[Ask]) -> list[Probe]:
    by: dict[str, set[Ask]] = {}
    for ask in asks:
        by.setdefault(ask[0], set()).add(ask)
    return [p for name, wanted in sorted(by.items()) for p in all_sources()[name].probes(tuple(sorted(wanted)))]


def facts_of(snapshot: Snapshot) -> Facts:
    """Return what the evidence of our probes tells, whichever baseline asked for it."""
    answers: dict[Ask, Any] = {}
    reasons: dict[str, str] = {}
    if snapshot.failure is not None:
        reasons = dict.fromkeys(all_sources(), snapshot.failure.message)
    for one in _ours(snapshot):
        name = one.probe.removeprefix(PREFIX).partition(".")[0]
        source = all_sources().get(name)
        if source is None:
            continue
        if one.status == OK:
            before = len(answers)
            source.read(one.output, answers)
            if len(answers) == before:
                reasons.setdefault(name, "the host's answer was incomplete")
        else:
            reasons[name] = one.reason or one.status
    return Facts(answers, reasons, snapshot.taken_at)


def _ours(snapshot: Snapshot) -> list[Evidence]:
    return [e for p, e in sorted(snapshot.evidence.items()) if p.startswith(PREFIX)]
