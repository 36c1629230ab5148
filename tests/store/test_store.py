"""What the store promises about snapshots, plans, tokens and where it may lie."""

from __future__ import annotations

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.model.errors import HostFailure, StoreError, UsageError
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.facts import Artefact, Update
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing
from patchctl.model.policy import Limits
from patchctl.model.rollout import Event
from patchctl.store import schema
from patchctl.store.database import open_store
from patchctl.store.place import check_file_system, file_system_of


def make_plan(rollout: str = "2026-11-monthly", hosts: int = 2) -> Plan:
    names = [f"h{n}" for n in range(hosts)]
    change = Change("openssl", "amd64", "3.0.15-1", "3.0.17-1", "ab" * 32, "Debian-Security", True)
    return Plan(
        rollout=rollout, policy="monthly", created_at=1000.5, created_by="ops@ctl", policy_digest="p",
        membership_digest="m", timezone="Europe/Amsterdam", blackout=(), limits=Limits(), concurrency=1,
        rings=(PlannedRing("all", (tuple(names),)),),
        hosts={n: HostPlan(n, "all", 0, changes=(change,), not_approved=(("a", "1", "deferred"),)) for n in names},
        artefacts={"ab" * 32: Artefact("openssl", "3.0.17-1", "amd64", "ab" * 32, 5, "openssl.deb")},
    )  # fmt: skip


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
evidences = st.builds(
    Evidence, probe=st.just("p"), status=st.sampled_from(["ok", "unknown", "not-applicable"]), output=texts,
    rc=st.none() | st.integers(0, 255), reason=texts, truncated=st.booleans(), volatile=st.booleans(),
)  # fmt: skip
snapshots = st.builds(
    Snapshot, host=texts.filter(lambda t: "\0" not in t), taken_at=st.floats(0, 4e9),
    evidence=st.dictionaries(st.sampled_from("abcdef"), evidences), complete=st.booleans(),
    failure=st.none() | st.builds(HostFailure, texts, texts, texts), seconds=st.floats(0, 1e6),
    round_trips=st.integers(0, 3),
)  # fmt: skip


@given(snapshot=snapshots)
@settings(max_examples=60, deadline=None)
def test_a_snapshot_comes_back_as_it_went_in(tmp_path_factory, snapshot):
    from msgspec.structs import replace

    named = {k: replace(e, probe=k) for k, e in snapshot.evidence.items()}
    snapshot = replace(snapshot, evidence=named)
    folder = tmp_path_factory.getbasetemp() / "property"
    with open_store(f"sqlite:///{folder}/s.db") as store:
        assert store.load_snapshot(store.save_snapshot(snapshot)) == snapshot


def test_equal_evidence_is_stored_once_and_a_quiet_host_costs_one_row(store, url):
    big = "package 1.0\n" * 10_000
    for host in ("a", "b"):
        for at in (1.0, 2.0, 3.0):
            clock = Evidence("clock", "ok", f"{host}{at}", volatile=True)
            store.save_snapshot(Snapshot(host, at, {"list": Evidence("list", "ok", big), "clock": clock}))
    db = sqlite3.connect(url.removeprefix("sqlite:///"))
    assert db.execute("select count(*) from evidence").fetchone() == (2,)  # the list and the one manifest
    assert db.execute("select count(*) from snapshots").fetchone() == (6,)
    assert store.latest_snapshots(["a"])["a"].output("clock") == "a3.0"


def test_latest_counts_by_time_and_can_leave_failures_out(store):
    ok = {"p": Evidence("p", "ok", "x")}
    store.save_snapshot(Snapshot("web1", 20.0, {}, HostFailure("tcp-timeout", "no answer")))
    store.save_snapshot(Snapshot("web1", 10.0, ok))
    store.save_snapshot(Snapshot("db1", 5.0, {}, HostFailure("tcp-timeout", "no answer")))
    latest = store.latest_snapshots()
    assert latest["web1"].failure is not None
    assert list(store.latest_snapshots(reached=True)) == ["web1"]
    assert store.latest_snapshots(["web1"], reached=True)["web1"].taken_at == 10.0
    assert store.times_seen() == {"web1": (10.0, 20.0), "db1": (None, 5.0)}
    assert store.latest_snapshots(["nobody"]) == {}


def test_an_update_is_known_since_its_earliest_sighting_on_any_host(store):
    new = Update("openssl", "amd64", "3.0.15", "3.0.17")
    other = Update("bash", "amd64", "5.1", "5.2")
    store.note_updates("web1", [new, other], 500.0)
    store.note_updates("web2", [new], 100.0)
    store.note_updates("web3", [new], 900.0)
    assert store.first_seen() == {("openssl", "3.0.17"): 100.0, ("bash", "5.2"): 500.0}
    assert store.first_seen("web1", [other]) == {("bash", "5.2"): 500.0}


