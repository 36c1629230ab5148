"""The journal: acknowledged means durable, one writer wins, many share a commit, whatever is killed and whenever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchctl.model.errors import StoreError
from patchctl.model.rollout import Event
from patchctl.store.database import open_store

WRITER = textwrap.dedent("""
    import os, sys, threading
    from patchctl.model.rollout import Event
    from patchctl.store.database import open_store
    store = open_store(sys.argv[1])
    def write(rollout):
        seq = len(store.journal.events(rollout))
        while True:
            store.journal.append([Event(rollout, seq + n, 1.0, "t", "k", data={"n": seq + n}) for n in (1, 2)])
            seq += 2
            os.write(1, f"{rollout} {seq}\\n".encode())
    for n in range(4):
        threading.Thread(target=write, args=(f"r{n}",)).start()
""")


def spawn(code: str, *argv: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *argv], stdout=subprocess.PIPE, text=True, **options)


def event(seq: int, rollout: str = "r", **data) -> Event:
    return Event(rollout, seq, 1.5, "ops@ctl", "kind", "web1", data, "why")


def test_no_acknowledged_event_is_lost_by_kill_9_and_the_chain_holds(any_url):
    seed = random.Random(7)
    acknowledged: dict[str, int] = {}
    open_store(any_url).close()
    for _ in range(6):
        writer = spawn(WRITER, any_url)
        try:
            for _ in range(seed.randrange(1, 120)):
                rollout, seq = writer.stdout.readline().split()
                acknowledged[rollout] = int(seq)
        finally:
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read()
            writer.wait()
        for line in rest.splitlines():
            rollout, last = line.split()
            acknowledged[rollout] = int(last)
        with open_store(any_url) as store:
            for rollout, count in acknowledged.items():
                events = store.journal.events(rollout)
                assert [e.seq for e in events] == list(range(1, len(events) + 1))
                assert len(events) >= count
                assert len(events) % 2 == 0  # an append is all or nothing
            report = store.verify_chain()
            assert report.ok, report.problems[:3]
    assert sum(acknowledged.values()) > 50


@pytest.mark.parametrize("point", ["journal.append.before", "journal.append.after"])
def test_a_failpoint_kills_on_its_side_of_durability(url, point):
    open_store(url).close()
    environment = {**os.environ, "PATCHCTL_FAILPOINT": f"{point}:3"}
    writer = spawn(WRITER.replace("range(4)", "range(1)"), url, env=environment)
    writer.stdout.read()
    assert writer.wait() == -signal.SIGKILL
    with open_store(url) as store:
        assert len(store.journal.events("r0")) == (4 if point.endswith("before") else 6)


def test_of_two_writers_of_one_event_exactly_one_wins(any_url):
    code = textwrap.dedent("""
        import sys
        from patchctl.model.errors import StoreError
        from patchctl.model.rollout import Event
        from patchctl.store.database import open_store
        store = open_store(sys.argv[1])
        print("ready", flush=True); sys.stdin.readline()
        won = 0
        for seq in range(1, 41):
            try:
                store.journal.append([Event("r", seq, 1.0, sys.argv[2], "k")]); won += 1
            except StoreError as error:
                assert error.code == "journal-conflict", error.code
        print(won, flush=True)
    """)
    open_store(any_url).close()
    writers = [spawn(code, any_url, name, stdin=subprocess.PIPE) for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    won = [int(writer.communicate()[0]) for writer in writers]
    assert sum(won) == 40
    with open_store(any_url) as store:
        assert [e.seq for e in store.journal.events("r")] == list(range(1, 41))
        assert store.verify_chain().ok


def test_a_refused_append_leaves_nothing_behind_and_harms_nobody_else(any_store):
    any_store.journal.append([event(1), event(2)])
    with pytest.raises(StoreError, match="event 2 was recorded already"):
        any_store.journal.append([event(3), event(2)])
    with pytest.raises(StoreError, match="recorded already"):
        any_store.journal.append([event(4), event(4)])
    any_store.journal.append([event(3)])
    assert [e.seq for e in any_store.journal.events("r")] == [1, 2, 3]
    assert any_store.verify_chain().ok


def test_events_come_back_equal_and_after_a_number(any_store):
    events = [
        Event("r", n, 1.25 * n, "jörg@ctl", "k", "wéb", {"a": [1, None, {"ü": "\0\x1b"}], "f": 0.1}, "…")
        for n in range(1, 6)
    ]
    any_store.journal.append(events)
    assert any_store.journal.events("r") == events
    assert any_store.journal.events("r", after=3) == events[3:]
    assert any_store.journal.events("other") == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\0é", max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(data=st.dictionaries(st.text(max_size=5), json_values, max_size=4), at=st.floats(0, 4e9))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_json_data_survives_and_verifies(store, data, at):
    known = len(store.journal.events("p"))
    given_event = Event("p", known + 1, at, "a", "k", data=data)
    store.journal.append([given_event])
    assert store.journal.events("p", after=known) == [given_event]


def test_what_is_not_json_is_refused_and_not_half_written(store):
    with pytest.raises(StoreError, match="not JSON"):
        store.journal.append([event(1), event(2, bad=object())])
    assert store.journal.events("r") == []
    with pytest.raises(StoreError, match="not JSON"):
        store.journal.append([event(1, bad="\ud800")])


def test_writers_that_wait_share_one_commit(store):
    database = store.database
    commits = []
    with database.read() as connection:  # the pool lends the same one again
        commit = connection.commit
        connection.commit = lambda: (commits.append(1), commit())
    commits.clear()
    threads = [threading.Thread(target=store.journal.append, args=([event(1, f"r{n}")],)) for n in range(20)]
    with database._writing:
        for thread in threads:
            thread.start()
        while len(database._queue) < 20:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert len(commits) == 1
    assert len(store.records()) == 20
    assert store.verify_chain().ok


def test_one_bad_append_in_a_shared_commit_fails_alone(store):
    store.journal.append([event(1, "r3")])
    failed = []

    def append(n: int) -> None:
        try:
            store.journal.append([event(1, f"r{n}"), event(2, f"r{n}")])
        except StoreError:
            failed.append(n)

    threads = [threading.Thread(target=append, args=(n,)) for n in range(8)]
    with store.database._writing:
        for thread in threads:
            thread.start()
        while len(store.database._queue) < 8:
            time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert failed == [3]
    assert [len(store.journal.events(f"r{n}")) for n in range(8)] == [2, 2, 2, 1, 2, 2, 2, 2]
    assert store.verify_chain().ok


FILLER = textwrap.dedent("""
    import os, resource, signal, sys
    from patchctl.model.errors import StoreError
    from patchctl.model.rollout import Event
    from patchctl.store.database import open_store
    store = open_store(sys.argv[1])
    if len(sys.argv) > 2:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    done = 0
    try:
        while True:
            text = os.urandom(3000).hex()
            store.journal.append([Event("r", done + 1, 1.0, "a", "k", data={"t": text})])
            done += 1
    except StoreError as error:
        print(done, error.code, flush=True)
    try:
        store.next_token()
        store.journal.append([Event("r", done + 1, 1.0, "a", "k", data={"t": os.urandom(3000).hex()})])
        print("wrote")
    except StoreError as error:
        print("still", error.code)
