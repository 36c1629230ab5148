"""Every format found: nothing left out, verdicts as they are, hostile text harmless, valid by its schema."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from patchctl.model.assessment import VERDICTS
from patchctl.model.errors import UsageError
from patchctl.report.compliance.registry import Format, all_formats, format_named
from patchctl.report.compliance.values import BAD, Compliance
from patchctl.report.compliance.xccdf import NS, RESULTS
from tests.report.compliance.fleet import HOSTILE, fleet, hostile

SCHEMAS = Path("/usr/share/openscap/schemas")
XCCDF_XSD, ARF_XSD = SCHEMAS / "xccdf/1.2/xccdf_1.2.xsd", SCHEMAS / "arf/1.1/asset-reporting-format_1.1.0.xsd"
needs_schemas = pytest.mark.skipif(not XCCDF_XSD.exists(), reason="no SCAP schemas here (Debian: openscap-common)")
needs_oscap = pytest.mark.skipif(not shutil.which("oscap"), reason="no oscap here (Debian: openscap-scanner)")
X = f"{{{NS}}}"


@pytest.fixture(scope="module")
def report() -> Compliance:
    return hostile()


def text_of(name: str, report: Compliance) -> str:
    (file,) = format_named(name).render(report)
    return file.data.decode()


def xml_of(name: str, report: Compliance) -> etree._Element:
    (file,) = format_named(name).render(report)
    return etree.fromstring(file.data)


def test_all_formats_are_found() -> None:
    assert {f.name for f in all_formats()} >= {"arf", "csv", "html", "json", "junit", "ocsf", "sarif", "xccdf"}
    with pytest.raises(UsageError, match="no report format 'pdf'"):
        format_named("pdf")


@pytest.mark.parametrize("made", all_formats(), ids=lambda f: f.name)
def test_every_format_takes_hostile_text_and_names_its_files_itself(made: Format, report: Compliance) -> None:
    files = made.render(report)
    assert files
    assert len({f.name for f in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", file.name)
        text = file.data.decode()
        for char in ("\x1b", "\u202e", "\x00", "\x07"):
            assert char not in text, made.name
            assert f"\\u{ord(char):04x}" not in text, made.name
        for host in report.hosts:
            shown = (host.name, host.name.replace("'", "&#39;"), host.name.replace("'", "&apos;"))
            assert any(s in text for s in shown) or made.name == "ocsf", f"{made.name} leaves {host.name} out"
    assert [f.data for f in made.render(report)] == [f.data for f in files], "the same report, byte for byte"


@pytest.mark.parametrize("made", all_formats(), ids=lambda f: f.name)
def test_an_empty_run_is_a_report_too(made: Format) -> None:
    empty = Compliance("r", 0.0, "", 0.0, "0", (), (), (), ())
    assert all(isinstance(f.data, bytes) for f in made.render(empty))


# --- data


def test_json_has_everything(report: Compliance) -> None:
    data = json.loads(text_of("json", report))
    assert data["schema"] == "patchctl/compliance/1"
    assert [f["verdict"] for f in data["findings"][: len(VERDICTS)]] == list(VERDICTS)
    assert [s["score"] for s in data["scores"]] == [40.0, None, None]
    assert data["hosts"][1] == {
        "host": "db 02/'x'", "status": "unreachable", "message": data["hosts"][0]["message"], "taken_at": None,
    }  # fmt: skip
    assert sum(f["waiver"] is not None for f in data["findings"]) == 2


def test_csv_has_a_line_for_each_finding_and_no_formula(report: Compliance) -> None:
    rows = list(csv.DictReader(io.StringIO(text_of("csv", report))))
    assert len(rows) == len(report.findings) + 1, "and one for the host that was not reached"
    assert rows[-1]["host"] == "db 02/'x'"
    assert rows[-1]["verdict"] == "UNKNOWN"
    assert [r["verdict"] for r in rows[: len(VERDICTS)]] == list(VERDICTS)
    for row in rows:
        assert not any(cell[:1] in ("=", "+", "-", "@") for cell in row.values())
    evil = "=cmd|' /C calc'!A0"
    (first, *rest) = report.findings
    from msgspec.structs import replace

    again = replace(report, findings=(replace(first, actual=evil), *rest))
    assert next(csv.DictReader(io.StringIO(text_of("csv", again))))["actual"] == f"'{evil}"


def test_sarif_says_what_each_verdict_is(report: Compliance) -> None:
    (run,) = json.loads(text_of("sarif", report))["runs"]
    kinds = [r["kind"] for r in run["results"][: len(VERDICTS)]]
    assert kinds == ["pass", "fail", "open", "open", "notApplicable", "review", "review", "informational", "pass"]
    for result in run["results"]:
        assert (result["level"] == "none") == (result["kind"] != "fail"), "SARIF 2.1.0, 3.27.10"
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert run["results"][1]["suppressions"][0]["kind"] == "external"
    assert run["invocations"][0]["executionSuccessful"] is False
    assert "db 02/'x'" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    prints = [r["partialFingerprints"]["patchctl/v1"] for r in run["results"]]
    assert len(set(prints)) == len(prints)


def test_ocsf_has_what_the_class_requires(report: Compliance) -> None:
    events = [json.loads(line) for line in text_of("ocsf", report).splitlines()]
    assert len(events) == len(report.findings)
    required = {"activity_id", "category_uid", "class_uid", "type_uid", "time", "severity_id", "metadata",
                "finding_info", "compliance", "status_id"}  # fmt: skip
    for event in events:
        assert required <= event.keys()
        assert (event["class_uid"], event["category_uid"], event["type_uid"]) == (2003, 2, 200301)
        assert {"version", "product"} <= event["metadata"].keys()
        assert {"uid", "title"} <= event["finding_info"].keys()
    states = [(e["compliance"]["status_code"], e["compliance"]["status_id"]) for e in events[: len(VERDICTS)]]
    assert states == [(v, {"PASS": 1, "FIXED": 1, "FAIL": 3}.get(v, 0)) for v in VERDICTS], "unknown is never a pass"
    assert [e["status"] for e in events[:4]] == ["Resolved", "Suppressed", "New", "Suppressed"]
    assert "waived until" in events[1]["comment"]


def test_junit_fails_what_fails_and_shows_what_is_waived(report: Compliance) -> None:
    root = xml_of("junit", report)
    assert root.get("tests") == str(len(report.findings) + 1)
    outcomes = [next((child.tag for child in case), "passed") for case in root[0].iter("testcase")]
    assert outcomes == ["passed", "skipped", "error", "skipped", "skipped", "skipped", "skipped", "skipped", "passed"]
    assert "FAIL, waived until 2027-01-31" in root[0][1][0].get("message", "")
    assert root[1][0][0].tag == "error", "a host that was not reached is no success"
    assert (root.get("failures"), root.get("errors")) == ("0", "2")


# --- SCAP


@needs_schemas
@pytest.mark.parametrize("size", ["hostile", "fleet"])
def test_xccdf_is_valid_and_keeps_every_verdict(size: str) -> None:
    report = hostile() if size == "hostile" else fleet(12, 30)
    root = xml_of("xccdf", report)
    schema = etree.XMLSchema(etree.parse(str(XCCDF_XSD)))
    schema.assertValid(root)
    results = [r.findtext(f"{X}result") for r in root.iter(f"{X}rule-result")]
    away = sum(1 for h in report.hosts if h.status == "unreachable")
    counted = Counter(RESULTS[f.verdict] for f in report.findings)
    counted["unknown"] += away * len(report.baselines[0].rules)
    assert Counter(results) == counted
    assert len(list(root.iter(f"{X}TestResult"))) == len(report.hosts)


@needs_schemas
@needs_oscap
def test_arf_is_valid_by_schema_and_for_oscap(report: Compliance, tmp_path: Path) -> None:
    for number, one in enumerate((report, fleet(7, 20))):
        (file,) = format_named("arf").render(one)
        path = tmp_path / f"{number}.xml"
        path.write_bytes(file.data)
        schema = etree.XMLSchema(etree.parse(str(ARF_XSD)))
        schema.assertValid(etree.fromstring(file.data))
        done = subprocess.run(["oscap", "ds", "rds-validate", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        root = etree.fromstring(file.data)
        assets = {a.get("id") for a in root.iter("{*}asset")}
        about = [r for r in root.iter("{*}relationship") if r.get("type") == "arfvocab:isAbout"]
        assert len(about) == len(one.hosts)
        assert {r[0].text for r in about} == assets
    whole = tmp_path / "x.xml"
    whole.write_bytes(format_named("xccdf").render(report)[0].data)
    done = subprocess.run(["oscap", "xccdf", "validate", str(whole)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# --- HTML


def test_html_is_one_file_without_script_or_network(report: Compliance) -> None:
    text = text_of("html", report)
    assert "<script" not in text
    assert "alert(1)" in text, "shown as text"
    assert "{{7*7}}" in text
    assert not re.search(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert not re.search(r"\sstyle=|\son\w+=", text)
    assert "Content-Security-Policy" in text
    assert HOSTILE not in text


def test_html_never_shows_unknown_as_good(report: Compliance) -> None:
    text = text_of("html", report)
    assert "no score" in text
    for word in ("UNKNOWN", "waived until", "not reached", "unreachable"):
        assert word in text, word
    lone: Any = fleet(3, 5)
    assert "0 hosts were not reached" not in text_of("html", lone)


def test_the_heat_map_can_be_read_without_colours() -> None:
    """In print each kind that is not good has a place and height of its own in its row."""
    text = text_of("html", fleet(60, 40)) + text_of("html", hostile())
    shapes: dict[str, set[tuple[float, float]]] = {}
    for kind, y, height in re.findall(r'<path class="(\w+)" d="M[\d.]+ ([\d.]+)h[\d.-]+v([\d.]+)h', text):
        shapes.setdefault(kind, set()).add((round((float(y) - 26) % 13, 1), float(height)))
    assert set(shapes) >= {"bad", "untold", "waived", "away", "good"}
    told = [shapes[kind] for kind in ("bad", "untold", "waived", "away")]
    assert all(len(found) == 1 for found in told) and len(set.union(*told)) == 4, shapes


def test_the_heat_map_of_500_hosts_stays_small_and_complete() -> None:
    report = fleet(500, 200)
    text = text_of("html", report)
    assert len(text) < 6_000_000
    rows = [int(n) for n in re.findall(r'data-hosts="(\d+)"', text)]
    assert sum(rows) == 500, "every host is in the map, in a row of its own or with its equals"
    bad = {f.rule for f in report.findings if f.verdict in BAD}
    assert len(re.findall(r'data-column="', text)) == len(bad)
