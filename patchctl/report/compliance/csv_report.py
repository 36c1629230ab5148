"""The report as CSV: one line for each host, baseline and rule, for spreadsheets; no cell is taken for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from patchctl.model.text import csv_cell
from patchctl.report.compliance.values import Compliance, ReportFile, utc

COLUMNS = (
    "host", "baseline", "rule", "title", "severity", "verdict", "expected", "actual", "reason", "collected_at",
    "waived_until", "waived_by", "waiver_reason", "references",
)  # fmt: skip


class _Csv:
    name = "csv"
    title = "one line for each finding, for spreadsheets"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for finding in report.findings:
            waiver, rule = finding.waiver, report.rules[finding.baseline, finding.rule]
            references = "; ".join(f"{system} {name}" for system, name in rule.references)
            row = [
                finding.host, finding.baseline, finding.rule, finding.title, finding.severity, finding.verdict,
                finding.expected, finding.actual, finding.reason, utc(finding.collected_at),
                waiver.until if waiver else "", waiver.approver if waiver else "", waiver.reason if waiver else "",
                references,
            ]  # fmt: skip
            writer.writerow([csv_cell(cell) for cell in row])
        for host in report.hosts:  # a host without findings is not left out: it was not reached
            if not any((host.name, b.name) in report.by_pair for b in report.baselines):
                row = [host.name, "", "", "", "", "UNKNOWN", "", "", f"{host.status}: {host.message}"]
                writer.writerow([csv_cell(cell) for cell in row] + [""] * (len(COLUMNS) - len(row)))
        return [ReportFile("compliance.csv", out.getvalue().encode("utf-8", "replace"))]


FORMAT = _Csv()
