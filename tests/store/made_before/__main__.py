"""python -m tests.store.made_before URL: fill a new store, to be kept as a dump."""

from __future__ import annotations

import sys

from patchctl.store.database import open_store
from tests.store.made_before import fill

with open_store(sys.argv[1], now=lambda: 1234.5) as store:
    fill(store)
