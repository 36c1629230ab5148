"""Stores to test on: SQLite always, PostgreSQL where a server can be started."""

from __future__ import annotations

import pytest

from patchctl.store.database import Store, open_store


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/state/state.db"


@pytest.fixture
def store(url):
    with open_store(url) as opened:
        yield opened


__all__ = ["Store"]
