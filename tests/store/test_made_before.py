"""A store that an earlier patchctl made opens, reads the same as one made today, and is written on."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.model.rollout import Event
from patchctl.store.database import open_store
from tests.store.made_before import contents, fill
from tests.store.shape import shape_of

FOLDER = Path(__file__).with_name("made_before")


@pytest.fixture
def old_url(any_url):
    """The URL of a store made before."""
    if any_url.startswith("sqlite"):
        path = Path(any_url.removeprefix("sqlite:///"))
        path.parent.mkdir(mode=0o700)
        path.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.executescript((FOLDER / "sqlite.sql").read_text("utf-8"))
    else:
        import psycopg

        with psycopg.connect(any_url, autocommit=True) as connection:
            connection.execute((FOLDER / "postgresql.sql").read_bytes())
    return any_url


@pytest.mark.parametrize("writable", [False, True])
def test_it_reads_the_same_as_a_store_made_today(old_url, tmp_path, writable):
    with open_store(f"sqlite:///{tmp_path}/new/state.db", now=lambda: 1234.5) as new:
        fill(new)
        wanted = contents(new)
    with open_store(old_url, writable=writable) as old:
        assert contents(old) == wanted
        assert old.verify_chain().ok


def test_it_is_written_on_and_its_chain_goes_on(old_url):
    with open_store(old_url) as store:
        head = store.head()
        store.journal.append([Event("one", 6, 9.0, "ops", "kind")])
        assert store.next_token() == 2
        number = store.save_snapshot(replace(store.latest_snapshots()["db"], taken_at=20.0))
        assert number == "4", "its counter goes on"
        with store.lock("apply", "me"):
            assert store.head().number == head.number + 1
        assert store.verify_chain([head]).ok
        assert store.prune(1e12, 1e12, "ops").snapshots == 1


def test_tables_made_today_have_the_same_shape(old_url, new_url):
    with open_store(old_url) as store:
        old = shape_of(store)
    with open_store(new_url()) as store:
        assert shape_of(store) == old
    assert len(old) > 20
