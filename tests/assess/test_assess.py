"""What `patchctl assess` promises: unknown is never good news, and nothing that applied to nobody is a success."""

from __future__ import annotations

import json
import os
import stat
from xml.etree import ElementTree as ET

import jsonschema

from tests.assess import fakes
from tests.cli.test_output_schemas import SCHEMAS

GOOD = {"id": "good", "title": "Says yes", "command": "echo yes", "expect": "yes"}
BAD = {"id": "bad", "title": "Says no", "severity": "high", "command": "echo no", "expect": "yes"}
FLOOD = {"id": "flood", "command": "yes | head -c 5000000", "expect": ""}
ELSEWHERE = {"id": "elsewhere", "command": "echo yes", "when": "false", "expect": "yes"}


def test_a_compliant_fleet_exits_0_and_fits_the_schema(project):
    project.baseline("small", GOOD)
    document = project.json("assess", "--baseline", "small")
    assert project.code == 0
    jsonschema.validate(document, json.loads((SCHEMAS / "assess.json").read_text()))
    assert [r["verdict"] for r in document["results"]] == ["PASS", "PASS"]
    assert document["results"][0]["evidence"]["items"][0]["actual"] == "yes"
    assert [s["score"] for s in document["scores"]] == [100.0, 100.0]
    assert document["summary"]["round_trips"] == 1
    assert {g["group"]: g["score"] for g in document["groups"]} == {"all": 100.0, "web": 100.0}


def test_findings_exit_3_and_failures_stand_first(project):
    project.baseline("small", GOOD, BAD)
    assert project.run("assess", "--baseline", "small") == 3
    assert all(len(line) <= 80 for line in project.said.splitlines()), project.said
    assert "50.0" in project.said
    assert "FAIL    high     bad" in project.said
    assert "on here, there" in project.said
    document = project.json("assess", "--baseline", "small")
    assert [r["rule"] for r in document["results"]] == ["bad", "bad", "good", "good"]
    for fmt in ("wide", "csv", "jsonl", "markdown", "yaml"):
        assert project.run("assess", "--baseline", "small", "-o", fmt) == 3
        assert "bad" in project.said


def test_what_could_not_be_collected_is_unknown_and_no_success(project):
    project.baseline("small", GOOD, FLOOD)
    document = project.json("assess", "--baseline", "small", "--limit", "here")
    assert project.code == 3
    (found,) = [r for r in document["results"] if r["rule"] == "flood"]
    assert found["verdict"] == "UNKNOWN"
    assert found["reason"]
    assert document["scores"][0]["score"] == 50.0


def test_where_nothing_applied_the_exit_code_is_2(project):
    project.baseline("small", ELSEWHERE)
    assert project.run("assess", "--baseline", "small") == 2
    assert "nothing in small applies to here, there" in project.warned
    assert "n/a" in project.said
    assert project.run("assess", "--baseline", "small", "--fail-on", "never", "-q") == 2


def test_a_baseline_of_another_platform_is_warned_about_and_never_compliant(project):
    project.baseline("windows", GOOD, shell="powershell")
    document = project.json("assess", "--baseline", "windows")
    assert project.code == 2
    assert {r["verdict"] for r in document["results"]} == {"NOT_APPLICABLE"}
    assert document["scores"][0]["score"] is None
    project.baseline("small", GOOD)
    assert project.run("assess", "--baseline", "windows", "--baseline", "small") == 0
    assert "nothing in windows applies" in project.warned


def test_a_quiet_night_prints_nothing(project):
    project.baseline("small", GOOD)
    project.run("assess", "--baseline", "small")
    assert project.run("assess", "--baseline", "small", "--quiet") == 0
    assert project.said == project.warned == ""


def test_fail_on_new_is_about_what_was_not_there_last_time(project):
    project.baseline("small", GOOD, BAD)
    assert project.run("assess", "--baseline", "small", "--fail-on", "new") == 3
    assert project.run("assess", "--baseline", "small", "--fail-on", "new", "-q") == 0
    assert project.said == ""
    flag = project.folder / "flag"
    project.baseline("small", GOOD, BAD, {"id": "more", "command": f"test -e {flag} && echo set", "expect": ""})
    assert project.run("assess", "--baseline", "small", "--fail-on", "new", "-q") == 0
    flag.touch()
    assert project.run("assess", "--baseline", "small", "--fail-on", "new", "-q") == 3
    assert project.run("assess", "--baseline", "small", "--fail-on", "never", "-q") == 0


def test_hosts_that_are_away_exit_4_and_have_no_score(project):
    (project.folder / "inventories" / "hosts.yaml").write_text(
        "hosts: {here: {connection: local}, gone: {connection: fake}}\n"
    )
    project.baseline("small", GOOD)
    document = project.json("assess", "--baseline", "small")
    assert project.code == 4
    assert {h["host"]: h["status"] for h in document["hosts"]} == {"here": "ok", "gone": "unreachable"}
    assert {s["host"]: s["score"] for s in document["scores"]} == {"here": 100.0, "gone": None}
    assert project.run("assess", "--baseline", "small", "--limit", "gone", "--fail-on", "never") == 4
    project.run("assess", "--baseline", "small")
    assert project.run("assess", "--baseline", "small", "--fail-on", "new", "-q") == 0


def test_follow_ups_are_asked_and_counted(project):
    second = {"id": "two", "command": "echo first", "follow": "echo second", "expect": "second"}
    project.baseline("small", GOOD, second)
    document = project.json("assess", "--baseline", "small", "--limit", "here")
    assert project.code == 0
    assert document["summary"]["round_trips"] == 2


