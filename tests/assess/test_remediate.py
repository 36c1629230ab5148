"""What `remediate` plans: which findings, which not and why, what each fix would change. Nothing is changed here."""

from __future__ import annotations

import json
import os
import textwrap

import click
import jsonschema
import pytest

from patchctl.model.assessment import FAIL, PASS
from patchctl.model.plan import REMEDIATE
from patchctl.usecases.fixes import planned_baselines
from patchctl.usecases.plan import load_plan_file
from tests.assess.native_lab import ROOT
from tests.assess.test_waivers import LATER, waiver

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="asks this machine as root")


def house(project):
    """Write a baseline over files of the test's own folder."""
    folder = project.folder
    (folder / "open").write_text("x\n")
    (folder / "open").chmod(0o666)
    (folder / "lines").write_text("old 1\n")
    text = f"""
        baseline: house
        rules:
          - id: shut
            title: It is not open
            severity: high
            check: {{file: {{path: {folder}/open, mode: "0644"}}}}
            remediation: declarative
          - id: line
            title: The line is there
            severity: low
            check: {{file: {{path: {folder}/lines, line: new 2}}}}
            remediation: declarative
          - id: scripted
            title: It was made
            severity: medium
            check: {{file: {{path: {folder}/made}}}}
            remediation: {{script: "touch {folder}/made", files: ["{folder}/made"]}}
          - id: judged
            title: Somebody looked
            description: Go and look.
            severity: low
            check: {{file: {{path: {folder}/looked}}}}
          - id: right
            title: It is there
            check: {{file: {{path: {folder}/open}}}}
        """
    (folder / "baselines" / "house.yaml").write_text(textwrap.dedent(text))


def planned(project, *words):
    document = project.json("remediate", "--baseline", "house", "--limit", "here", "--check", *words)
    schema = json.loads((ROOT / "docs/schemas/remediate.json").read_text())
    jsonschema.validate(document, schema)
    (host,) = document["hosts"]
    return {fix["rule"]: fix for fix in host["fixes"]}, {left["finding"]: left for left in host["left"]}


def test_what_each_fix_changes_is_shown_and_nothing_is_changed(project):
    house(project)
    before = sorted((p, p.stat().st_mtime_ns) for p in project.folder.rglob("*"))
    fixes, left = planned(project)
    assert sorted((p, p.stat().st_mtime_ns) for p in project.folder.rglob("*")) == before
    assert fixes.keys() == {"shut", "line", "scripted"}
    assert fixes["shut"]["diff"] == [f"mode 0666 -> 0644  {project.folder}/open"]
    assert fixes["line"]["diff"][0] == f"--- {project.folder}/lines" and fixes["line"]["diff"][-1] == "+new 2"
    assert fixes["scripted"]["diff"] == [] and "cannot be foretold" in fixes["scripted"]["diff_unknown"]
    assert left.keys() == {"house/judged"} and left["house/judged"]["state"] == "by-hand"
    assert "Go and look." in left["house/judged"]["reason"]
    assert project.run("remediate", "--baseline", "house", "--limit", "here", "--check") == 0
    assert f"| touch {project.folder}/made" in project.said and "BY HAND: not repaired here" in project.said


def test_rules_are_chosen_by_id_pattern_and_severity(project):
    house(project)
    assert planned(project, "--rule", "shut")[0].keys() == {"shut"}
    assert planned(project, "--rule", "s*")[0].keys() == {"shut", "scripted"}
    assert planned(project, "--severity", "medium")[0].keys() == {"shut", "scripted"}
    fixes, left = planned(project, "--rule", "right")
    assert not fixes and {one["state"] for one in left.values()} == {"not-chosen"}
    assert project.run("remediate", "--baseline", "house", "--rule", "shud", "--check") == 2
    assert "did you mean shut?" in project.said


def test_waived_findings_are_shown_and_left_alone(project):
    house(project)
    project.waivers(waiver(rule="shut", hosts="here"))
    fixes, left = planned(project)
    assert fixes.keys() == {"line", "scripted"}
    assert left["house/shut"]["state"] == "waived" and LATER in left["house/shut"]["reason"]


