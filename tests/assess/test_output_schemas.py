"""What drift, --what-if, baseline, snapshot and history print fits the schemas under docs/schemas/, key for key."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.assess.test_assess import BAD, FLOOD, GOOD
from tests.assess.test_waivers import waiver
from tests.cli.test_output_schemas import SCHEMAS

SHIPPED = Path(__file__).resolve().parents[2] / "baselines"


def closed(node: Any) -> Any:
    """Return the schema with every listed object closed: a key that no schema tells of is an error here."""
    if isinstance(node, dict):
        inner = {key: closed(value) for key, value in node.items()}
        return {**inner, "additionalProperties": False} if "properties" in node and "$schema" not in node else inner
    return [closed(item) for item in node] if isinstance(node, list) else node


def fits(document: dict[str, Any]) -> dict[str, Any]:
    name = document["schema"].split("/")[1]
    jsonschema.validate(document, closed(json.loads((SCHEMAS / f"{name}.json").read_text())))
    return document


def test_drift_of_every_cause(project):
    flag = project.folder / "flag"
    flag.touch()
    asked = {"id": "flag", "command": f"test -e {flag}; echo $?", "expect": "0"}
    project.baseline("small", GOOD, asked)
    project.run("assess", "--baseline", "small")
    flag.unlink()
    project.baseline("small", {**GOOD, "expect": "no"}, asked, FLOOD)
    project.run("assess", "--baseline", "small", "--limit", "here")
    events = fits(project.json("drift"))["events"]
    assert {(e["change"], e["cause"]) for e in events} >= {("broke", "host"), ("broke", "content")}
    assert project.code == 4, "there was assessed once"
    project.run("snapshot", "tag", "golden", "--reason", "x")
    fits(project.json("drift", "--against", "golden"))
    fits(project.json("drift", "--against", "peers"))


def test_what_if_with_hosts_never_seen_and_waivers(project):
    project.baseline("old", GOOD)
    project.baseline("new", {**GOOD, "expect": "no"}, BAD, {**BAD, "id": "more", "command": "echo more"})
    project.waivers(waiver(rule="good"))
    project.run("assess", "--baseline", "old", "--limit", "here")
    fits(project.json("assess", "--baseline", "old", "--what-if", "new"))
    fits(project.json("assess", "--baseline", "old", "--check"))


def test_baseline_and_snapshot_commands(project):
    project.baseline("small", GOOD, {**BAD, "fix": "true", "files": ["/etc/x"], "groups": ["a"]})
    shutil.copy(SHIPPED / "ssh-server.yaml", project.folder / "baselines")
    assert len(fits(project.json("baseline", "list"))["baselines"]) == 1 + len(list(SHIPPED.glob("*.yaml")))
    fits(project.json("baseline", "profiles", "ssh-server"))
    for name in ("small", "ssh-server"):
        assert fits(project.json("baseline", "show", name))["rules"]
    assert fits(project.json("baseline", "test", "ssh-server"))["cases"]
    assert fits(project.json("baseline", "explain", "bad", "--baseline", "small"))["lines"]
    project.run("assess", "--baseline", "small", "--limit", "here")
    explained = fits(project.json("baseline", "explain", "bad", "--baseline", "small", "--host", "here"))
    assert explained["taken_at"]
    tagged = fits(project.json("snapshot", "tag", "golden", "--reason", "as built"))
    assert project.code == 4
    assert ([h["host"] for h in tagged["hosts"]], tagged["never_assessed"]) == (["here"], ["there"])
    assert fits(project.json("snapshot", "list"))["tags"]


def test_history_lists_what_assessments_came_to(project):
    project.baseline("small", GOOD, BAD)
    for _ in range(3):
        project.run("assess", "--baseline", "small", "--limit", "here")
    project.baseline("small", GOOD)
    project.run("assess", "--baseline", "small", "--limit", "here")
    found = [e for e in fits(project.json("history", "here"))["history"] if e["kind"] == "assessment"]
    assert [(e["assessment"]["score"], e["same"]) for e in found] == [
        (50.0, False), (50.0, True), (50.0, True), (100.0, False)]
    assert found[0]["what"] == "assessed by small: score 50.0, 1 FAIL"
    project.run("history", "here")
    assert project.said.count("score 50.0, 1 FAIL") == 1
    assert "2 assessments that came out as the one before are left out" in project.said
    project.run("history", "here", "-o", "wide")
    assert project.said.count("score 50.0, 1 FAIL") == 3


def test_history_tells_of_a_host_that_was_never_reached(project):
    (project.folder / "inventories" / "hosts.yaml").write_text("hosts: {gone: {connection: fake}}\n")
    project.baseline("small", GOOD)
    assert project.run("assess", "--baseline", "small") == 4
    assert project.run("history", "gone") == 0
    assert "could not be assessed by small: unreachable" in project.said


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda p: p.stem)
def test_published_schemas_are_schemas(path):
    jsonschema.Draft202012Validator.check_schema(json.loads(path.read_text()))
