"""Remembers what pure functions gave for the same input, for as long as one pass over many hosts lasts.

Hosts of one fleet answer many probes with the same text; reading it once saves most of the time and, because the
values are shared, most of the memory. A Memo belongs to the pass that makes it; there is none that outlives it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Results by key. Threads may share one: at worst a value is made twice."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gave for `key` the first time. The key must name the function and all its input."""
        try:
            found: T = self._known[key]
        except KeyError:
            found = self._known[key] = make()
        return found
