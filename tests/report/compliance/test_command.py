"""patchctl report compliance, as a user calls it: on a store with assessments in it, and on real hosts."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
from lxml import etree
from msgspec.structs import replace

from patchctl.assess.content.registry import kind_of
from patchctl.assess.contract import Request
from patchctl.cli.failure import report_failure
from patchctl.cli.main import main
from patchctl.model.assessment import FAIL, PASS, Finding
from patchctl.report.compliance.registry import all_formats
from patchctl.store.assessments import AssessedBaseline, Assessment, AssessmentRun
from patchctl.store.database import open_store
from tests.lab import Lab, LabHost
from tests.report.compliance.fleet import AT, WAIVER

POLICIES = Path(__file__).parents[2] / "assess" / "sca" / "policies"
SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"


def patchctl(folder: Path, *argv: str, code: int = 0) -> SimpleNamespace:
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        try:
            returned = main.main(list(argv), standalone_mode=False)
        except Exception as error:  # noqa: BLE001 - as the program's own last handler does
            returned = report_failure(error)
    found = returned if isinstance(returned, int) else 0
    assert found == code, (found, out.getvalue(), errors.getvalue())
    return SimpleNamespace(stdout=out.getvalue(), stderr=errors.getvalue())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two runs by a policy of which two hosts were judged and one was not reached."""
    (tmp_path / "baselines").mkdir()
    policy = tmp_path / "baselines" / "lab-v5.yml"
    shutil.copy(POLICIES / "lab-v5.yml", policy)
    made = kind_of(policy.name, policy.read_bytes()).compile(policy.read_bytes(), str(policy), Request("lab-v5"))
    with open_store(f"sqlite:///{tmp_path}/.patchctl/state.db") as store:
        for number, verdict in enumerate((FAIL, PASS)):
            used = AssessedBaseline("lab-v5", made.digest, "sca", "lab-v5", made.title)
            run = AssessmentRun(f"run-{number}", AT + number * 86400, "jane", "live", (used,))
            store.assessments.save_run(run)
            rows = []
            for host in ("web01", "web02", "web03"):
                found = [Finding(host, "lab-v5", r.id, verdict, r.title, waiver=WAIVER if r.id == "2002" else None)
                         for r in made.rules]  # fmt: skip
                counts = Counter(f.verdict for f in found)
                score = 100.0 if verdict == PASS else 0.0
                row = Assessment(run.run, host, "lab-v5", run.at, made.digest, "ok", run.at, None, counts, score)
                if host == "web03":
                    row, found = replace(row, status="unreachable", taken_at=None, counts={}, score=None), []
                rows.append((row, found))
            store.assessments.save(rows)
    return tmp_path


def check_schema(name: str, data: object) -> None:
    jsonschema.validate(data, json.loads((SCHEMAS / f"{name}.json").read_bytes()), cls=jsonschema.Draft202012Validator)


def test_every_format_is_written_and_named(project: Path) -> None:
    names = [f.name for f in all_formats()]
    done = patchctl(project, "report", "compliance", "--format", ",".join(names), "-o", "json")
    data = json.loads(done.stdout)
    check_schema("compliance-files", data)
    assert data["run"] == "run-1"
    assert data["notes"] == []
    assert {f["format"] for f in data["files"]} == set(names)
    for file in data["files"]:
        assert (project / file["path"]).stat().st_size > 100
    report = json.loads((project / "reports" / "run-1" / "compliance.json").read_bytes())
    check_schema("compliance", report)
    assert [(t["run"], t["score"]) for t in report["trends"]] == [("run-0", 0.0), ("run-1", 100.0)]
    assert [h["status"] for h in report["hosts"]] == ["ok", "ok", "unreachable"]
    assert report["rules"][0]["references"][0] == {"system": "pci_dss", "id": "2.2.4"}, "texts come from the baseline"
    assert 'class="c0"' in (project / "reports" / "run-1" / "compliance.html").read_text(), "the trend is drawn"


