"""What another baseline would say of hosts as they are recorded; no host is touched."""

from __future__ import annotations

from tests.assess.test_assess import BAD, GOOD
from tests.assess.test_waivers import BEFORE, LATER, waiver


def test_hosts_that_would_newly_fail_or_pass(project):
    flag = project.folder / "flag"
    flag.touch()
    asked = {"id": "flag", "command": f"test -e {flag}; echo $?", "expect": "0"}
    project.baseline("old", GOOD, BAD, asked)
    project.run("assess", "--baseline", "old", "--limit", "here")
    flag.unlink()
    stricter = [{**GOOD, "expect": "no"}, {**BAD, "expect": "no"}, asked, {**BAD, "id": "more", "command": "echo new"}]
    project.baseline("new", *stricter)
    found = project.json("assess", "--baseline", "old", "--what-if", "new", "--limit", "here")
    assert project.code == 3
    (host,) = found["hosts"]
    assert [r["rule"] for r in host["newly_fails"]] == ["good"], "what is there now is not looked at"
    assert [r["rule"] for r in host["newly_passes"]] == ["bad"]
    assert [(r["rule"], r["reason"]) for r in host["newly_unknown"]] == [("more", "not collected")]
    assert project.run("assess", "--baseline", "old", "--what-if", "new") == 4, "there was never looked at"
    assert "FAIL    good  on here" in project.said
    assert project.run("assess", "--baseline", "old", "--what-if", "old", "--limit", "here", "-q") == 0
    assert project.said == ""


def test_waived_findings_are_shown_as_waived_and_give_no_3(project):
    project.baseline("old", GOOD)
    project.baseline("new", {**GOOD, "expect": "no"})
    project.run("assess", "--baseline", "old")
    words = ("assess", "--baseline", "old", "--what-if", "new")
    project.waivers(waiver(rule="good", hosts="here"))
    found = project.json(*words)
    assert project.code == 3, "there is not waived"
    waived = {h["host"]: h["newly_fails"][0]["waiver"] for h in found["hosts"]}
    assert (waived["here"]["reason"], waived["there"]) == ("CHG-1", None)
    assert (found["summary"]["newly_failing"], found["summary"]["waived"]) == (1, 1)
    project.waivers(waiver(rule="good"))
    assert project.run(*words) == 0
    assert "0 of 2 hosts would newly fail by new, 2 findings waived" in project.said
    assert f"FAIL    good (waived until {LATER})  on here, there" in project.said
    project.waivers(waiver(rule="good", until=BEFORE))
    assert project.run(*words) == 3, "the waiver has ended"
