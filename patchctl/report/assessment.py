"""What an assessment came to as data (the `assess` output) and as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from patchctl.model.assessment import (
    ERROR,
    FAIL,
    FIXED,
    INFORMATIONAL,
    NOT_APPLICABLE,
    NOT_CHECKED,
    PASS,
    SEVERITIES,
    UNKNOWN,
    Finding,
    Score,
    Waiver,
)
from patchctl.model.text import one_line

BAD = (FAIL, ERROR, UNKNOWN)
SHOWN_RULES = 40
"""Rules below a table; -o wide shows all findings."""
SHOWN_HOSTS = 3
TEXT = 400
"""Characters of expected, actual and reason in the output."""


def describe_finding(finding: Finding) -> dict[str, Any]:
    """Return one item of `results`. Times are Unix seconds."""
    return {
        "host": finding.host, "baseline": finding.baseline, "rule": finding.rule, "title": one_line(finding.title),
        "severity": finding.severity, "verdict": finding.verdict, "expected": one_line(finding.expected, TEXT),
        "actual": one_line(finding.actual, TEXT),
        "evidence": {
            "collected_at": finding.collected_at,
            "items": [
                {"source": one_line(i.source), "expected": one_line(i.expected, TEXT),
                 "actual": one_line(i.actual, TEXT), "ok": i.ok}
                for i in finding.items
            ],
        },
        "waiver": describe_waiver(finding.waiver) if finding.waiver is not None else None,
        "reason": one_line(finding.reason, TEXT),
    }  # fmt: skip


def describe_waiver(waiver: Waiver) -> dict[str, Any]:
    return {
        "rule": waiver.rule, "baseline": waiver.baseline or None, "hosts": waiver.hosts,
        "reason": one_line(waiver.reason), "approver": one_line(waiver.approver), "granted": waiver.granted,
        "until": waiver.until, "source": waiver.source,
    }  # fmt: skip


def describe_score(score: Score, waived: int, name: str = "host") -> dict[str, Any]:
    """Return one item of `scores`; `waived` of its findings have a waiver. `name`: host | group."""
    counts = score.counts
    return {
        name: score.host, "baseline": score.baseline, "pass": counts.get(PASS, 0), "fail": counts.get(FAIL, 0),
        "error": counts.get(ERROR, 0), "unknown": counts.get(UNKNOWN, 0),
        "not_applicable": counts.get(NOT_APPLICABLE, 0),
        "score": None if score.score is None else round(score.score, 2),
        "not_checked": counts.get(NOT_CHECKED, 0), "informational": counts.get(INFORMATIONAL, 0),
        "fixed": counts.get(FIXED, 0), "waived": waived, "model": score.model,
    }  # fmt: skip


def rank(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what orders findings: failures first, then what could not be judged, the severe before the light."""
    order = {FAIL: 0, ERROR: 1, UNKNOWN: 2}
    severity = finding["severity"] if finding["severity"] in SEVERITIES else "unknown"
    return (
        finding["waiver"] is not None, order.get(finding["verdict"], 3), -SEVERITIES.index(severity),
        finding["rule"], finding["host"],
    )  # fmt: skip


def finding_lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return lines below the table of scores: each rule that is not compliant once, with the hosts it fails on."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for one in sorted((r for r in results if r["verdict"] in BAD), key=rank):
        waiver = one["waiver"]
        key = (one["verdict"], one["baseline"], one["rule"], waiver and (waiver["source"], waiver["until"]))
        groups.setdefault(key, []).append(one)
    lines: list[str] = []
    for found in list(groups.values())[:SHOWN_RULES]:
        lines += _group_lines(found)
    if len(groups) > SHOWN_RULES:
        lines.append(f"... and {len(groups) - SHOWN_RULES} more rules: -o wide shows every finding")
    return lines


def _group_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    first = found[0]
    hosts = ", ".join(f["host"] for f in found[:SHOWN_HOSTS])
    if len(found) > SHOWN_HOSTS:
        hosts += f" and {len(found) - SHOWN_HOSTS} more"
    waived = " (waived)" if first["waiver"] else ""
    lines = [f"{first['verdict']:<8}{first['severity']:<9}{first['rule']}{waived}"]
    if first["title"]:
        lines.append(f"        {first['title']}")
    lines.append(f"        on {hosts}")
    if shown := _shown(first):
        others = sum(_shown(f) != shown for f in found)
        lines.append(f"        {first['host'] + ': ' if others else ''}{shown}")
        if others:
            lines.append(f"        otherwise on {others} of these {len(found)} hosts: -o wide shows each")
    if first["waiver"]:
        waiver = first["waiver"]
        lines.append(f"        waived until {waiver['until']} by {waiver['approver']}: {waiver['reason']}")
    return lines


def _shown(finding: Mapping[str, Any]) -> str:
    """Return what makes a finding one, in a line; "" = nothing is known of it."""
    if finding["verdict"] != FAIL and finding["reason"]:
        return f"why: {finding['reason']}"
    if finding["expected"] or finding["actual"]:
        return f"expected {finding['expected'] or 'nothing'}; found {finding['actual'] or 'nothing'}"
    return ""


def waiver_lines(waivers: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return lines about waivers that have expired while their finding is still there."""
    return [
        f"EXPIRED WAIVER  {w['rule']} on {w['hosts']}, ended {w['until']}: {w['findings']} findings are back"
        f" ({w['source']})"
        for w in waivers
        if w["state"] == "expired"
    ]
