"""The report as ARF 1.1 (NIST IR 7694): every host an asset, every TestResult a report about it, in one file."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lxml import etree

from patchctl.model.text import strip_control
from patchctl.report.compliance.values import Compliance, ReportFile, ReportHost
from patchctl.report.compliance.xccdf import benchmark, serialise, test_result

ARF = "http://scap.nist.gov/schema/asset-reporting-format/1.1"
CORE = "http://scap.nist.gov/schema/reporting-core/1.1"
AI = "http://scap.nist.gov/schema/asset-identification/1.1"
TERMS = "http://scap.nist.gov/specifications/arf/vocabulary/relationships/1.0#"
RESOURCE = "urn:patchctl:host"


class _Arf:
    name = "arf"
    title = "ARF 1.1, for SCAP tools: all hosts in one file"

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        root = etree.Element(f"{{{ARF}}}asset-report-collection", nsmap={"arf": ARF, "core": CORE, "ai": AI})
        relations = etree.SubElement(root, f"{{{CORE}}}relationships", nsmap={"arfvocab": TERMS})
        requests = etree.SubElement(root, f"{{{ARF}}}report-requests")
        assets = etree.SubElement(root, f"{{{ARF}}}assets")
        reports = etree.SubElement(root, f"{{{ARF}}}reports")
        for number, host in enumerate(report.hosts, 1):
            _asset(assets, host, number)
        for order, baseline in enumerate(report.baselines, 1):
            request = etree.SubElement(requests, f"{{{ARF}}}report-request", id=f"baseline{order}")
            etree.SubElement(request, f"{{{ARF}}}content").append(benchmark(report, baseline))
            for number, host in enumerate(report.hosts, 1):
                name = f"result{order}-{number}"
                made = etree.SubElement(reports, f"{{{ARF}}}report", id=name)
                content = etree.SubElement(made, f"{{{ARF}}}content")
                content.append(test_result(report, baseline, host, number, standalone=True))
                _relate(relations, "createdFor", name, f"baseline{order}")
                _relate(relations, "isAbout", name, f"asset{number}")
        return [ReportFile("compliance.arf.xml", serialise(root))]


FORMAT = _Arf()


def _asset(assets: etree._Element, host: ReportHost, number: int) -> None:
    asset = etree.SubElement(assets, f"{{{ARF}}}asset", id=f"asset{number}")
    device = etree.SubElement(asset, f"{{{AI}}}computing-device")
    name = strip_control(host.name)
    etree.SubElement(device, f"{{{AI}}}synthetic-id", resource=RESOURCE, id=name)
    if re.fullmatch(r"[A-Za-z0-9-]{1,63}", name):
        etree.SubElement(device, f"{{{AI}}}hostname").text = name


def _relate(relations: etree._Element, kind: str, subject: str, ref: str) -> None:
    relation = etree.SubElement(relations, f"{{{CORE}}}relationship", type=f"arfvocab:{kind}", subject=subject)
    etree.SubElement(relation, f"{{{CORE}}}ref").text = ref
