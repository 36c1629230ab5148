"""The report as SARIF 2.1.0, for code scanning services and viewers.

Each result's `kind` is its verdict: FAIL fail; PASS and FIXED pass; ERROR and UNKNOWN open (nothing was concluded);
NOT_APPLICABLE notApplicable; NOT_CHECKED and NOT_SELECTED review; INFORMATIONAL informational. Waivers are suppressions
with their justification. SARIF has no word for a host: it is a logical location, and the path hosts/NAME.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

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
)
from patchctl.model.text import strip_control
from patchctl.report.compliance.values import Compliance, ReportFile, utc

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
KINDS = {
    FAIL: "fail", PASS: "pass", FIXED: "pass", ERROR: "open", UNKNOWN: "open", NOT_APPLICABLE: "notApplicable",
    NOT_CHECKED: "review", NOT_SELECTED: "review", INFORMATIONAL: "informational",
}  # fmt: skip
LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
SECURITY = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.0"}
"""`security-severity`, by which code scanning services sort."""


class _Sarif:
    name = "sarif"
    title = "SARIF 2.1.0, for code scanning"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        document = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [_run(report)]}
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
        return [ReportFile("compliance.sarif", text.encode("utf-8", "replace"))]


FORMAT = _Sarif()


def _run(report: Compliance) -> dict[str, Any]:
    keys = list(report.rules)
    index = {key: number for number, key in enumerate(keys)}
    away = [h for h in report.hosts if not any((h.name, b.name) in report.by_pair for b in report.baselines)]
    return {
        "tool": {"driver": {"name": "patchctl", "version": report.version, "rules": [
            _rule(report, baseline, rule) for baseline, rule in keys
        ]}},
        "columnKind": "unicodeCodePoints",
        "invocations": [{
            "executionSuccessful": not away, "startTimeUtc": utc(report.at),
            "toolExecutionNotifications": [
                {"level": "error", "message": {"text": _text(f"{h.name}: {h.status}: {h.message}")}} for h in away
            ],
        }],
        "results": [_result(finding, index) for finding in report.findings],
    }  # fmt: skip


def _rule(report: Compliance, baseline: str, name: str) -> dict[str, Any]:
    rule = report.rules[baseline, name]
    data: dict[str, Any] = {
        "id": f"{baseline}/{name}",
        "shortDescription": {"text": _text(rule.title) or name},
        "defaultConfiguration": {"level": LEVELS.get(rule.severity, "warning")},
        "properties": {"tags": [_text(f"{system}:{ref}") for system, ref in rule.references[:50]]},
    }
    if rule.description:
        data["fullDescription"] = {"text": _text(rule.description)}
    if rule.severity in SECURITY:
        data["properties"]["security-severity"] = SECURITY[rule.severity]
    return data


def _result(finding: Finding, index: dict[tuple[str, str], int]) -> dict[str, Any]:
    kind = KINDS.get(finding.verdict, "open")
    data: dict[str, Any] = {
        "ruleId": f"{finding.baseline}/{finding.rule}", "ruleIndex": index[finding.baseline, finding.rule],
        "kind": kind, "level": LEVELS.get(finding.severity, "warning") if kind == "fail" else "none",
        "message": {"text": _message(finding)},
        "locations": [{
            "physicalLocation": {"artifactLocation": {"uri": f"hosts/{quote(finding.host, safe='')}"}},
            "logicalLocations": [{"fullyQualifiedName": _text(finding.host), "kind": "resource"}],
        }],
        "partialFingerprints": {"patchctl/v1": fingerprint(finding)},
        "properties": {"verdict": finding.verdict, "collected_at": utc(finding.collected_at)},
    }  # fmt: skip
    if finding.waiver is not None:
        waiver = finding.waiver
        why = f"{waiver.reason} (by {waiver.approver}, until {waiver.until})"
        data["suppressions"] = [{"kind": "external", "status": "accepted", "justification": _text(why)}]
    return data


def _message(finding: Finding) -> str:
    parts = [f"{finding.verdict} on {finding.host}: {finding.title or finding.rule}"]
    if finding.expected or finding.actual:
        parts.append(f"Expected {finding.expected or 'nothing'}, found {finding.actual or 'nothing'}.")
    if finding.reason:
        parts.append(finding.reason)
    return _text(" ".join(parts))


def fingerprint(finding: Finding) -> str:
    """Return what stays the same from run to run: host, baseline and rule, hashed."""
    return hashlib.sha256("\0".join((finding.host, finding.baseline, finding.rule)).encode()).hexdigest()


def _text(text: str) -> str:
    return strip_control(text)
