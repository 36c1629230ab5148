"""Stores made by an earlier patchctl, as dumps, and what that patchctl put into them.

sqlite.sql and postgresql.sql were made at commit b9857c6, the last one whose store was on SQLAlchemy (schema 2):

    python -m tests.store.made_before sqlite:////tmp/old/state.db; sqlite3 /tmp/old/state.db .dump
    python -m tests.store.made_before postgresql://patchctl@127.0.0.1/old; pg_dump --inserts --no-owner old
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from patchctl.model.assessment import FAIL, Finding, Item
from patchctl.model.errors import HostFailure
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.facts import Update
from patchctl.model.rollout import Event
from patchctl.store.assessments import AssessedBaseline, Assessment, AssessmentRun
from patchctl.store.database import Store
from tests.store.test_store import make_plan

KINDS = ("kind", "job-ended")


def fill(store: Store) -> None:
    """Put something into each table but leases."""
    store.save_plan(make_plan("one"))
    store.save_plan(make_plan("two", hosts=5))
    store.journal.append([
        Event("one", n, 1.25 * n, "jörg@ctl", KINDS[n % 2], "wéb", {"a": [1, None, {"ü": "\0\x1b"}], "f": 0.1}, "…")
        for n in range(1, 6)
    ])
    clock = Evidence("v", "ok", "9", volatile=True)
    web = Snapshot("wéb", 10.5, {"p": Evidence("p", "ok", "a\0\ud800", 0), "v": clock})
    away = Snapshot("db", 11.25, {}, HostFailure("tcp-timeout", "no answer", "hint"))
    store.save_snapshots([web, away])
    (taken,) = store.save_snapshots([Snapshot("wéb", 12.5, web.evidence)], "assess")
    store.note_updates("wéb", [Update("openssl", "amd64", "1", "2")], 500.125)
    baseline = AssessedBaseline("b", "d", "native", "b.yaml")
    store.assessments.save_run(AssessmentRun("run-1", 12.5, "me", "begun", (baseline,)))
    found = Finding("h", "b", "r", FAIL, "Title", "high", "yes", "no", (Item("/etc/x", "yes", "no", False),))
    score = 100 / 3
    store.assessments.save([
        (Assessment("run-1", "wéb", "b", 12.5, "d", "ok", 12.5, int(taken), {FAIL: 1}, score), [found]),
        (Assessment("run-1", "db", "b", 12.5, "d", "unreachable", None, None, {}, None), []),
    ])
    store.assessments.tag("golden", ["wéb"], 13.0, "me", "why")
    store.next_token()
    store.record("ops", "trust", {"n": 2**53}, "first")


def contents(store: Store) -> dict[str, Any]:
    """Return all that can be read back, but for what differs between stores or changes with a new field of a plan."""
    size = store.size()
    records = [(r.number, replace(r.event, data={**r.event.data, "digest": ""})) for r in store.records()]
    return {
        "events": store.journal.events("one"), "records": records,
        "of host": [r.number for r in store.records(host="wéb")], "last": store.last_kinds(KINDS),
        "outside": [r.number for r in store.records(rollout="", after=1)],
        "rollouts": store.rollouts(), "latest": store.latest_rollout(), "plan": store.load_plan("two"),
        "snapshots": store.latest_snapshots(), "reached": store.latest_snapshots(reached=True),
        "seen": store.times_seen(), "visits": store.visits("wéb"), "first": store.first_seen(),
        "runs": store.assessments.runs(), "assessed": store.assessments.latest("b", reached=False),
        "told": store.assessments.latest("b", told=True), "history": store.assessments.history("wéb"),
        "findings": list(store.assessments.findings(store.assessments.of_run("run-1"))),
        "tags": store.assessments.tags(), "tagged": store.assessments.tagged("golden"),
        "taken": store.assessments.snapshots(["wéb"]), "by id": store.assessments.snapshots_of([1, 2, 3, 4]),
        "rows": size["rows"], "prunable": store.prunable(1e12, 1e12),
        "holders": store.holders(), "epoch": store.epoch,
    }  # fmt: skip
