"""What the port promises on each database: savepoints, one view, values that come back, broken connections replaced."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import traceback
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patchctl.model.errors import StoreError
from patchctl.model.evidence import Evidence, Snapshot
from patchctl.store.connection import RefusedError
from patchctl.store.database import open_store
from patchctl.store.engine import open_database
from patchctl.store.pool import Pool


@pytest.fixture
def database(any_url):
    """A database with one empty table."""
    opened = open_database(any_url, writable=True)

    def make(connection):
        connection.define(
            "CREATE TABLE t (id {id} NOT NULL, a TEXT, b {bytes}, c FLOAT, d BIGINT, e BOOLEAN,"
            " PRIMARY KEY (id), UNIQUE (a))"
        )

    opened.set_up(make)
    yield opened
    opened.close()


def add(text: str):
    return lambda connection: connection.execute("INSERT INTO t (a) VALUES (:a)", {"a": text})


def texts_in(database) -> list[str]:
    with database.read() as connection:
        return [text for (text,) in connection.rows("SELECT a FROM t ORDER BY id")]


def write_together(database, jobs) -> list[Any]:
    """Have several threads' jobs in one transaction; return what each was told (None = it is recorded)."""
    told: list[Any] = [None] * len(jobs)

    def run(number: int) -> None:
        try:
            database.write(jobs[number])
        except Exception as error:  # noqa: BLE001 - returned, for the test to look at
            told[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    with database._writing:
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(database._queue) < number:
                thread.join(0.001)
    for thread in threads:
        thread.join()
    return told


# --- values


values = st.fixed_dictionaries({
    "a": st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    "b": st.none() | st.binary(),
    "c": st.none() | st.floats(allow_nan=False),
    "d": st.none() | st.integers(-(2**63), 2**63 - 1),
    "e": st.none() | st.booleans(),
})  # fmt: skip


@given(row=values)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_come_back_as_they_went_in(database, row):
    insert = "INSERT INTO t (a, b, c, d, e) VALUES (:a, :b, :c, :d, :e)"
    database.write(lambda connection: connection.execute("DELETE FROM t"))
    number = database.write(lambda connection: connection.insert(insert, row))
    with database.read() as connection:
        select = "SELECT a, b, c, d, e FROM t WHERE id = :id"
        (found,) = connection.rows(select, {"id": number})
        assert list(connection.stream(select, {"id": number})) == [found]
        for column in ("a = :a", "b = :b", "c = :c", "d = :d", "e = :e"):
            if row[column[0]] is not None:
                assert connection.value(f"SELECT count(*) FROM t WHERE {column}", row) == 1
    wanted = tuple(row[column] for column in "abcde")
    assert found == wanted
    assert [type(value) for value in found[:4]] == [type(value) for value in wanted[:4]]


def test_visits_tell_truth_values(any_store):
    any_store.save_snapshot(Snapshot("h", 1.0, {"p": Evidence("p", "ok", "x", 0)}))
    ((_, _, reached),) = any_store.visits("h")
    assert reached is True


def test_a_number_too_big_is_refused_and_harms_nobody_else(database):
    def big(connection):
        connection.execute("INSERT INTO t (d) VALUES (:d)", {"d": 2**63})

    first, second = write_together(database, [big, add("fine")])
    assert first is not None
    # SQLite's driver refuses it before it asks the database; PostgreSQL itself refuses it, and the batch with it.
    assert texts_in(database) == ([] if isinstance(second, StoreError) else ["fine"])


# --- transactions


def test_a_job_that_fails_undoes_only_itself(database):
    def fails(connection):
        add("half")(connection)
        raise StoreError("mine", "no", "")

    def breaks(connection):
        add("half of another")(connection)
        raise ZeroDivisionError

    told = write_together(database, [add("one"), fails, add("two"), breaks, add("three")])
    assert [type(error) for error in told] == [type(None), StoreError, type(None), ZeroDivisionError, type(None)]
    assert texts_in(database) == ["one", "two", "three"]


def test_a_row_that_is_there_already_is_a_conflict_of_its_own_job_only(database):
    database.write(add("taken"))

    def twice(connection):
        add("before")(connection)
        add("taken")(connection)

    told = write_together(database, [add("one"), twice, add("two")])
    assert [getattr(error, "code", None) for error in told] == [None, "conflict", None]
    assert texts_in(database) == ["taken", "one", "two"]


def test_what_the_database_refuses_ends_the_whole_batch(database):
    def nonsense(connection):
        connection.execute("INSERT INTO nowhere VALUES (1)")

    told = write_together(database, [add("one"), nonsense, add("two")])
    assert [error.code for error in told] == ["store-failed"] * 3
    assert len({id(error) for error in told}) == 3, "each thread its own exception"
    assert texts_in(database) == []
    database.write(add("again"))
    assert texts_in(database) == ["again"]


def test_an_error_that_a_job_hides_is_not_committed(database):
    def hides(connection):
        add("half")(connection)
        try:
            connection.execute("INSERT INTO nowhere VALUES (1)")
        except RefusedError:
            pass

    (told,) = write_together(database, [hides])
    assert texts_in(database) == ([] if told else ["half"]), "what was acknowledged is there, what was not is not"


def test_an_interrupt_undoes_the_batch_and_tells_everybody(database):
    def interrupted(connection):
        add("half")(connection)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.write(interrupted)
    assert texts_in(database) == []
    database.write(add("again"))
    assert texts_in(database) == ["again"]


def test_a_reader_has_one_view_whatever_is_written_meanwhile(database):
    database.write(add("one"))
    with database.read() as connection:
        assert connection.value("SELECT count(*) FROM t") == 1
        database.write(add("two"))
        assert connection.value("SELECT count(*) FROM t") == 1
        assert len(list(connection.stream("SELECT a FROM t"))) == 1
    assert len(texts_in(database)) == 2


def test_a_chain_that_grows_while_it_is_verified_is_not_called_broken(any_store):
    done = threading.Event()

    def grow() -> None:
        while not done.is_set():
            any_store.record("me", "kind", {})

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        reports = [any_store.verify_chain() for _ in range(15)]
    finally:
        done.set()
        writer.join()
    assert [report.problems for report in reports] == [()] * 15


def test_a_stream_may_be_left_and_another_begun(database):
    def fill(connection):
        connection.execute_many("INSERT INTO t (a) VALUES (:a)", [{"a": str(n)} for n in range(2500)])

    database.write(fill)
    with database.read() as connection:
        first = connection.stream("SELECT a FROM t ORDER BY id")
        assert next(first) == ("0",)
        assert len(list(connection.stream("SELECT a FROM t"))) == 2500
        assert next(first) == ("1",)
    with database.read() as connection:
        assert connection.value("SELECT count(*) FROM t") == 2500


def test_a_lock_that_somebody_keeps_is_told_as_busy(any_store, any_url):
    short = "PRAGMA busy_timeout = 10" if any_url.startswith("sqlite") else "SET lock_timeout = 10"
    with any_store.database.read() as connection:
        pass
    other = open_database(any_url, writable=True)
    with other._pool.connection() as blocker, blocker.transaction(writes=True):
        blocker.rows_for_update("SELECT number FROM chain WHERE id = 1")
        with any_store.database._pool.connection() as connection:  # the one that is lent next
            connection.rows(short) if short.startswith("PRAGMA") else connection.execute(short)
        with pytest.raises(StoreError) as caught:
            any_store.record("me", "kind", {})
    assert caught.value.code == "store-busy"
    other.close()
    assert any_store.record("me", "kind", {}) == 1


def test_a_store_without_its_own_rows_is_damaged(any_store):
    any_store.record("me", "kind", {})
    wrecks = {
        "DELETE FROM chain": (any_store.head, lambda: any_store.record("me", "kind", {}), any_store.verify_chain),
        "DELETE FROM counters": (any_store.next_token,),
        "DELETE FROM meta": (lambda: any_store.raise_epoch("me", "why"),),
    }
    for statement, uses in wrecks.items():
        any_store.database.write(lambda connection, sql=statement: connection.execute(sql))
        for use in uses:
            with pytest.raises(StoreError) as caught:
                use()
            assert caught.value.code == "store-damaged"


# --- connections


def test_a_connection_that_broke_is_replaced(server_url):
    with open_store(server_url) as store:
        break_and_use(store, server_url)


def break_and_use(store, url) -> None:
    import psycopg

    store.record("me", "kind", {})
    with store.database._pool.connection() as first, store.database._pool.connection():
        assert first.is_alive()
    name = url.rpartition("/")[2]
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    with psycopg.connect(url, autocommit=True) as killer:
        assert len(killer.execute(end, [name]).fetchall()) >= 2
        assert store.record("me", "kind", {}) == 2

        def cut(connection) -> None:
            connection.execute("DELETE FROM chain")
            killer.execute(end, [name])
            connection.rows("SELECT 1")

        with pytest.raises(StoreError) as caught:
            store.database.write(cut)
        assert caught.value.code == "store-failed"
    assert store.record("me", "kind", {}) == 3
    assert store.verify_chain().ok


def test_a_server_lost_while_it_commits_leaves_it_open_whether_it_did():
    psycopg = pytest.importorskip("psycopg")
    from patchctl.store.postgresql import PostgresqlConnection

    class Lost:
        closed = True

        def commit(self):
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    lost: Any = Lost()
    with pytest.raises(RefusedError) as caught:
        PostgresqlConnection(lost).commit()
    assert caught.value.code == "store-unsure"
    lost.closed = False
    with pytest.raises(RefusedError) as caught:
        PostgresqlConnection(lost).commit()
    assert caught.value.code == "store-failed"


def test_a_server_that_was_restarted_is_found_again(cluster, server_url):
    _, pg_ctl = cluster
    with open_store(server_url) as store:
        store.record("me", "kind", {})
        pg_ctl("restart", "-m", "fast")
        assert store.record("me", "kind", {}) == 2
        assert store.verify_chain().ok


def test_durability_does_not_depend_on_the_servers_default(server_url):
    import psycopg

    name = server_url.rpartition("/")[2]
    with psycopg.connect(server_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    with open_store(server_url) as store, store.database.read() as connection:
        assert connection.value("SHOW synchronous_commit") == "on"
        assert connection.value("SHOW lock_timeout") == "30s"


def test_reading_a_server_cannot_write(server_url):
    with open_store(server_url) as store, pytest.raises(StoreError) as caught, store.database.read() as connection:
        connection.execute("DELETE FROM audit")
    assert caught.value.code == "store-read-only"


def test_a_password_is_never_shown():
    pytest.importorskip("psycopg")
    urls = ["postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://127.0.0.1:1/d?password=hunter2",
            "postgresql://u:hunter2@127.0.0.1:1/d?nonsense=1"]  # fmt: skip
    for url in urls:
        with pytest.raises(StoreError) as caught:
            open_store(url)
        shown = "".join(traceback.format_exception(caught.value))
        assert "psycopg" in shown, "what led to it is looked at too"
        assert "hunter2" not in shown


def test_a_missing_driver_is_named():
    code = textwrap.dedent("""
        import sys
        sys.modules["psycopg"] = None
        from patchctl.model.errors import StoreChoiceError
        from patchctl.store.database import open_store
        try:
            open_store("postgresql://u:p@h/d")
        except StoreChoiceError as error:
            print(error.code, error.hint)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "no-driver run: pip install 'patchctl[postgresql]'\n"


def test_only_the_driver_that_is_used_is_loaded(url):
    code = textwrap.dedent("""
        import sys
        from patchctl.store.database import open_store
        assert "sqlite3" not in sys.modules
        open_store(sys.argv[1]).close()
        print([m for m in ("psycopg", "asyncio", "ssl", "importlib.metadata", "logging") if m in sys.modules])
    """)
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_foreign_database_is_refused_for_reading_and_left_alone(new_url):
    address = new_url()
    foreign = open_database(address, writable=True)
    foreign.set_up(lambda connection: connection.define("CREATE TABLE other (a TEXT)"))
    with pytest.raises(StoreError) as caught:
        open_store(address, writable=False)
    assert caught.value.code == "not-a-store"
    with foreign.read() as connection:
        assert not connection.has_table("meta")
    foreign.close()


def test_many_readers_of_a_store_that_is_not_there_yet(url):
    with open_store(url, writable=False) as store:
        heads = []

        def read() -> None:
            with store.database.read() as connection:
                assert store.latest_snapshots() == {}
                heads.append((store.head().hash, connection.value("SELECT count(*) FROM audit")))

        threads = [threading.Thread(target=read) for _ in range(20)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert len(heads) == 20
        assert len(set(heads)) == 1
        assert store.verify_chain().ok


# --- the pool


class Fake:
    """A connection that remembers only whether it was closed."""

    def __init__(self) -> None:
        self.broken = False
        self.alive = True
        self.closed = False

    def is_alive(self) -> bool:
        return self.alive

    def close(self) -> None:
        self.closed = True


def pool_of(connect: Any, **options: Any) -> Any:
    return Pool(connect, **options)


def test_the_pool_lends_again_what_is_whole_and_closes_the_rest():
    pool = pool_of(Fake, keep=1)
    with pool.connection() as first, pool.connection() as second:
        assert first is not second
    assert (first.closed, second.closed) == (True, False)
    with pool.connection() as again:
        assert again is second
        again.broken = True
    assert second.closed
    with pool.connection() as third:
        assert third is not second
    third.alive = False
    with pool.connection() as fourth:
        assert fourth is not third
        assert third.closed
        pool.close()
        assert not fourth.closed
    assert fourth.closed, "one in use is closed when it is given back"


def test_a_full_pool_makes_the_next_wait_and_a_failure_frees_its_place():
    fails = [False]

    def connect() -> Fake:
        if fails[0]:
            raise RefusedError("store-failed", "no", "")
        return Fake()

    pool = pool_of(connect, keep=0, limit=1)
    got = threading.Event()

    def wait() -> None:
        with pool.connection():
            got.set()

    with pool.connection():
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.is_set()
    waiting.join()
    assert got.is_set()
    fails[0] = True
    for _ in range(3):
        with pytest.raises(RefusedError), pool.connection():
            pass
    with pytest.raises(ZeroDivisionError):
        fails[0] = False
        with pool.connection():
            _ = 1 / 0
    with pool.connection():
        pass


def test_a_full_pool_says_so(monkeypatch):
    monkeypatch.setattr("patchctl.store.pool.WAIT_SECONDS", 0.01)
    pool = pool_of(Fake, keep=0, limit=1)
    with pool.connection(), pytest.raises(StoreError, match="was free for"), pool.connection():
        pass