def test_waived_findings_are_repaired_only_when_that_is_asked_for(project):
    house(project)
    project.waivers(waiver(rule="shut", hosts="here"))
    fixes, left = planned(project, "--include-waived")
    assert fixes.keys() == {"shut", "line", "scripted"} and "house/shut" not in left
    assert LATER in fixes["shut"]["waived"] and fixes["line"]["waived"] is None
    words = ("remediate", "--baseline", "house", "--limit", "here", "--check", "--include-waived")
    assert project.run(*words) == 0
    assert f"note: waived until {LATER}" in project.said and "as asked for" in project.said
    assert planned(project, "--include-waived", "--rule", "line")[0].keys() == {"line"}, "only what was chosen"


def test_how_long_a_host_waits_for_a_login_goes_with_the_plan(project):
    house(project)
    out = project.folder / "plan.json"
    words = ("remediate", "--baseline", "house", "--limit", "here", "--out", str(out))
    assert project.run(*words) == 0
    assert load_plan_file(out).limits.confirm == 180
    (project.folder / "policies").mkdir(exist_ok=True)
    (project.folder / "policies" / "slow.yaml").write_text(
        "policy: slow\nrings: [{name: all}]\nlimits: {confirm: 10m}\n")
    assert project.run(*words, "--policy", "slow") == 0
    assert load_plan_file(out).limits.confirm == 600
    assert project.run(*words, "--policy", "slow", "--confirm-within", "45s") == 0
    assert load_plan_file(out).limits.confirm == 45
    for bad in ("29s", "61m", "5"):
        with pytest.raises(click.UsageError, match="--confirm-within"):
            project.run(*words, "--confirm-within", bad)


def test_nothing_to_repair_and_nobody_to_confirm(project):
    house(project)
    assert project.run("remediate", "--baseline", "house", "--limit", "here", "--rule", "right", "--yes") == 0
    assert "Nothing to repair on 1 hosts" in project.said
    assert project.run("remediate", "--baseline", "house", "--limit", "here") == 7, "nobody is there to confirm"
    assert "mode 0666 -> 0644" in project.warned, "what is to be confirmed is shown"
    assert (project.folder / "open").stat().st_mode & 0o777 == 0o666
    assert project.run("rollout", "status") == 2, "no rollout was made"


def test_a_plan_judges_by_what_it_was_made_from(project):
    house(project)
    out = project.folder / "plan.json"
    assert project.run("remediate", "--baseline", "house", "--limit", "here", "--out", str(out)) == 0
    plan = load_plan_file(out)
    assert plan.kind == REMEDIATE and plan.rollout.endswith("-fix-house")
    assert "Next: patchctl apply" in project.said
    (project.folder / "baselines" / "house.yaml").unlink()  # the plan needs it no more
    (baseline,) = planned_baselines(plan)
    assert [rule.id for rule in baseline.rules] == ["shut", "line", "scripted", "judged", "right"]
    assert {fix.was for fix in plan.hosts["here"].fixes} == {FAIL} and PASS != FAIL
    assert project.run("apply", str(out), "--check") == 0
    assert "house/shut" in project.said and "package" not in project.said


def test_scripts_of_content_are_used_only_when_asked_for(project):
    rule = {"id": "bad", "command": "echo no", "expect": "yes", "fix": "touch /nowhere/x"}
    project.baseline("content", rule)
    words = ("remediate", "--baseline", "content", "--limit", "here", "--check")
    host = project.json(*words)["hosts"][0]
    assert not host["fixes"] and [one["state"] for one in host["left"]] == ["by-hand"]
    host = project.json(*words, "--content-fixes")["hosts"][0]
    (fix,) = host["fixes"]
    assert fix["rule"] == "bad" and "cannot be foretold" in fix["diff_unknown"]


def test_recorded_findings_show_no_differences(project):
    house(project)
    project.run("assess", "--baseline", "house", "--limit", "here")
    fixes, _ = planned(project, "--from-snapshot")
    assert fixes["shut"]["diff"] == [] and "planned from records" in fixes["shut"]["diff_unknown"]