def test_a_plan_comes_back_equal_and_cannot_be_replaced(store):
    from msgspec.structs import replace

    plan = make_plan()
    store.save_plan(plan)
    store.save_plan(plan)
    assert store.load_plan(plan.rollout) == plan
    with pytest.raises(StoreError, match="another plan"):
        store.save_plan(replace(plan, concurrency=9))
    assert [e.event.kind for e in store.records()] == ["plan-saved"]
    with pytest.raises(UsageError, match="no rollout") as raised:
        store.load_plan(plan.rollout + "x")
    assert (raised.value.exit_code, raised.value.hint) == (2, f"did you mean {plan.rollout}?")


def test_rollouts_are_listed_newest_first_with_their_last_event(store):
    assert store.latest_rollout() is None
    store.save_plan(make_plan("one"))
    store.save_plan(make_plan("two", hosts=5))
    store.journal.append([Event("one", 1, 7.0, "ops", "started"), Event("one", 2, 8.0, "ops", "ring-opened")])
    assert store.latest_rollout() == "two"
    two, one = store.rollouts()
    assert (two.rollout, two.hosts, two.events, two.last_at) == ("two", 5, 0, None)
    assert (one.rollout, one.events, one.last_at, one.last_kind) == ("one", 2, 8.0, "ring-opened")


def test_tokens_rise_across_threads_and_reopening(url):
    with open_store(url) as store:
        got: list[int] = []
        threads = [threading.Thread(target=lambda: got.extend(store.next_token() for _ in range(10))) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert sorted(got) == list(range(1, 81))
    with open_store(url) as again:
        assert again.next_token() == 81


def test_identity_and_contents_survive_reopening(url):
    with open_store(url) as store:
        first = (store.store_id, store.epoch)
        store.record("ops@ctl", "trust", {"hosts": ["web1"]}, "first contact")
    with open_store(url) as again:
        assert (again.store_id, again.epoch) == first
        assert again.records()[0].event.reason == "first contact"


def test_only_the_owner_can_read_the_store(store, url):
    path = Path(url.removeprefix("sqlite:///"))
    store.record("ops", "trust", {})
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_store_that_others_can_read_is_refused(url):
    open_store(url).close()
    path = Path(url.removeprefix("sqlite:///"))
    path.chmod(0o644)
    with pytest.raises(StoreError, match="others can read") as caught:
        open_store(url)
    assert "chmod 600" in caught.value.hint


def test_durability_settings_are_on(store):
    with store.database.read() as connection:
        assert connection.value("PRAGMA journal_mode") == "wal"
        assert connection.value("PRAGMA synchronous") == 2  # FULL, sqlite.org/pragma.html


@pytest.mark.parametrize("change", ["99", "0"])
def test_another_schema_is_refused_and_left_alone(url, change):
    open_store(url).close()
    path = url.removeprefix("sqlite:///")
    db = sqlite3.connect(path)
    db.execute("update meta set value = ? where key = 'schema'", (change,))
    db.commit()
    db.close()
    before = Path(path).read_bytes()
    with pytest.raises(StoreError) as caught:
        open_store(url)
    assert caught.value.code == ("newer-schema" if change == "99" else "older-schema")
    assert caught.value.exit_code == 2  # for whoever runs it to mend, no internal error
    assert Path(path).read_bytes() == before


def test_schema_steps_run_in_order_and_a_missing_one_is_named(store):
    now = schema.SCHEMA_VERSION
    steps = {now: ["CREATE TABLE extra (a TEXT)"], now + 1: ["INSERT INTO extra VALUES ('x')"]}
    assert store.database.write(lambda c: schema.upgrade_schema(c, steps, now + 2)) == [now + 1, now + 2]
    with pytest.raises(StoreError, match=f"from schema {now + 2} to {now + 3}"):
        store.database.write(lambda c: schema.upgrade_schema(c, steps, now + 3))


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
35 22 0:30 / /srv/shared\040data rw shared:2 - nfs4 filer:/x rw,vers=4.2
36 22 0:31 / /srv/win rw shared:3 - cifs //s/x rw
37 35 8:2 / /srv/shared\040data/local rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/x.db", "ext4"), ("/srv/shared data/x.db", "nfs4"), ("/srv/win/deep/x.db", "cifs"),
        ("/srv/shared data/local/x.db", "xfs"), ("/srv/window/x.db", "ext4"), ("/srv/win", "cifs"),
    ],
)  # fmt: skip
def test_the_file_system_of_a_path_is_the_innermost_mount(path, kind):
    assert file_system_of(path, MOUNTS)[1] == kind


