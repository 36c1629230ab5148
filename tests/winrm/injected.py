"""Faults on demand: what a peer does instead of answering, or with its answer; each a stated number of times."""

from __future__ import annotations

import threading
from dataclasses import dataclass

BEFORE = frozenset({
    "drop-before", "stall", "status-401", "status-403", "status-404", "status-500", "status-503", "redirect", "fault",
    "restart",
})
"""The operation is not carried out (restart: all shells are gone, then it is)."""
AFTER = frozenset({
    "drop-after", "truncate", "garbage", "html", "drip", "flood", "plain", "corrupt", "no-ids", "dtd", "stall-after",
})
"""The operation IS carried out and its answer spoilt."""


@dataclass
class Injected:
    """One fault: at which operation (Create, Command, Send, Receive, Signal, Delete, * = any), how often still."""

    kind: str
    at: str
    left: int
    skip: int = 0
    """So many of these operations pass first."""
    detail: str = ""
    """For `fault`: a name of wsman.NAMED. For `redirect`: where to."""
    hits: int = 0


class Faults:
    """The faults of one peer. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._list: list[Injected] = []

    def add(self, kind: str, at: str = "*", *, times: int = 1, skip: int = 0, detail: str = "") -> Injected:
        if kind not in BEFORE | AFTER:
            raise ValueError(f"no fault {kind!r}")
        fault = Injected(kind, at, times, skip, detail)
        with self._lock:
            self._list.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._list.clear()

    def take(self, operation: str) -> Injected | None:
        """Return the fault that hits this operation, if one does."""
        with self._lock:
            for fault in self._list:
                if fault.at in ("*", operation) and fault.left > 0:
                    if fault.skip > 0:
                        fault.skip -= 1
                        return None
                    fault.left -= 1
                    fault.hits += 1
                    return fault
        return None
