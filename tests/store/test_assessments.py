"""Assessments in the store: kept, found again, upgraded to, pruned; on SQLite and PostgreSQL."""

from __future__ import annotations

from patchctl.model.assessment import FAIL, PASS, Finding, Item, Waiver
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.store.assessments import AssessedBaseline, Assessment, AssessmentRun
from patchctl.store.connection import Connection
from patchctl.store.database import open_store, upgrade_store
from tests.store.shape import shape_of

NEW_TABLES = ("assessment_runs", "assessments", "snapshot_tags")


def finding(verdict=FAIL, **more):
    return Finding("h", "b", "r", verdict, "Title", "high", "yes", "no", (Item("/etc/x", "yes", "no", False),), **more)


def keep(store, at, host="h", findings=(), snapshot=None):
    run = AssessmentRun(f"run-{at}", at, "me", "live", (AssessedBaseline("b", "d", "native", "b.yaml"),))
    if all(known.run != run.run for known in store.assessments.runs()):
        store.assessments.save_run(run)
    row = Assessment(run.run, host, "b", at, "d", "ok", at if findings else None, snapshot, {FAIL: 1}, 50.0)
    store.assessments.save([(row, findings)])
    return run


def test_findings_come_back_as_they_went_in(any_store):
    waiver = Waiver("why", "who", "2027-01-01T00:00:00+00:00", "r", until_at=5.0)
    keep(any_store, 10.0, findings=[finding(waiver=waiver)])
    keep(any_store, 20.0, findings=[finding(PASS)])
    keep(any_store, 30.0)
    (last,) = any_store.assessments.latest("b").values()
    assert last.at == 20.0, "a night on which it was away is no assessment"
    assert any_store.assessments.latest("b", reached=False)["h"].at == 30.0
    assert any_store.assessments.latest("b", before=20.0)["h"].at == 10.0
    first = any_store.assessments.of_run("run-10.0")
    ((_, found),) = any_store.assessments.findings(first)
    assert found == (finding(waiver=waiver, collected_at=10.0),)
    assert [run.run for run in any_store.assessments.runs()] == ["run-30.0", "run-20.0", "run-10.0"]
    assert [row.at for row in any_store.assessments.history("h")] == [10.0, 20.0, 30.0]


def test_equal_findings_are_stored_once(any_store):
    before = any_store.size()["rows"]["evidence"]
    for at in (1.0, 2.0, 3.0):
        for host in ("a", "b"):
            keep(any_store, at, host, [finding(collected_at=at)])
    assert any_store.size()["rows"]["evidence"] == before + 1
    assert any_store.verify_chain().ok


def test_secrets_never_reach_the_findings(store):
    clean = store.redacting(lambda text: text.replace("hunter2", "***"))
    leaky = Finding("h", "b", "r", FAIL, actual="hunter2", items=(Item("x", actual="hunter2"),), reason="hunter2")
    keep(clean, 1.0, findings=[leaky])
    ((_, (found,)),) = store.assessments.findings(store.assessments.of_run("run-1.0"))
    assert "hunter2" not in repr(found)


def test_snapshots_of_scans_and_of_assessments_are_kept_apart(any_store):
    scan = Snapshot("h", 1.0, {"p": Evidence("p", "ok", "scan", 0)})
    taken = Snapshot("h", 2.0, {"q": Evidence("q", "ok", "assess", 0)})
    any_store.save_snapshot(scan)
    any_store.save_snapshots([taken], "assess")
    assert any_store.latest_snapshots()["h"] == scan, "what is pending is read from scans"
    assert any_store.assessments.snapshots(["h"])["h"] == taken
    assert any_store.assessments.snapshots(["h"], before=1.5)["h"] == scan
    assert any_store.times_seen()["h"] == (2.0, 2.0)


def test_old_assessments_go_but_the_latest_and_what_has_a_tag(any_store):
    taken = [Snapshot("h", float(at), {"p": Evidence("p", "ok", str(at), 0)}) for at in (1, 2, 3)]
    ids = any_store.save_snapshots(taken, "assess")
    for at, number in zip((1.0, 2.0, 3.0), ids, strict=True):
        if at == 1.0:
            assert any_store.assessments.tag("golden", ["h", "never"], 9.0, "me", "why") == {"h": int(ids[2])}
        keep(any_store, at, findings=[finding(reason=str(at))], snapshot=int(number))
    any_store.save_snapshots([Snapshot("h", 4.0, {})], "assess")
    pruned = any_store.prune(100.0, 100.0, "me", assessments_before=100.0)
    assert pruned.assessments == 2
    assert [run.run for run in any_store.assessments.runs()] == ["run-3.0"]
    assert set(any_store.assessments.snapshots_of([int(i) for i in ids])) == {int(ids[2])}, "the tag keeps it"
    ((_, found),) = any_store.assessments.findings(any_store.assessments.of_run("run-3.0"))
    assert found
    assert any_store.assessments.untag("golden") == 1
    assert any_store.assessments.tagged("golden") == {}


def test_a_store_of_the_first_version_is_upgraded_whole(any_url):
    with open_store(any_url) as store:
        old = Snapshot("h", 1.0, {"p": Evidence("p", "ok", "kept", 0)})
        store.save_snapshot(old)
        fresh = shape_of(store)

        def go_back(connection: Connection) -> None:
            for table in NEW_TABLES:
                connection.execute(f"DROP TABLE {table}")
            connection.execute("ALTER TABLE snapshots DROP COLUMN kind")
            connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")

        store.database.write(go_back)
    assert upgrade_store(any_url) == [2]
    with open_store(any_url) as store:
        assert store.latest_snapshots()["h"] == old
        keep(store, 10.0, findings=[finding()])
        assert store.assessments.latest("b")["h"].counts == {FAIL: 1}
        assert shape_of(store) == fresh
    assert upgrade_store(any_url) == []
