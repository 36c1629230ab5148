"""Counts and scores of findings by the four scoring models of XCCDF 1.2 section 7.3, as 0 to 100. Pure.

NOT_APPLICABLE, NOT_CHECKED, NOT_SELECTED and INFORMATIONAL are not counted; PASS and FIXED earn a rule's weight; FAIL,
ERROR and UNKNOWN earn nothing. Where nothing counts, or all that counts weighs nothing, the score is None: no score is
not a good score. (By the letter, the absolute model gives 1 there, as 0 of 0 points are all; the default model divides
by zero.) A waiver changes no score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from patchctl.model.assessment import (
    ERROR,
    FAIL,
    FIXED,
    INFORMATIONAL,
    NOT_APPLICABLE,
    NOT_CHECKED,
    NOT_SELECTED,
    PASS,
    UNKNOWN,
    Finding,
    Rule,
    Score,
)

MODELS = ("default", "flat", "flat-unweighted", "absolute")
IGNORED = frozenset({NOT_APPLICABLE, NOT_CHECKED, NOT_SELECTED, INFORMATIONAL})
EARNED = frozenset({PASS, FIXED})
BAD = frozenset({FAIL, ERROR, UNKNOWN})
"""What is not compliant: a rule that could not be judged is never good news."""


def count_verdicts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return verdict -> number of findings, only those that occur."""
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    return counts


def score_host(
    host: str, baseline: str, rules: Sequence[Rule], findings: Sequence[Finding], model: str = "default"
) -> Score:
    """Return counts and score of one host by one baseline. Raise ValueError for an unknown model."""
    verdicts = {finding.rule: finding.verdict for finding in findings}
    return Score(host, baseline, count_verdicts(findings), compute_score(rules, verdicts, model), model)


def compute_score(rules: Sequence[Rule], verdicts: Mapping[str, str], model: str = "default") -> float | None:
    """Return the score (0 to 100) of rule id -> verdict; None when nothing counts. A rule without verdict is UNKNOWN.

    Raise ValueError for an unknown model.
    """
    if model not in MODELS:
        raise ValueError(f"there is no scoring model {model!r}")
    counted = [
        (rule, verdicts.get(rule.id, UNKNOWN) in EARNED)
        for rule in rules
        if verdicts.get(rule.id, UNKNOWN) not in IGNORED
    ]
    if not counted:
        return None
    if model == "default":
        return _default(counted)
    # Unweighted: every weight that is not 0 is taken to be 1, one of 0 stays 0.
    weights = [1.0 if model == "flat-unweighted" and rule.weight else rule.weight for rule, _ in counted]
    total = sum(weights)
    earned = sum(weight for weight, (_, passed) in zip(weights, counted, strict=True) if passed)
    if not total:
        return None
    if model == "absolute":
        return 100.0 if earned == total else 0.0
    return 100.0 * earned / total


def average(scores: Iterable[Score]) -> float | None:
    """Return the mean of scores of several hosts; hosts where nothing applied do not count; None = there is none."""
    known = [score.score for score in scores if score.score is not None]
    return sum(known) / len(known) if known else None


def combine(name: str, scores: Sequence[Score]) -> Score:
    """Return one Score for a group or the fleet: counts added, scores averaged. All are of one baseline and model."""
    counts: dict[str, int] = {}
    for score in scores:
        for verdict, number in score.counts.items():
            counts[verdict] = counts.get(verdict, 0) + number
    baseline, model = (scores[0].baseline, scores[0].model) if scores else ("", "default")
    return Score(name, baseline, counts, average(scores), model)


class _Node(Struct):
    """A group while its score is computed."""

    weight: float = 1.0
    rules: list[tuple[float, bool]] = field(default_factory=list)
    groups: dict[str, _Node] = field(default_factory=dict)

    def score(self) -> float | None:
        """Return the weighted mean of what is directly below; None when all of it weighs nothing."""
        parts = [(weight, 100.0 if passed else 0.0) for weight, passed in self.rules]
        for group in self.groups.values():
            inner = group.score()
            if inner is not None:
                parts.append((group.weight, inner))
        total = sum(weight for weight, _ in parts)
        return sum(weight * score for weight, score in parts) / total if total else None


def _default(counted: Sequence[tuple[Rule, bool]]) -> float | None:
    """XCCDF 1.2 section 7.3.2.1: each group's score is the weighted mean of its rules and groups."""
    top = _Node()
    for rule, passed in counted:
        node = top
        for depth, called in enumerate(rule.group_ids or rule.groups):
            weight = rule.group_weights[depth] if depth < len(rule.group_weights) else 1.0
            node = node.groups.setdefault(called, _Node(weight))
        node.rules.append((rule.weight, passed))
    return top.score()
