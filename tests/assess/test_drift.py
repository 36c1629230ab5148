"""Drift: what changed on a host, apart from what only the baseline's change makes; and the host unlike the others."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.assess.drift import HOST, compare, compare_peers
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, PASS, UNKNOWN, Finding


def rule(path, name="flag", expect="0"):
    return {"id": name, "command": f"test -e {path}; echo $?", "expect": expect}


def test_drift_of_a_host_against_its_last_assessment(project):
    flag = project.folder / "flag"
    flag.touch()
    project.baseline("small", rule(flag))
    assert project.run("drift") == 2, "nothing was assessed yet"
    project.run("assess", "--baseline", "small", "--limit", "here")
    assert project.run("drift", "--limit", "here") == 4
    assert "assessed once only" in project.said
    assert "no drift" not in project.said and "nothing could be compared" in project.said
    project.run("assess", "--baseline", "small", "--limit", "here")
    assert project.run("drift", "--limit", "here", "--quiet") == 0
    assert project.said == ""
    flag.unlink()
    project.run("assess", "--baseline", "small", "--limit", "here")
    assert project.run("drift", "--limit", "here", "-o", "jsonl") == 3
    event, summary = (json.loads(line) for line in project.said.splitlines())
    assert (event["type"], event["change"], event["cause"]) == ("event", "broke", "host")
    assert (event["before"]["verdict"], event["after"]["actual"]) == ("PASS", "1")
    assert summary["compared"] == 1


def test_a_host_that_was_not_reached_is_told_and_its_old_drift_is_not_told_again(project):
    def fleet(there):
        hosts = {"here": {"connection": "local"}, "there": {"connection": there}}
        (project.folder / "inventories" / "hosts.yaml").write_text(json.dumps({"hosts": hosts}))

    flag = project.folder / "flag"
    flag.touch()
    project.baseline("small", rule(flag))
    fleet("local")
    project.run("assess", "--baseline", "small")
    flag.unlink()
    project.run("assess", "--baseline", "small")
    assert [e["host"] for e in project.json("drift")["events"]] == ["here", "there"]
    fleet("fake")
    project.run("assess", "--baseline", "small")
    for against in ("last", "peers"):
        found = project.json("drift", "--against", against)
        assert (project.code, found["events"]) == (4, [])
        assert found["not_compared"] == [
            {"host": "there", "reason": "not reached by the last assessment: unreachable"}]
    fleet("local")
    project.run("assess", "--baseline", "small")
    assert project.run("drift", "--quiet") == 0


def test_what_only_the_content_changed_is_no_drift(project):
    flag = project.folder / "flag"
    flag.touch()
    project.baseline("small", rule(flag))
    project.run("assess", "--baseline", "small", "--limit", "here")
    project.baseline("small", rule(flag, expect="1"))
    project.run("assess", "--baseline", "small", "--limit", "here")
    found = project.json("drift", "--limit", "here")
    assert project.code == 0
    assert [(e["change"], e["cause"]) for e in found["events"]] == [("broke", "content")]
    flag.unlink()
    project.baseline("small", rule(flag, expect="2"))
    project.run("assess", "--baseline", "small", "--limit", "here")
    found = project.json("drift", "--limit", "here")
    assert project.code == 3
    assert [(e["change"], e["cause"]) for e in found["events"]] == [("changed", "host")]


def test_drift_against_a_named_state_and_against_a_run(project):
    flag = project.folder / "flag"
    flag.touch()
    project.baseline("small", rule(flag))
    assert project.run("snapshot", "tag", "golden", "--reason", "as built") == 4
    project.run("assess", "--baseline", "small")
    assert project.run("snapshot", "tag", "golden", "--reason", "as built") == 0
    assert project.run("snapshot", "tag", "last", "--reason", "x") == 2
    flag.unlink()
    project.run("assess", "--baseline", "small")
    project.run("assess", "--baseline", "small")
    assert project.run("drift") == 0
    found = project.json("drift", "--against", "golden")
    assert project.code == 3
    assert [(e["host"], e["change"]) for e in found["events"]] == [("here", "broke"), ("there", "broke")]
    assert project.run("drift", "--against", "silver") == 2
    assert project.run("snapshot", "list") == 0
    assert "golden" in project.said
    assert project.run("snapshot", "untag", "golden") == 0
    assert project.run("audit", "verify") == 0


def finding(host, verdict=PASS, actual="no", rule="r"):
    return Finding(host, "b", rule, verdict, actual=actual)


def test_the_one_server_that_differs_from_forty_others():
    fleet = {f"web{n:02}": [finding(f"web{n:02}")] for n in range(40)}
    fleet["web17"] = [finding("web17", FAIL, "yes")]
    (one,) = compare_peers(fleet)
    assert (one.host, one.change, one.peers) == ("web17", "broke", (39, 40))
    assert compare_peers({h: fleet[h] for h in ("web16", "web17", "web18")}) == [], "three hosts have no usual state"
    split = {f"h{n}": [finding(f"h{n}", actual="a" if n % 2 else "b")] for n in range(20)}
    assert compare_peers(split) == []


verdicts = st.sampled_from([PASS, FAIL, UNKNOWN, NOT_APPLICABLE])
sides = st.dictionaries(st.sampled_from("abcd"), st.tuples(verdicts, st.sampled_from(["x", "y"])))


@settings(deadline=None)
@given(sides, sides)
def test_every_difference_is_told_once_and_nothing_else(before, after):
    old = [finding("h", verdict, actual, rule) for rule, (verdict, actual) in before.items()]
    new = [finding("h", verdict, actual, rule) for rule, (verdict, actual) in after.items()]
    found = compare(old, new, HOST)
    assert sorted(d.rule for d in found) == sorted(r for r in {*before, *after} if before.get(r) != after.get(r))
    for one in found:
        if one.change == "repaired":
            assert one.after.verdict == PASS
        if one.after is not None and one.after.verdict == UNKNOWN and one.before and one.before.verdict != UNKNOWN:
            assert one.change == "lost"