def test_a_named_run_a_folder_and_standard_output(project: Path) -> None:
    patchctl(project, "report", "compliance", "run-0", "--format", "csv", "--out", "out", "-q")
    rows = list(csv.DictReader((project / "out" / "run-0" / "compliance.csv").open()))
    assert {r["verdict"] for r in rows if r["host"] != "web03"} == {FAIL}
    assert [r["verdict"] for r in rows if r["host"] == "web03"] == ["UNKNOWN"]
    shown = patchctl(project, "report", "compliance", "--format", "arf", "--stdout").stdout
    assert len(list(etree.fromstring(shown.encode()).iter("{*}TestResult"))) == 3
    assert not (project / "reports").exists(), "nothing else was written"
    both = patchctl(project, "report", "compliance", "--format", "arf,csv", "--stdout", code=2)
    assert "do not fit into one stream" in both.stderr


def test_what_cannot_be_written_says_why(project: Path, tmp_path: Path) -> None:
    assert "no report format 'pdf'" in patchctl(project, "report", "compliance", "--format", "pdf", code=2).stderr
    assert "no assessment run-9" in patchctl(project, "report", "compliance", "run-9", code=2).stderr
    assert "no report format" in patchctl(project, "report", "compliance", "--format", ",", code=2).stderr


def test_a_changed_or_missing_baseline_is_told(project: Path) -> None:
    policy = project / "baselines" / "lab-v5.yml"
    policy.write_text(policy.read_text() + "# changed\n")
    assert "has changed since" in patchctl(project, "report", "compliance").stdout
    policy.unlink()
    done = patchctl(project, "report", "compliance", "--format", "json")
    assert "could not be read again" in done.stdout
    report = json.loads((project / "reports" / "run-1" / "compliance.json").read_bytes())
    assert len(report["findings"]) == 16
    assert report["rules"][0]["title"] == "sshd_config is there", "from the findings"


def test_help_names_every_format(project: Path) -> None:
    text = patchctl(project, "report", "compliance", "--help").stdout
    assert all(f.name in text for f in all_formats())
    page = (SCHEMAS.parent / "reference" / "compliance-reports.md").read_text()
    assert all(f"| `{f.name}` |" in page for f in all_formats())


@pytest.mark.lab
def test_from_hosts_to_a_report(lab: Lab, tmp_path: Path) -> None:
    """Assess a real host and one that is down by a policy of each dialect, then write every format."""
    hosts: list[LabHost] = lab.up(2)
    for name in ("inventories", "baselines", ".patchctl"):
        (tmp_path / name).mkdir()
    for name in ("lab-v4.yml", "lab-v5.yml"):
        shutil.copy(POLICIES / name, tmp_path / "baselines")
    (tmp_path / "inventories/lab.yaml").write_text(lab.inventory_yaml(hosts, "ops"))
    shutil.copy(lab.known_hosts, tmp_path / ".patchctl/known_hosts")
    hosts[1].power_off()
    try:
        patchctl(tmp_path, "assess", "--baseline", "lab-v4", "--baseline", "lab-v5", "-q", code=4)
        names = ",".join(f.name for f in all_formats())
        data = json.loads(patchctl(tmp_path, "report", "compliance", "--format", names, "-o", "json").stdout)
    finally:
        lab.down(*hosts)
    report = json.loads((tmp_path / "reports" / data["run"] / "compliance.json").read_bytes())
    check_schema("compliance", report)
    verdicts = {(f["rule"], f["verdict"]) for f in report["findings"]}
    assert {("1001", "PASS"), ("1002", "NOT_APPLICABLE"), ("1012", "NOT_CHECKED"), ("2008", "FAIL")} <= verdicts
    assert "UNKNOWN" not in {v for _, v in verdicts}
    assert {h["host"]: h["status"] == "ok" for h in report["hosts"]} == {hosts[0].name: True, hosts[1].name: False}
