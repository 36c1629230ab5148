"""The report as OCSF 1.3 Compliance Finding events (class 2003), one JSON object a line, for a SIEM or data lake.

`compliance.status_id`: PASS and FIXED 1 (Pass), FAIL 3 (Fail), all others 0 (Unknown), with the verdict in
`compliance.status_code`. The finding's own `status_id`: 3 (Suppressed) where it is waived, 4 (Resolved) where it
passes, else 1 (New).
"""
from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from patchctl.model.assessment import FAIL, Finding
from patchctl.model.text import strip_control
from patchctl.report.compliance.sarif import fingerprint
from patchctl.report.compliance.values import GOOD, Compliance, ReportFile

VERSION = "1.3.0"
CATEGORY, CLASS, CREATE = 2, 2003, 1
SEVERITY = {"info": (1, "Informational"), "low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"),
            "critical": (5, "Critical")}  # fmt: skip


class _Ocsf:
    name = "ocsf"
    title = "OCSF compliance findings, for a SIEM"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        lines = [json.dumps(_event(report, f), ensure_ascii=False, separators=(",", ":")) for f in report.findings]
        return [ReportFile("compliance.ocsf.jsonl", "".join(f"{x}\n" for x in lines).encode("utf-8", "replace"))]


FORMAT = _Ocsf()


def _event(report: Compliance, finding: Finding) -> dict[str, Any]:
    rule = report.rules[finding.baseline, finding.rule]
    severity_id, severity = SEVERITY.get(finding.severity, (0, "Unknown"))
    baseline = next((b for b in report.baselines if b.name == finding.baseline), None)
    passed = finding.verdict in GOOD
    status_id, status = (1, "Pass") if passed else (3, "Fail") if finding.verdict == FAIL else (0, "Unknown")
    moment = int((finding.collected_at or report.at) * 1000)
    waiver = finding.waiver
    finding_status = (4, "Resolved") if passed else (3, "Suppressed") if waiver is not None else (1, "New")
    data: dict[str, Any] = {
        "activity_id": CREATE, "activity_name": "Create", "category_uid": CATEGORY, "category_name": "Findings",
        "class_uid": CLASS, "class_name": "Compliance Finding", "type_uid": CLASS * 100 + CREATE,
        "type_name": "Compliance Finding: Create", "time": moment, "severity_id": severity_id, "severity": severity,
        "status_id": finding_status[0], "status": finding_status[1],
        "message": _text(f"{finding.verdict} on {finding.host}: {finding.title or finding.rule}"),
        "metadata": {
            "version": VERSION, "uid": fingerprint(finding), "correlation_uid": report.run,
            "product": {"name": "patchctl", "vendor_name": "patchctl", "version": report.version},
        },
        "finding_info": {
            "uid": fingerprint(finding), "title": _text(finding.title or finding.rule), "created_time": moment,
            "desc": _text(rule.description or finding.title), "types": [finding.baseline],
        },
        "compliance": {
            "control": _text(finding.rule), "standards": [_text(baseline.title or baseline.name if baseline else "")],
            "requirements": [_text(f"{system} {ref}") for system, ref in rule.references],
            "status_id": status_id, "status": status, "status_code": finding.verdict,
            "status_detail": _text(finding.reason or _found(finding)),
        },
        "resources": [{"name": _text(finding.host), "uid": _text(finding.host), "type": "Host"}],
        "evidences": [
            {"data": {"source": _text(i.source), "expected": _text(i.expected), "actual": _text(i.actual), "ok": i.ok}}
            for i in finding.items
        ],
    }  # fmt: skip
    if waiver is not None:
        data["comment"] = _text(f"waived until {waiver.until} by {waiver.approver}: {waiver.reason}")
    return data


def _found(finding: Finding) -> str:
    return f"expected {finding.expected}, found {finding.actual}" if finding.expected or finding.actual else ""


def _text(text: str) -> str:
    return strip_control(text)
