"""The end of apply: what an admin reads at 02:00, and the exit code that goes with it."""

from __future__ import annotations

import itertools
import re

import pytest
from msgspec.structs import replace

from patchctl.report.digest import exit_code_for, worst_exit
from patchctl.report.summary import ReportLine, format_span, render_summary
from tests.report.sample import START, Story, make_plan, tell


def test_the_summary_says_result_counts_limits_causes_and_what_next():
    names = [f"web{n:03}" for n in range(200)]
    story = tell(names, failed=["web017"], unreachable=["web030", "web031"], frozen=["web040"], blocked=names[50:55])
    text = render_summary(story.digest(), ReportLine("reports/2026-11-monthly/index.html", "9f3c" * 16, 8841))
    assert text == """\
Rollout 2026-11-monthly COMPLETED, NOT CLEAN  191/200 verified  22:00-03:39 CET  exit 5
succeeded 191  failed 1  unreachable 2  blocked 5  frozen 1
errors 1/199, limit 3   unreachable 2/199, limit 9   changed 0/199, limit 9
FAILED       web017   dpkg lock held by unattended-upgr[4711] 31 min; 2 retries; host unchanged
UNREACHABLE  2 hosts  one cause: no answer on port 22 for 15 s; host unchanged
BLOCKED      5 hosts  one cause: relay oslo-r1, TCP 22 timeout since 23:12; host unchanged
FROZEN       web040   frozen: forensics for INC4711, until 2026-12-01
NOT APPROVED 1 update on 160 hosts, next due 26 Nov
Next:   patchctl rollout retry 2026-11-monthly --failed
Report: reports/2026-11-monthly/index.html  sha256 9f3c9f3c9f3c…  audit #8841
"""


def test_a_clean_rollout_is_short():
    digest = tell(["a", "b"]).digest()
    assert digest.exit_code == 0
    first, *rest = render_summary(digest).splitlines()
    assert first == "Rollout 2026-11-monthly COMPLETED  2/2 verified  22:00-22:03 CET  exit 0"
    assert not any(line.startswith(("FAILED", "Next:")) for line in rest)


def test_a_halt_says_why_and_how_to_go_on():
    story = Story(make_plan(["a", "b", "c"]))
    story.say("ring-opened", {"ring": "canary"})
    story.fail("a")
    story.say("rollout-halted", {}, reason="errors 1/3, limit 0")
    lines = render_summary(story.digest()).splitlines()
    assert lines[0].startswith("Rollout 2026-11-monthly HALTED  0/3 verified")
    assert lines[0].endswith("exit 6")
    assert "Why:    errors 1/3, limit 0" in lines
    assert "Next:   patchctl rollout resume 2026-11-monthly" in lines


def test_after_ctrl_c_it_says_how_to_resume_while_hosts_are_left():
    story = Story(make_plan(["a", "b"]))
    story.say("ring-opened", {"ring": "canary"})
    digest = story.digest()
    assert "Next:   patchctl rollout watch 2026-11-monthly" in render_summary(digest).splitlines()
    lines = render_summary(replace(digest, exit_code=130)).splitlines()
    assert lines[0].endswith("exit 130")
    assert [line for line in lines if line.startswith("Next:")] == ["Next:   patchctl rollout resume 2026-11-monthly"]
    over = render_summary(replace(tell(["a"]).digest(), exit_code=130))
    assert "Next:" not in over, "Ctrl-C in the last moment leaves nothing to resume"


def test_a_host_that_never_told_is_not_called_unchanged():
    story = Story(make_plan(["a"]))
    story.job("a", "start", "started")
    story.settle("a", "failed", "no answer since 40 min", "errors")
    assert "unknown what was changed" in render_summary(story.digest())
    assert "host unchanged" not in render_summary(story.digest())


