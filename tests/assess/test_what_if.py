"""What another baseline would say of hosts as they are recorded; no host is touched."""

from __future__ import annotations

from tests.assess.test_assess import BAD, GOOD


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
