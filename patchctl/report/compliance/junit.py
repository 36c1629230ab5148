"""The report as JUnit XML, for CI: one suite for each host and baseline, one test for each rule.

FAIL is a failure; ERROR, UNKNOWN and hosts that were not reached are errors; what does not apply, was not checked or is
waived is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from patchctl.model.assessment import ERROR, FAIL, UNKNOWN, Finding
from patchctl.model.text import strip_control
from patchctl.report.compliance.values import BAD, GOOD, Compliance, ReportFile, utc


class _JUnit:
    name = "junit"
    title = "test results, for CI"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        root = etree.Element("testsuites", name="patchctl compliance")
        for host in report.hosts:
            for baseline in report.baselines:
                found = report.by_pair.get((host.name, baseline.name), ())
                suite = etree.SubElement(root, "testsuite", name=_text(f"{host.name} {baseline.name}"),
                                         hostname=_text(host.name), timestamp=utc(report.at).rstrip("Z"))  # fmt: skip
                for finding in found:
                    _case(suite, finding)
                if not found:
                    case = etree.SubElement(suite, "testcase", classname=_text(baseline.name), name="reached")
                    etree.SubElement(case, "error", message=_text(f"{host.status}: {host.message}"), type=UNKNOWN)
                _count(suite)
        _count(root)
        return [ReportFile("compliance.junit.xml", etree.tostring(root, xml_declaration=True, encoding="UTF-8",
                                                                  pretty_print=True))]  # fmt: skip


FORMAT = _JUnit()


def _case(suite: etree._Element, finding: Finding) -> None:
    case = etree.SubElement(suite, "testcase", classname=_text(finding.baseline),
                            name=_text(f"{finding.rule} {finding.title}".strip()))  # fmt: skip
    if finding.verdict in GOOD:
        return
    waiver = finding.waiver
    if finding.verdict in BAD and waiver is not None:
        why = f"{finding.verdict}, waived until {waiver.until} by {waiver.approver}: {waiver.reason}"
        etree.SubElement(case, "skipped", message=_text(why))
        return
    kind = {FAIL: "failure", ERROR: "error", UNKNOWN: "error"}.get(finding.verdict, "skipped")
    message = finding.reason or (f"expected {finding.expected}, found {finding.actual}" if finding.expected else "")
    made = etree.SubElement(case, kind, message=_text(f"{finding.verdict}: {message}" if message else finding.verdict))
    if kind != "skipped":
        made.set("type", finding.verdict)
        made.text = _text("\n".join(f"{i.source}: expected {i.expected}, found {i.actual}" for i in finding.items))


def _count(suite: etree._Element) -> None:
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(len(suite.findall(f".//{tag}"))))


def _text(text: str) -> str:
    return strip_control(text)
