"""The report as JSON: everything, for machines (docs/reference/compliance-reports.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from patchctl.model.assessment import Finding, Rule, Waiver
from patchctl.model.text import strip_control
from patchctl.report.compliance.values import Compliance, ReportFile, utc

SCHEMA = "patchctl/compliance/1"


class _Json:
    name = "json"
    title = "everything, for machines"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        text = json.dumps(describe(report), indent=1, ensure_ascii=False, default=str)
        return [ReportFile("compliance.json", (text + "\n").encode("utf-8", "replace"))]


FORMAT = _Json()


def describe(report: Compliance) -> dict[str, Any]:
    """Return the report as data; keys are only ever added."""
    return {
        "schema": SCHEMA, "run": report.run, "at": utc(report.at), "actor": _text(report.actor),
        "generated_at": utc(report.generated_at), "version": report.version,
        "baselines": [
            {"name": b.name, "title": _text(b.title), "kind": b.kind, "digest": b.digest, "source": b.source,
             "note": _text(b.note), "score": _rounded(report.fleet_score(b.name)),
             "counts": dict(report.counts(b.name))}
            for b in report.baselines
        ],
        "hosts": [
            {"host": h.name, "status": h.status, "message": _text(h.message), "taken_at": utc(h.taken_at) or None}
            for h in report.hosts
        ],
        "scores": [
            {"host": s.host, "baseline": s.baseline, "score": _rounded(s.score), "model": s.model,
             "counts": dict(s.counts)}
            for s in report.scores
        ],
        "rules": [_rule(baseline, rule) for (baseline, _), rule in report.rules.items()],
        "findings": [_finding(f) for f in report.findings],
        "trends": [
            {"run": t.run, "at": utc(t.at), "baseline": t.baseline, "score": _rounded(t.score), "hosts": t.hosts,
             "counts": dict(t.counts)}
            for t in report.trends
        ],
    }  # fmt: skip


def _rule(baseline: str, rule: Rule) -> dict[str, Any]:
    return {
        "baseline": baseline, "rule": rule.id, "title": _text(rule.title), "severity": rule.severity,
        "references": [{"system": _text(s), "id": _text(i)} for s, i in rule.references],
        "limits": [_text(text) for text in rule.limits],
    }  # fmt: skip


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "host": finding.host, "baseline": finding.baseline, "rule": finding.rule, "verdict": finding.verdict,
        "severity": finding.severity, "expected": _text(finding.expected), "actual": _text(finding.actual),
        "reason": _text(finding.reason), "collected_at": utc(finding.collected_at),
        "items": [
            {"source": _text(i.source), "expected": _text(i.expected), "actual": _text(i.actual), "ok": i.ok}
            for i in finding.items
        ],
        "waiver": None if finding.waiver is None else _waiver(finding.waiver),
    }  # fmt: skip


def _waiver(waiver: Waiver) -> dict[str, Any]:
    return {"reason": _text(waiver.reason), "approver": _text(waiver.approver), "until": waiver.until,
            "hosts": waiver.hosts, "source": waiver.source}  # fmt: skip


def _text(text: str) -> str:
    return strip_control(text)


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 2)
