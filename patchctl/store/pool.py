"""Connections that are open already, for threads that come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from patchctl.store.connection import Connection, RefusedError

WAIT_SECONDS = 120.0
"""How long a thread waits for a connection where their number is limited."""


class Pool:
    """Lends each caller a connection of its own; safe from many threads.

    connect: opens a connection, or raises StoreError. keep: how many are kept open while nobody uses them. limit: how
    many there may be at once, None = as many as are asked for.
    """

    def __init__(self, connect: Callable[[], Connection], *, keep: int, limit: int | None = None) -> None:
        self._connect = connect
        self._keep = keep
        self._places = None if limit is None else threading.BoundedSemaphore(limit)
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Lend a connection. One that broke meanwhile (the server was restarted) is replaced before it is lent."""
        if self._places is not None and not self._places.acquire(timeout=WAIT_SECONDS):
            raise RefusedError("store-failed", f"no connection to the database was free for {WAIT_SECONDS:.0f} s", "")
        try:
            connection = self._take() or self._connect()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            if self._places is not None:
                self._places.release()

    def close(self) -> None:
        """Close the connections that nobody uses; those in use are closed when they are given back."""
        with self._lock:
            idle, self._idle, self._keep = self._idle, [], 0
        for connection in idle:
            connection.close()

    def _take(self) -> Connection | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if connection.is_alive():
                return connection
            connection.close()

    def _give_back(self, connection: Connection) -> None:
        with self._lock:
            if not connection.broken and len(self._idle) < self._keep:
                self._idle.append(connection)
                return
        connection.close()
