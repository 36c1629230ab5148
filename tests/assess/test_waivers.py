"""A waived finding is still shown; when the waiver ends the finding is back and the waiver is told."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.assess.waivers import apply_waivers, judge_waivers
from patchctl.documents.waiver_schema import read_moment
from patchctl.model.assessment import FAIL, PASS, UNKNOWN, Finding, Waiver
from tests.assess.test_assess import BAD, FLOOD, GOOD

TODAY = datetime.now(UTC).date()
LATER = (datetime.now(UTC) + timedelta(days=30)).isoformat()
BEFORE = (datetime.now(UTC) - timedelta(seconds=5)).isoformat()


def waiver(**changes):
    return {"rule": "bad", "hosts": "all", "reason": "CHG-1", "approver": "jane", "granted": str(TODAY - timedelta(2)),
            "until": LATER, **changes}


def test_a_waived_finding_is_shown_everywhere_and_counts_no_more(project):
    project.baseline("small", GOOD, BAD)
    project.waivers(waiver(hosts="here"))
    document = project.json("assess", "--baseline", "small")
    assert project.code == 3, "there is not waived"
    found = {r["host"]: r["waiver"] for r in document["results"] if r["rule"] == "bad"}
    assert found["there"] is None
    assert (found["here"]["reason"], found["here"]["approver"]) == ("CHG-1", "jane")
    assert {s["host"]: (s["waived"], s["fail"], s["score"]) for s in document["scores"]} == {
        "here": (1, 1, 50.0), "there": (0, 1, 50.0)}, "a waiver changes no score"
    assert document["waivers"][0]["state"] == "active"
    project.waivers(waiver())
    for fmt in ("table", "wide", "csv", "jsonl", "markdown", "yaml"):
        assert project.run("assess", "--baseline", "small", "-o", fmt) == 0
        assert LATER[:10] in project.said, fmt
    assert project.run("assess", "--baseline", "small", "-q") == 0
    assert project.said == ""


def test_an_expired_waiver_is_told_and_its_finding_is_back_as_new(project):
    project.baseline("small", GOOD, BAD)
    project.waivers(waiver())
    assert project.run("assess", "--baseline", "small") == 0
    project.waivers(waiver(until=BEFORE))
    assert project.run("assess", "--baseline", "small", "--fail-on", "new") == 3
    assert "EXPIRED WAIVER  bad on all" in project.said
    document = project.json("assess", "--baseline", "small")
    assert document["waivers"][0]["state"] == "expired"
    assert all(r["waiver"] is None for r in document["results"])


def test_what_is_not_there_any_more_needs_no_waiver(project):
    project.baseline("small", GOOD)
    project.waivers(waiver(rule="good"))
    document = project.json("assess", "--baseline", "small")
    assert project.code == 0
    assert document["waivers"][0]["state"] == "unused"
    assert all(r["waiver"] is None for r in document["results"])


def test_what_could_not_be_read_can_be_waived_but_stays_unknown(project):
    project.baseline("small", FLOOD)
    project.waivers(waiver(rule="flood"))
    document = project.json("assess", "--baseline", "small")
    assert project.code == 0
    assert {r["verdict"] for r in document["results"]} == {"UNKNOWN"}
    assert {s["score"] for s in document["scores"]} == {0.0}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"until": "2999-01-31"}, "no-timezone"), ({"until": "2999-01-31T12:00"}, "no-timezone"),
        ({"until": "soon"}, "invalid-moment"), ({"until": "2027-01-31 12:00 Europe/Amsterdm"}, "invalid-moment"),
        ({"until": "2999-01-31T12:00:00Z"}, "waiver-too-long"),
        ({"until": "2020-01-31T12:00:00Z"}, "waiver-ends-first"),
        ({"hosts": "nosuch"}, "nothing-matched"), ({"reason": " "}, "empty-value"),
    ],
)  # fmt: skip
def test_validate_and_assess_refuse_the_same_waivers(project, changes, code):
    project.baseline("small", BAD)
    project.waivers(waiver(**changes))
    assert project.run("validate", "baselines/waivers/all.yaml", "-o", "json") == 2
    problems = json.loads(project.said)["problems"]
    assert {problem["line"] for problem in problems} == {1}
    assert project.run("assess", "--baseline", "small") == 2
    assert code in {problem["code"] for problem in problems}


def test_settings_limit_how_long_a_waiver_may_last(project):
    project.baseline("small", BAD)
    project.waivers(waiver())
    (project.folder / "patchctl.yaml").write_text("max_waiver: 7d\n")
    assert project.run("assess", "--baseline", "small") == 2


def test_a_moment_says_its_zone():
    assert read_moment("2027-01-31 18:00 Europe/Amsterdam") == "2027-01-31T18:00:00+01:00"
    assert read_moment("2027-07-31T18:00:00+02:00") == "2027-07-31T18:00:00+02:00"


findings = st.builds(
    Finding, host=st.sampled_from("abc"), baseline=st.sampled_from("xy"), rule=st.sampled_from("pqr"),
    verdict=st.sampled_from([PASS, FAIL, UNKNOWN]),
)  # fmt: skip
waivers = st.builds(
    Waiver, st.just("why"), st.just("who"), st.just("until"), rule=st.sampled_from("pqrs"),
    hosts=st.sampled_from(["all", "a"]), baseline=st.sampled_from(["", "x"]), until_at=st.sampled_from([0.0, 1.0, 2.0]),
)  # fmt: skip


@given(st.lists(findings, max_size=12), st.lists(waivers, max_size=4))
def test_waivers_hide_nothing_and_cover_only_what_they_name(found, given_waivers):
    members = {"all": set("abc"), "a": {"a"}}
    done, covered = apply_waivers(found, given_waivers, members, 1.0)
    assert [(f.host, f.rule, f.verdict) for f in done] == [(f.host, f.rule, f.verdict) for f in found]
    for finding in done:
        if finding.waiver is not None:
            assert finding.verdict != PASS
            assert finding.waiver.until_at > 1.0
            assert finding.waiver.rule == finding.rule
            assert finding.host in members[finding.waiver.hosts]
            assert finding.waiver.baseline in ("", finding.baseline)
    for use in judge_waivers(given_waivers, covered, 1.0):
        assert (use.state == "active") == (use.findings > 0 and use.waiver.until_at > 1.0)
