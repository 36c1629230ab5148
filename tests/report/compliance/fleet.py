"""Assessments made up for the tests of report formats: a small hostile one, and fleets of any size."""

from __future__ import annotations

import random
from collections import Counter

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
    VERDICTS,
    Finding,
    Item,
    Rule,
    Score,
    Waiver,
)
from patchctl.report.compliance.values import Compliance, ReportBaseline, ReportHost, Trend

HOSTILE = "<script>alert(1)</script>&amp;\"'\x1b[31m\u202e=1+1 {{7*7}} ]]> \x00\x07é"
"""What a host might answer: markup, quotes, escape sequences, bidi, formulas, templates."""
AT = 1_790_000_000.0
WAIVER = Waiver(f"vendor appliance {HOSTILE}", "lena", "2027-01-31T00:00:00+01:00", source="waivers.yaml:4")


def rule(number: int) -> Rule:
    severities = ("unknown", "info", "low", "medium", "high", "critical")
    return Rule(
        f"R-{number}", f"Rule {number} holds", severities[number % 6], f"What rule {number} is about.", "Because.",
        (("cis", f"1.{number}"), ("nist 800-53", "AC-2")),
    )  # fmt: skip


def hostile() -> Compliance:
    """One host with every verdict, each text hostile; one that was not reached; one where nothing applied."""
    baseline, name = "cis-debian12", "web01"
    rules = [rule(n) for n in range(len(VERDICTS))]
    rules[1] = Rule("xccdf_org.ssgproject.content_rule_x", HOSTILE, "high", HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),),
                    limits=(HOSTILE,))  # fmt: skip
    findings = [
        Finding(name, baseline, r.id, v, r.title, r.severity, HOSTILE, HOSTILE, (Item(HOSTILE, HOSTILE, HOSTILE),),
                HOSTILE if v not in (PASS, FAIL) else "", AT, WAIVER if v in (FAIL, UNKNOWN) else None)
        for r, v in zip(rules, VERDICTS, strict=True)
    ]  # fmt: skip
    findings += [Finding("printer", baseline, r.id, NOT_APPLICABLE, r.title, r.severity, reason="other system",
                         collected_at=AT) for r in rules]  # fmt: skip
    hosts = (ReportHost(name, "partial", HOSTILE, AT), ReportHost("db 02/'x'", "unreachable", HOSTILE),
             ReportHost("printer", "ok", "", AT))  # fmt: skip
    scores = (Score(name, baseline, dict(Counter(f.verdict for f in findings if f.host == name)), 40.0),
              Score("db 02/'x'", baseline), Score("printer", baseline, {NOT_APPLICABLE: len(rules)}))  # fmt: skip
    return Compliance(
        "20260921T101320Z-ab12", AT, HOSTILE, AT + 60, "0.1.0",
        (ReportBaseline(baseline, f"CIS {HOSTILE}", "sca", "ab" * 32, "baselines/cis.yml", tuple(rules), HOSTILE),),
        hosts, tuple(findings), scores,
        (Trend("r1", AT - 86400 * 30, baseline, 31.5, 3, {PASS: 10, FAIL: 9}), Trend("r2", AT, baseline, None, 3)),
    )  # fmt: skip


def fleet(hosts: int, rules: int, *, seed: int = 1, shapes: int = 25) -> Compliance:
    """A fleet whose hosts come in some shapes with a few differences each, as real ones do."""
    chance = random.Random(seed)
    texts = tuple(rule(n) for n in range(rules))
    weights = {PASS: 60, FAIL: 22, NOT_APPLICABLE: 12, UNKNOWN: 2, ERROR: 1, NOT_CHECKED: 1, INFORMATIONAL: 1, FIXED: 1}
    kinds = [chance.choices(list(weights), list(weights.values()), k=rules) for _ in range(shapes)]
    names = [f"{('web', 'db', 'app', 'edge')[n % 4]}{n:03}.example.org" for n in range(hosts)]
    findings: list[Finding] = []
    scores: list[Score] = []
    listed: list[ReportHost] = []
    for number, name in enumerate(names):
        if number % 97 == 96:
            listed.append(ReportHost(name, "unreachable", "connection refused"))
            scores.append(Score(name, "cis"))
            continue
        verdicts = list(kinds[number % shapes])
        for _ in range(chance.randrange(3)):
            verdicts[chance.randrange(rules)] = chance.choice([PASS, FAIL, UNKNOWN, NOT_SELECTED])
        listed.append(ReportHost(name, "ok", "", AT))
        findings += [
            Finding(name, "cis", r.id, v, r.title, r.severity, "0640", "0644",
                    (Item("/etc/x", "0640", "0644", v == PASS),),
                    "" if v in (PASS, FAIL) else "why", AT, WAIVER if v == FAIL and at % 17 == 0 else None)
            for at, (r, v) in enumerate(zip(texts, verdicts, strict=True))
        ]  # fmt: skip
        counts = Counter(verdicts)
        counted = sum(counts[v] for v in (PASS, FIXED, FAIL, ERROR, UNKNOWN))
        scores.append(Score(name, "cis", dict(counts), 100 * (counts[PASS] + counts[FIXED]) / counted))
    trends = tuple(
        Trend(f"r{n}", AT - 86400 * 7 * (12 - n), "cis", 55 + 2 * n - (n == 7) * 9, hosts, {PASS: 100 + n})
        for n in range(13)
    )  # fmt: skip
    return Compliance(
        "20260921T101320Z-ab12", AT, "nightly", AT + 60, "0.1.0",
        (ReportBaseline("cis", "CIS Debian Linux 12 Benchmark", "sca", "ab" * 32, "baselines/cis.yml", texts),),
        tuple(listed), tuple(findings), tuple(scores), trends,
    )  # fmt: skip
