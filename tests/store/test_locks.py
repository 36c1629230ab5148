"""Locks: one holder, named; gone holders are recognised; nobody waits for a dead process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest
from msgspec.structs import replace

from patchctl.model.errors import LockedError
from patchctl.store.database import open_store
from patchctl.store.locks import current_holder, is_gone

HOLD = textwrap.dedent("""
    import sys, time
    from patchctl.store.database import open_store
    with open_store(sys.argv[1]) as store, store.lock("apply", "patchctl apply --policy monthly"):
        print("held", flush=True)
        sys.stdin.readline()
    print("released", flush=True)
""")


@pytest.fixture
def other(any_url):
    """Another process that holds the lock."""
    open_store(any_url).close()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, any_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_held_lock_is_refused_and_its_holder_named(any_store, other):
    with pytest.raises(LockedError) as caught, any_store.lock("apply", "me"):
        pass
    assert caught.value.exit_code == 11
    for wanted in (f"pid {other.pid}", "patchctl apply --policy monthly", "since"):
        assert wanted in caught.value.message
    assert [holder.pid for holder in any_store.holders()] == [other.pid]
    with any_store.lock("another name", "me"):
        pass


def test_waiting_gets_the_lock_when_it_is_released(any_store, other):
    threading.Timer(0.7, lambda: (other.stdin.write("\n"), other.stdin.flush())).start()
    with any_store.lock("apply", "me", wait=30):
        assert any_store.holders()[0].pid == os.getpid()
    assert any_store.holders() == []


def test_the_lock_of_a_killed_process_is_taken_over(any_store, other):
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    assert any_store.holders() == []
    with any_store.lock("apply", "me"):
        assert any_store.holders()[0].command == "me"


def test_a_lock_is_released_when_the_block_fails(store):
    with pytest.raises(ZeroDivisionError), store.lock("apply", "me"):
        _ = 1 / 0
    with store.lock("apply", "again"):
        pass


def test_the_same_process_does_not_get_it_twice(store):
    with store.lock("apply", "one"), pytest.raises(LockedError), store.lock("apply", "two"):
        pass


def test_of_many_threads_one_at_a_time(any_store):
    inside, most = [0], [0]

    def work() -> None:
        with any_store.lock("apply", "t", wait=60):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            any_store.next_token()
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert most == [1]


def test_breaking_a_lock_is_recorded_and_the_old_holder_cannot_release_the_new(store):
    with store.lock("apply", "lost machine"):
        assert store.break_lock("apply", "ops@ctl", "machine burnt").command == "lost machine"
        taken = store.lock("apply", "new")
        taken.__enter__()
    assert [h.command for h in store.holders()] == ["new"]
    taken.__exit__(None, None, None)
    assert store.break_lock("apply", "ops", "") is None
    record = store.records()[-1].event
    assert (record.kind, record.reason) == ("lock-broken", "machine burnt")


ME = current_holder("x", "c", 0.0)


@pytest.mark.parametrize(
    ("holder", "gone"),
    [
        (ME, False),
        (replace(ME, started=ME.started + 1), True),  # the pid was reused
        (replace(ME, pid=2**22 + 1), True),
        (replace(ME, boot_id="earlier"), True),
        (replace(ME, machine="elsewhere", pid=2**22 + 1), False),  # nobody can know from here
        (replace(ME, namespace="pid:[1]", pid=2**22 + 1), False),  # another container
    ],
)
def test_only_what_is_certainly_gone_counts_as_gone(holder, gone):
    starts = {ME.pid: ME.started}
    assert is_gone(holder, ME.machine, ME.boot_id, ME.namespace, starts.get) is gone