def test_a_partly_installed_host_says_how_far_it_got():
    story = Story(make_plan(["a"]))
    story.job("a", "start", "started")
    change = story.plan.hosts["a"].changes[0]
    done = [{"package": change.package, "arch": "amd64", "from": change.from_version, "to": change.to_version}]
    story.job("a", "poll", "finished", {"rc": 1, "changes": done})
    story.settle("a", "failed", "postinst of libssl3 failed", "errors")
    assert "1 of 4 planned packages changed" in render_summary(story.digest())


def test_a_late_host_is_told_although_all_is_well():
    story = Story(make_plan(["a", "b"]))
    story.settle("a", "succeeded")
    story.settle("b", "late", "verified 12 min after its deadline")
    text = render_summary(story.digest())
    assert "2/2 verified" in text
    assert "exit 0" in text
    assert re.search(r"LATE +b +verified 12 min after its deadline", text)


def test_hostile_host_text_cannot_reach_the_terminal():
    story = Story(make_plan(["a"]))
    story.settle("a", "failed", "\x1b]0;owned\x07\x1b[2J\u202eevil\nFAILED b fake line", "errors")
    text = render_summary(story.digest())
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len([line for line in text.splitlines() if line.startswith("FAILED")]) == 1


def test_many_causes_are_cut_and_counted():
    story = Story(make_plan([f"h{n}" for n in range(40)]))
    for n in range(40):
        story.settle(f"h{n}", "failed", f"cause {n}", "errors")
    lines = render_summary(story.digest()).splitlines()
    assert sum(line.startswith("FAILED") for line in lines) == 12
    assert "... and 28 more hosts with 28 other causes" in lines


def document(state="completed", *hosts):
    return {"state": state, "hosts": [{"host": f"h{n}", "state": s} for n, s in enumerate(hosts)]}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (document("completed", "succeeded", "frozen", "superseded"), 0),
        (document("completed", "succeeded", "failed", "unreachable", "reboot-pending"), 5),
        (document("completed", "in-doubt"), 5), (document("completed", "rolled-back"), 5),
        (document("completed", "interrupted", "skipped"), 5),
        (document("completed", "unreachable", "skipped"), 4), (document("completed", "blocked"), 4),
        (document("completed", "reboot-pending"), 3), (document("completed", "skipped"), 3),
        (document("completed", "late", "failed"), 5), (document("completed", "late", "succeeded"), 0),
        (document("halted", "failed", "pending"), 6), (document("paused", "failed", "pending"), 7),
        (document("aborted", "succeeded", "pending"), 3), (document("running", "pending", "succeeded"), 0),
        (document("running", "failed", "pending"), 5), (document("planned"), 0),
    ],
)  # fmt: skip
def test_exit_codes(given, code):
    assert exit_code_for(given) == code


def test_one_changed_host_key_is_that_hosts_failure_but_all_are_a_trust_failure():
    given = document("completed", "unreachable", "unreachable")
    given["hosts"][0]["diagnosis"] = {"signature": "host-key-changed"}
    assert exit_code_for(given) == 4
    given["hosts"][1]["diagnosis"] = {"signature": "host-key-unknown"}
    assert exit_code_for(given) == 13


def test_the_gravest_of_two_codes_is_told_in_the_documented_order():
    order = [130, 143, 1, 13, 11, 2, 10, 7, 6, 12, 5, 4, 3, 0]
    for first, second in itertools.combinations(order, 2):
        assert worst_exit([second, first]) == first
    assert worst_exit([]) == 0


def test_a_span_over_days_shows_dates_and_daylight_saving():
    from zoneinfo import ZoneInfo

    zone = ZoneInfo("Europe/Amsterdam")
    assert format_span(START, START + 3600, zone) == "22:00-23:00 CET"
    assert format_span(START, START + 2 * 86400, zone) == "12 Nov 22:00 - 14 Nov 22:00 CET"
    assert format_span(1792879200, 1792879200 + 7200, zone) == "00:00-02:00 CEST"  # 2026-10-24, still summer time
    assert format_span(None, None, zone) == ""
