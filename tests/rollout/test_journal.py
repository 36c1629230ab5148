"""Promises of the journal: every kind is known and documented, folds replay, foreign or newer events are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import UsageError
from patchctl.model.rollout import Event
from patchctl.rollout.journal import HOST_KINDS, ROLLOUT_KINDS, fold, fold_all, initial, to_document, upcast
from tests.sim.fleet import make_fleet, make_plan
from tests.sim.runs import Run

DOCS = Path(__file__).parents[2] / "docs/reference/journal.md"
PLAN = make_plan(["h01", "h02"])


def event(kind: str, seq: int = 1, **data: object) -> Event:
    return Event(PLAN.rollout, seq, 100.0, "ann@ctl", kind, data=dict(data))


def test_every_kind_is_documented() -> None:
    text = DOCS.read_text()
    assert [kind for kind in (*ROLLOUT_KINDS, *HOST_KINDS) if f"| `{kind}` |" not in text] == []


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event("host-exploded"), "unknown-event"),
        (replace(event("host-overdue"), host="elsewhere"), "foreign-journal"),
        (replace(event("rollout-started"), version=99), "newer-journal"),
    ],
)
def test_what_this_version_cannot_know_is_refused(bad: Event, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        fold(initial(PLAN), bad)
    assert caught.value.code == code


def test_older_events_are_brought_up_step_by_step() -> None:
    steps = {
        ("ring-opened", 1): lambda e: replace(e, version=2, data={"ring": e.data["group"]}),
        ("ring-opened", 2): lambda e: replace(e, version=3, data={"ring": e.data["ring"].lower()}),
    }
    old = event("ring-opened", group="CANARY")
    assert upcast(old, steps, 3).data == {"ring": "canary"}
    state = fold_all(initial(PLAN), [old], steps, 3)
    assert state.rings[0].opened_at == 100.0


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(0, 200), seed=st.integers(0, 20))
def test_folding_in_two_parts_is_folding_at_once(cut: int, seed: int) -> None:
    plan, hosts = make_fleet(seed, 3)
    run = Run.of(plan, hosts, seed)
    run.finish()
    events = run.journal.written
    assert fold_all(fold_all(initial(plan), events[:cut]), events[cut:]) == fold_all(initial(plan), events)


def test_events_and_the_status_document_survive_json() -> None:
    plan, hosts = make_fleet(4, 8)
    run = Run.of(plan, hosts, 4)
    state = run.finish()
    again = [from_json(Event, to_json(written)) for written in run.journal.written]
    assert fold_all(initial(plan), again) == fold_all(initial(plan), run.journal.written)
    document = json.loads(json.dumps(to_document(state)))
    assert document["state"] == "completed"
    assert {host["host"] for host in document["hosts"]} == set(plan.hosts)
    assert sum(v for k, v in document["summary"].items() if k not in ("hosts", "settled")) == 8
    for host in document["hosts"]:
        assert host["diagnosis"] is None or set(host["diagnosis"]) >= {"class", "signature", "evidence", "remedy"}
        assert (host["error"] is not None) >= (host["counts"] == "unreachable"), host


def test_hosts_that_the_plan_leaves_alone_are_settled_with_their_reason() -> None:
    hosts = dict(PLAN.hosts)
    hosts["h02"] = replace(hosts["h02"], skip="frozen: audit until Friday", skip_state="frozen")
    state = initial(replace(PLAN, hosts=hosts))
    assert (state.hosts["h02"].state, state.hosts["h02"].settled) == ("frozen", True)
    assert state.hosts["h02"].message == "frozen: audit until Friday"