def test_names_files_and_near_misses(project):
    path = project.baseline("small", GOOD)
    assert project.run("assess", "--baseline", str(path), "-q") == 0
    assert project.run("assess", "--baseline", "smal") == 2
    assert "did you mean small?" in project.said
    assert project.run("assess", "--baseline", "small", "--baseline", str(path)) == 2
    (project.folder / "baselines" / "odd.yaml").write_text("[]")
    assert project.run("assess", "--baseline", "odd") == 2


def test_content_is_compiled_once_and_a_planted_cache_is_not_believed(project):
    project.baseline("small", GOOD)
    project.run("assess", "--baseline", "small")
    before = fakes.FakeKind.compiled
    project.run("assess", "--baseline", "small")
    assert fakes.FakeKind.compiled == before
    folder = project.folder / "cache" / "patchctl" / "baselines"
    (file,) = folder.glob("*.compiled")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    def recompiles() -> bool:
        count = fakes.FakeKind.compiled
        assert project.run("assess", "--baseline", "small", "-q") == 0
        return fakes.FakeKind.compiled == count + 1

    trap = project.folder / "trapped"
    evil = f"cposix\nsystem\n(S'touch {trap}'\ntR.".encode()
    file.write_bytes(file.read_bytes()[:32] + evil)
    assert recompiles(), "the hash does not fit"
    file.chmod(0o666)
    assert recompiles(), "others may have written it"
    folder.chmod(0o777)
    assert recompiles(), "others may have put it there"
    folder.chmod(0o700)
    if os.geteuid() == 0:
        project.run("assess", "--baseline", "small", "-q")
        os.chown(file, 65534, 65534)
        assert recompiles(), "it belongs to somebody else"
    assert not trap.exists()


def test_check_touches_no_host_and_writes_nothing(project):
    project.baseline("small", GOOD)
    before = sorted(project.folder.rglob("*"))
    assert project.run("assess", "--baseline", "small", "--check") == 0
    assert "2 hosts would be visited" in project.said
    assert sorted(project.folder.rglob("*")) == before


def test_recorded_snapshots_are_judged_again_without_touching_hosts(project):
    flag = project.folder / "flag"
    rule = {"id": "flag", "command": f"test -e {flag}; echo $?", "expect": "0"}
    project.baseline("small", rule)
    assert project.run("assess", "--baseline", "small") == 3
    run = json.loads((project.run("assess", "--baseline", "small", "-o", "json"), project.said)[1])["summary"]["run"]
    flag.touch()
    assert project.run("assess", "--baseline", "small", "--from-snapshot", run) == 3
    assert project.run("assess", "--baseline", "small") == 0
    assert project.run("assess", "--baseline", "small", "--from-snapshot") == 0
    assert project.run("assess", "--baseline", "small", "--from-snapshot", run) == 3
    flag.unlink()
    assert project.run("assess", "--baseline", "small", "--from-snapshot") == 0
    assert project.run("assess", "--baseline", "small", "--from-snapshot", "2020-01-01") == 4
    assert project.run("assess", "--baseline", "small", "--from-snapshot", "nonsense") == 2
    project.baseline("other", {"id": "new", "command": "echo never asked", "expect": "never asked"})
    document = project.json("assess", "--baseline", "other", "--from-snapshot")
    assert project.code == 3
    assert {(r["verdict"], r["reason"]) for r in document["results"]} == {("UNKNOWN", "not collected")}


def test_findings_as_sarif_and_junit_for_ci(project):
    project.baseline("small", GOOD, BAD, FLOOD)
    assert project.run("assess", "--baseline", "small", "-o", "sarif") == 3
    (run,) = json.loads(project.said)["runs"]
    kinds = {(r["ruleId"], r["kind"]) for r in run["results"]}
    assert kinds == {("small/good", "pass"), ("small/bad", "fail"), ("small/flood", "open")}
    assert project.run("assess", "--baseline", "small", "--from-snapshot", "-o", "junit") == 3
    suites = ET.fromstring(project.said)
    assert [(suites.get(name)) for name in ("tests", "failures", "errors")] == ["6", "2", "2"]
    project.baseline("fine", GOOD)
    assert project.run("assess", "--baseline", "fine", "-o", "sarif") == 0
    assert json.loads(project.said)["runs"]
    assert project.run("assess", "--baseline", "fine", "-o", "junit", "-q") == 0
    assert project.said == ""


def test_mistakes_are_told_with_what_to_do(project):
    (project.folder / "baselines" / "own.yaml").write_text(json.dumps({"baseline": "own", "rules": [
        {"id": "r", "title": "t", "check": {"command": {"run": "true", "exit": 0}}}]}))  # fmt: skip
    assert project.run("assess", "--baseline", "own#level1") == 2
    assert "no-profiles" in project.said
    tailoring = project.folder / "tailoring.xml"
    tailoring.touch()
    assert project.run("assess", "--baseline", "own", "--tailoring", str(tailoring)) == 2
    assert "it tailors nothing" in project.said
    tailoring.write_text("<Tailoring/>")
    assert project.run("assess", "--baseline", "own", "--tailoring", str(tailoring)) == 2
    assert "--set NAME=VALUE" in project.said
    (project.folder / "inventories" / "hosts.yaml").write_text("{}\n")
    assert project.run("assess", "--baseline", "own") == 2
    assert "there is no host in the inventory" in project.said
    assert "inventories" in project.said
