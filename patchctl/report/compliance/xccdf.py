"""The report as XCCDF 1.2: one file for each baseline, a Benchmark with its rules and a TestResult for each host.

Ids follow NIST IR 7275r4: those that already do are kept, others become xccdf_patchctl_rule_NAME (with the name as
written in an ident). A waiver changes no result: it is a message of the rule-result. A host that was not reached has a
TestResult in which every rule is `unknown`. XCCDF wants a score in each TestResult; where nothing counted it is 0 and a
remark says that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lxml import etree

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
)
from patchctl.model.text import strip_control
from patchctl.report.compliance.values import Compliance, ReportBaseline, ReportFile, ReportHost, utc

NS = "http://checklists.nist.gov/xccdf/1.2"
RESULTS: Mapping[str, str] = {
    PASS: "pass", FAIL: "fail", ERROR: "error", UNKNOWN: "unknown", NOT_APPLICABLE: "notapplicable",
    NOT_CHECKED: "notchecked", NOT_SELECTED: "notselected", INFORMATIONAL: "informational", FIXED: "fixed",
}  # fmt: skip
SEVERITIES = {"info": "info", "low": "low", "medium": "medium", "high": "high", "critical": "high"}
"""XCCDF knows no `critical`."""
SYSTEM = "urn:xccdf:scoring:"
"""Before the name of a scoring model."""
IDENT = "urn:patchctl:rule"
MESSAGES = 20
"""Messages of one rule-result."""


class _Xccdf:
    name = "xccdf"
    title = "XCCDF 1.2 results, for SCAP tools"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        files = []
        for number, baseline in enumerate(report.baselines, 1):
            root = benchmark(report, baseline)
            for at, host in enumerate(report.hosts, 1):
                root.append(test_result(report, baseline, host, at, standalone=False))
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", baseline.name).strip("-.")[:80] or f"baseline-{number}"
            suffix = "" if len(report.baselines) == 1 else f"-{number}"
            files.append(ReportFile(f"xccdf-{name}{suffix}.xml", serialise(root)))
        return files


FORMAT = _Xccdf()


def serialise(root: etree._Element) -> bytes:
    return bytes(etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True))


def benchmark_id(baseline: ReportBaseline) -> str:
    return _id("benchmark", baseline.name)


def _id(kind: str, name: str) -> str:
    """Return an XCCDF 1.2 id: xccdf_NAMESPACE_KIND_NAME, an NCName."""
    if re.fullmatch(rf"xccdf_[A-Za-z0-9.-]+_{kind}_[A-Za-z0-9_.-]+", name):
        return name
    safe = "".join(c if re.fullmatch("[A-Za-z0-9.-]", c) else f"_{ord(c):x}_" for c in name)
    return f"xccdf_patchctl_{kind}_{safe or 'none'}"


def benchmark(report: Compliance, baseline: ReportBaseline) -> etree._Element:
    """Return the Benchmark element without results."""
    root = etree.Element(_tag("Benchmark"), nsmap={None: NS}, id=benchmark_id(baseline), resolved="1")
    _sub(root, "status", "accepted")
    _sub(root, "title", baseline.title or baseline.name)
    _sub(root, "description", f"{baseline.name} ({baseline.kind}) as patchctl read it from {baseline.source or '?'}.")
    _sub(root, "version", baseline.digest or "unknown", time=utc(report.at))
    for (name, _), rule in report.rules.items():
        if name == baseline.name:
            _rule(root, rule)
    return root


def _rule(root: etree._Element, rule: Rule) -> None:
    weight = f"{max(rule.weight, 0.0):g}" if "e" not in f"{rule.weight:g}" else "1"
    element = etree.SubElement(root, _tag("Rule"), id=_id("rule", rule.id), selected="true", weight=weight,
                               severity=SEVERITIES.get(rule.severity, "unknown"))  # fmt: skip
    _sub(element, "title", rule.title or rule.id)
    if rule.description:
        _sub(element, "description", rule.description)
    for text in rule.limits:
        _sub(element, "warning", text, category="functionality")
    if rule.rationale:
        _sub(element, "rationale", rule.rationale)
    _sub(element, "ident", rule.id, system=IDENT)
    for system, identifier in rule.references:
        _sub(element, "ident", identifier, system=f"urn:patchctl:reference:{re.sub('[^A-Za-z0-9._-]', '-', system)}")


def test_result(
    report: Compliance, baseline: ReportBaseline, host: ReportHost, number: int, *, standalone: bool
) -> etree._Element:
    """Return a host's TestResult; a standalone one names its benchmark."""
    ended = host.taken_at or report.at
    root = etree.Element(_tag("TestResult"), nsmap={None: NS}, id=_id("testresult", f"{report.run}-{number}"))
    root.set("start-time", utc(ended))
    root.set("end-time", utc(ended))
    root.set("test-system", f"patchctl {report.version}")
    if standalone:
        etree.SubElement(root, _tag("benchmark"), id=benchmark_id(baseline), href=f"#{benchmark_id(baseline)}")
    _sub(root, "title", f"{baseline.title or baseline.name} on {host.name}")
    score = report.score_of.get((host.name, baseline.name))
    if score is None or score.score is None:
        _sub(root, "remark", f"There is no score: {'nothing applied' if host.status == 'ok' else host.status}.")
    if host.message:
        _sub(root, "remark", f"{host.status}: {host.message}")
    _sub(root, "identity", report.actor or "unknown", authenticated="false", privileged="false")
    _sub(root, "target", host.name)
    found = {f.rule: f for f in report.by_pair.get((host.name, baseline.name), ())}
    for (name, _), rule in report.rules.items():
        if name == baseline.name:
            _rule_result(root, rule, found.get(rule.id), host, ended)
    model = score.model if score is not None else "default"
    value = score.score if score is not None and score.score is not None else 0.0
    _sub(root, "score", f"{value:.4f}", system=SYSTEM + model, maximum="100")
    return root


def _rule_result(root: etree._Element, rule: Rule, finding: Finding | None, host: ReportHost, at: float) -> None:
    severity = SEVERITIES.get(rule.severity, "unknown")
    element = etree.SubElement(root, _tag("rule-result"), idref=_id("rule", rule.id), time=utc(at), severity=severity)
    _sub(element, "result", RESULTS.get(finding.verdict, "unknown") if finding is not None else "unknown")
    _sub(element, "ident", rule.id, system=IDENT)
    if finding is None:
        _sub(element, "message", f"not judged: {host.status}: {host.message or 'no finding'}", severity="error")
        return
    if finding.waiver is not None:
        waiver = finding.waiver
        text = f"waived until {waiver.until} by {waiver.approver}: {waiver.reason}"
        _sub(element, "message", text, severity="warning")
    if finding.reason:
        _sub(element, "message", finding.reason, severity="info")
    for item in finding.items[:MESSAGES]:
        _sub(element, "message", f"{item.source}: expected {item.expected}, found {item.actual}", severity="info")


def _sub(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    element = etree.SubElement(parent, _tag(name), {k: strip_control(v) for k, v in attributes.items()})
    element.text = strip_control(text)


def _tag(name: str) -> str:
    return f"{{{NS}}}{name}"
