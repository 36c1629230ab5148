"""The page: self-contained, inert whatever hosts call themselves, complete for an auditor."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.report.html import Seal, render_html
from patchctl.report.tables import CSV_COLUMNS, render_csv, render_json
from tests.report.sample import START, Story, make_plan, tell

SEAL = Seal("8f0c3a52-1b7e-4c1e-9a38-6a5f2f1a1b11", 1, 8841, "9f3c" * 16, True)
HOSTILE = [
    "<script>alert(1)</script>", "</style><script>x</script>", "<img src=x onerror=alert(1)>", "{{ 7*7 }}",
    "{% raw %}", "javascript:alert(1)", "=cmd|'/c calc'!A1", "+1+1", "-2+3", "@SUM(A1)", "\x1b[31mred", "a\u202eb",
    '" onmouseover="alert(1)', "&lt;script&gt;", "<!--", "]]>", "\t=1+1", "\r=1",
]  # fmt: skip


class Page(HTMLParser):
    """What a browser would act on: elements, attributes and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def page_of(story, **options) -> tuple[str, Page]:
    text = render_html(story.digest(), options.get("seal", SEAL), START + 20_000)
    return text, Page(text)


def check_inert(page: Page) -> None:
    allowed = {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "div", "p", "strong", "ul", "li",
        "b", "span", "svg", "rect", "dl", "dt", "dd", "nav", "a", "table", "thead", "tbody", "tr", "th", "td", "code",
        "pre",
    }  # fmt: skip
    for tag, attributes in page.tags:
        assert tag in allowed, tag
        assert not [a for a in attributes if a.startswith("on") or a in ("src", "style", "srcdoc")], attributes
        if "href" in attributes:
            assert re.fullmatch(r"#[a-z0-9]+", attributes["href"] or "")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_texts_stay_text(name):
    story = tell(["ok", name], failed=[name])
    story.say("ring-approved", {"ring": name}, reason=name, actor=name)
    text, page = page_of(story)
    check_inert(page)
    assert "\x1b" not in text
    assert "49" not in [c for c in page.text.split() if c == "49"]
    assert "<script" not in text.lower()


@given(evil=st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_any_text_stays_text(evil):
    story = Story(make_plan(["a", "b" + evil], packages=(("p" + evil, evil, evil + "2", None),)))
    story.fail("a", message=evil, evidence=evil)
    _, page = page_of(story)
    check_inert(page)


def test_the_policy_of_the_page_allows_its_own_style_only():
    text, page = page_of(tell(["a"]))
    policy = next(a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv"))
    style = re.search(r"<style>(.*?)</style>", text, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert f"'sha256-{digest}'" in policy
    assert "http://" not in text
    assert "https://" not in text


def test_an_auditor_finds_versions_reboots_failures_approvals_and_the_seal():
    story = tell(["a", "b", "c", "d"], failed=["c"], frozen=["d"])
    text, page = page_of(story)
    for wanted in (
        "3.0.15-1~deb12u1", "3.0.17-1~deb12u3", "Debian-Security:12", "aaaa1111", "bbbb2222", "dpkg-lock-held",
        "E: Could not get lock", "tried again with wait-lock", "ops@ctl", "CHG-4711, canary looks good",
        "forensics for INC4711, until 2026-12-01", "9f3c" * 16, "/etc/ssh/sshd_config", "unit ssh.service: ok",
        "COMPLETED, NOT CLEAN", "2 of 4 hosts are patched and proven", "due 2026-11-26",
    ):  # fmt: skip
        assert " ".join(wanted.split()) in " ".join(page.text.split()), wanted
    assert "00" * 32 in text  # whole hashes, not only their first letters


def test_a_broken_chain_is_shouted():
    seal = Seal("s", 1, 5, "0" * 64, False, ("record 3 was edited",))
    _, page = page_of(tell(["a"]), seal=seal)
    assert "BROKEN" in page.text
    assert "record 3 was edited" in page.text


def test_a_big_timeline_leaves_out_only_routine_and_says_so():
    names = [f"h{n:04}" for n in range(700)]
    _, page = page_of(tell(names, failed=["h0500"]))
    assert "routine steps are left out" in page.text
    assert page.text.count("concluded:") == 3
    assert page.text.count("settled: succeeded") == 699


def test_json_holds_every_event_and_every_host():
    story = tell(["a", "b"], failed=["b"])
    data = json.loads(render_json(story.digest(), SEAL, START))
    assert data["schema"] == "patchctl/report/1"
    assert [e["seq"] for e in data["events"]] == list(range(1, len(story.events) + 1))
    assert {h["host"]: h["state"] for h in data["hosts"]} == {"a": "succeeded", "b": "failed"}
    assert data["hosts"][0]["reboot"] == {"result": "proven", "boot_ids": ["aaaa1111-0000", "bbbb2222-0000"]}
    assert data["hosts"][1]["failures"][0]["cls"] == "package-manager"
    assert data["audit"]["hash"] == SEAL.hash


@pytest.mark.parametrize("name", HOSTILE)
def test_no_csv_cell_is_a_formula(name):
    story = tell(["ok", name], failed=[name], packages=((name, "1", name, True),))
    rows = list(csv.reader(io.StringIO(render_csv(story.digest()))))
    assert tuple(rows[0]) == CSV_COLUMNS
    for row in rows[1:]:
        assert len(row) == len(CSV_COLUMNS)
        for cell in row:
            assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r"), cell


def test_csv_has_a_line_for_hosts_without_changes():
    plan = make_plan(["a"], packages=())
    story = Story(plan)
    story.job("a", "preflight", "done")
    story.settle("a", "succeeded", "nothing left to change")
    rows = list(csv.DictReader(io.StringIO(render_csv(story.digest()))))
    assert [(r["host"], r["state"], r["package"]) for r in rows] == [("a", "succeeded", "")]


def test_what_was_changed_beyond_the_plan_shows():
    story = Story(make_plan(["a"]))
    extra = {"package": "surprise", "arch": "amd64", "from": "1", "to": "2"}
    story.job("a", "start", "started")
    story.job("a", "poll", "finished", {"rc": 0, "changes": [extra]})
    story.settle("a", "succeeded")
    line = story.digest().hosts[0].changes[-1]
    assert (line.package, line.result) == ("surprise", "not-planned")