""")


def check_full(output: str, url: str) -> None:
    first, second = output.splitlines()
    done, code = first.split()
    assert code == "disk-full"
    assert second == "still disk-full"
    assert int(done) > 10
    with open_store(url) as store:
        assert [e.seq for e in store.journal.events("r")] == list(range(1, int(done) + 1))
        assert store.verify_chain().ok


def test_at_a_file_size_limit_nothing_is_acknowledged_that_is_not_there(url):
    open_store(url).close()
    done = subprocess.run(
        [sys.executable, "-c", FILLER, url, "900000"], capture_output=True, text=True, check=True, timeout=120
    )
    check_full(done.stdout, url)


def test_on_a_full_disk_nothing_is_acknowledged_that_is_not_there(tmp_path):
    """A real ENOSPC: a small tmpfs, mounted in a mount namespace of the test's own."""
    script = textwrap.dedent(f"""
        set -e
        mount -t tmpfs -o size=1m tmpfs {tmp_path}
        {sys.executable} -c "$FILLER" sqlite:///{tmp_path}/s.db
        {sys.executable} -c "$CHECK"
    """)
    check = textwrap.dedent(f"""
        from patchctl.store.database import open_store
        with open_store("sqlite:///{tmp_path}/s.db", writable=False) as store:
            print(len(store.journal.events("r")), store.verify_chain().ok)
    """)
    if os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("needs root and mount namespaces for a small file system")
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "FILLER": FILLER, "CHECK": check},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    acknowledged, code = first.split()
    assert (code, second) == ("disk-full", "still disk-full")
    assert third == f"{acknowledged} True"