def test_a_network_file_system_is_refused_by_name():
    with pytest.raises(StoreError, match="/srv/win \\(cifs\\)"):
        check_file_system(Path("/srv/win/state.db"), MOUNTS)
    check_file_system(Path("/var/lib/state.db"), MOUNTS)


def test_reading_only_leaves_no_trace(url, tmp_path):
    with open_store(url, writable=False) as nothing:
        assert nothing.latest_snapshots() == {}
        assert nothing.latest_rollout() is None
    assert list(tmp_path.iterdir()) == []
    with open_store(url) as store:
        store.record("ops", "trust", {})
    before = sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in (tmp_path / "state").iterdir())
    with open_store(url, writable=False) as reader:
        assert len(reader.records()) == 1
        with pytest.raises(StoreError, match="reading only"):
            reader.record("ops", "trust", {})
    assert before == sorted((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in (tmp_path / "state").iterdir())


def test_reading_only_sees_what_a_running_writer_committed(url):
    with open_store(url) as store:
        store.record("ops", "trust", {})
        with open_store(url, writable=False) as reader:
            assert len(reader.records()) == 1


def test_a_reader_opened_while_nobody_wrote_sees_what_is_written_later(url):
    open_store(url).close()
    with open_store(url, writable=False) as reader:
        assert reader.records() == []
        with open_store(url) as store:
            store.record("ops", "trust", {})
            assert len(reader.records()) == 1
        assert len(reader.records()) == 1


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ("sqlite://", "state-url"), ("mysql://x/y", "state-url"), ("what", "state-url"),
        ("sqlite:////proc/no/x", "store-path"),
    ],
)  # fmt: skip
def test_a_bad_url_is_a_clear_error(bad, code):
    with pytest.raises(StoreError) as caught:
        open_store(bad)
    assert (caught.value.code, caught.value.exit_code) == (code, 2 if code == "state-url" else 1)
    assert caught.value.hint


def test_a_file_that_is_no_store_is_refused_unchanged(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes, not a database, but long enough to be read as one " * 20)
    path.chmod(0o600)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        open_store(f"sqlite:///{path}")
    assert caught.value.code == "store-damaged"
    assert path.read_bytes() == before


def test_odd_characters_in_the_path_are_only_a_path(tmp_path):
    folder = tmp_path / "a b#x&y=z"
    with open_store(f"sqlite:///{folder}/s.db") as store:
        store.record("ops", "x", {})
    assert [file.name for file in folder.iterdir()] == ["s.db"]


def test_secrets_of_a_run_never_reach_the_database_in_any_form(store, url):
    import base64

    from patchctl.model.redaction import Redactor

    secret = 'hunter2"\\ü'
    redactor = Redactor()
    safe = store.redacting(redactor.clean)
    redactor.add(secret)  # learned after the store was opened, as secrets are resolved lazily
    encoded = base64.b64encode(secret.encode()).decode()
    text = f"sudo: {secret} and {encoded}"
    safe.record("ops", "x", {"a": [{"b": text}]}, text)
    safe.journal.append([Event("r", 1, 1.0, "ops", "k", "h", {"log": text}, text)])
    volatile = Evidence("v", "ok", text, volatile=True)
    safe.save_snapshot(Snapshot("h", 1.0, {"p": Evidence("p", "ok", text), "v": volatile}))
    assert safe.latest_snapshots()["h"].output("p") == "sudo: ******** and ********"
    assert safe.journal.events("r")[0].reason == "sudo: ******** and ********"
    store.close()
    for file in Path(url.removeprefix("sqlite:///")).parent.iterdir():
        content = file.read_bytes()
        assert b"hunter2" not in content
        assert encoded.encode() not in content


def test_a_hundred_threads_save_and_read_at_once(any_store):
    failures = []
    start = threading.Barrier(100)

    def work(number: int) -> None:
        start.wait()
        try:
            found = {"p": Evidence("p", "ok", f"shared {number % 3}"), "q": Evidence("q", "ok", f"own {number}")}
            identity = any_store.save_snapshot(Snapshot(f"h{number}", float(number), found))
            assert any_store.load_snapshot(identity).output("q") == f"own {number}"
            any_store.journal.append([Event(f"r{number % 7}", number + 1, 1.0, "t", "k")])
        except Exception as error:  # noqa: BLE001 - shown by the assertion below, in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(100)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []
    assert len(any_store.latest_snapshots()) == 100
    assert len(any_store.records()) == 100
    assert any_store.verify_chain().ok
