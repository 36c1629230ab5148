"""What a compliance report is made of: one assessment of a fleet, the rules' texts, and how earlier ones came out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

from msgspec import Struct, field

from patchctl.model.assessment import (
    ERROR,
    FAIL,
    FIXED,
    PASS,
    SEVERITIES,
    UNKNOWN,
    Finding,
    Rule,
    Score,
)

BAD = (FAIL, ERROR, UNKNOWN)
"""What is not compliant. What could not be judged is never good news."""
GOOD = (PASS, FIXED)


class ReportBaseline(Struct, frozen=True):
    """A baseline as it was used."""

    name: str
    title: str
    kind: str
    digest: str
    source: str = ""
    rules: tuple[Rule, ...] = ()
    """Its rules with all texts; () = they could not be read again: `note` says why."""
    note: str = ""


class ReportHost(Struct, frozen=True):
    """A host of the assessment, reached or not."""

    name: str
    status: str
    """ok | partial | unreachable | auth-failed | privilege-failed | host-key | timeout | error | unknown"""
    message: str = ""
    taken_at: float | None = None


class Trend(Struct, frozen=True):
    """What one earlier assessment came to for the whole fleet."""

    run: str
    at: float
    baseline: str
    score: float | None
    hosts: int
    counts: Mapping[str, int] = field(default_factory=dict)


class Compliance(Struct, frozen=True, dict=True):
    """Everything a report tells. Times are Unix seconds."""

    run: str
    at: float
    actor: str
    generated_at: float
    version: str
    """Of patchctl."""
    baselines: tuple[ReportBaseline, ...]
    hosts: tuple[ReportHost, ...]
    findings: tuple[Finding, ...]
    scores: tuple[Score, ...]
    """Of each host and baseline."""
    trends: tuple[Trend, ...] = ()
    """Oldest first, this run included."""

    @cached_property
    def by_pair(self) -> Mapping[tuple[str, str], Sequence[Finding]]:
        """(host, baseline) -> its findings, in the baseline's order."""
        found: dict[tuple[str, str], list[Finding]] = {}
        for finding in self.findings:
            found.setdefault((finding.host, finding.baseline), []).append(finding)
        return found

    @cached_property
    def score_of(self) -> Mapping[tuple[str, str], Score]:
        return {(score.host, score.baseline): score for score in self.scores}

    @cached_property
    def rules(self) -> Mapping[tuple[str, str], Rule]:
        """(baseline, rule) -> rule; where the baseline could not be read again, what the findings tell of it."""
        known = {(b.name, rule.id): rule for b in self.baselines for rule in b.rules}
        for finding in self.findings:
            key = (finding.baseline, finding.rule)
            if key not in known:
                known[key] = Rule(finding.rule, finding.title, finding.severity)
        return known

    def fleet_score(self, baseline: str) -> float | None:
        """Return the mean over the hosts that have a score; None = none has one."""
        known = [s.score for s in self.scores if s.baseline == baseline and s.score is not None]
        return sum(known) / len(known) if known else None

    def counts(self, baseline: str) -> Counter[str]:
        return Counter(f.verdict for f in self.findings if f.baseline == baseline)


class ReportFile(Struct, frozen=True):
    """One file of a report."""

    name: str
    data: bytes


def severity_rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def is_open(finding: Finding) -> bool:
    """Say whether a finding still asks for something: not compliant, and nobody waived it."""
    return finding.verdict in BAD and finding.waiver is None


def utc(at: float | None) -> str:
    """Return RFC 3339 in UTC ("" for None)."""
    return "" if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
