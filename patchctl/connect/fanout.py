"""Visits many hosts at once: results as they come, limits per site, one host's trouble stays that host's."""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from patchctl.model.errors import CredentialsError, HostError, HostFailure, PatchctlError
from patchctl.model.hosts import Host

T = TypeVar("T")

_log = logging.getLogger("patchctl.fanout")


def visit(
    hosts: Sequence[Host],
    work: Callable[[Host], T],
    forks: int,
    *,
    on_start: Callable[[Host], None] | None = None,
    on_done: Callable[[Host, T | HostFailure], None] | None = None,
    site_forks: Mapping[str, int] | None = None,
) -> Iterator[tuple[Host, T | HostFailure]]:
    """Call `work` for every host, at most `forks` at a time and `site_forks[site]` of one site; yield as they end.

    Hosts are started in the order given, but a site that is full does not hold up the others. An exception of `work`
    becomes a HostFailure. on_start runs in the worker's thread, on_done in the caller's, before the yield. Closing the
    iterator (also by KeyboardInterrupt) starts no more hosts and does not wait for those in flight: their threads are
    daemons with deadlines of their own.
    """
    schedule = _Schedule(hosts, site_forks or {})
    done: queue.SimpleQueue[tuple[Host, T | HostFailure]] = queue.SimpleQueue()

    def worker(host: Host | None) -> None:
        while host is not None:
            outcome = _attempt(work, host, on_start)
            following = schedule.next_after(host)
            done.put((host, outcome))
            host = following

    try:
        started = 0
        while started < min(max(1, forks), len(hosts)):
            host = schedule.first()
            if host is None:
                break
            threading.Thread(target=worker, args=(host,), daemon=True, name=f"visit-{started}").start()
            started += 1
        for _ in range(len(hosts)):
            host, outcome = done.get()
            if on_done is not None:
                on_done(host, outcome)
            yield host, outcome
    finally:
        schedule.stop()


class _Schedule:
    """Hands out the next host whose site has room. Thread-safe."""

    def __init__(self, hosts: Sequence[Host], limits: Mapping[str, int]) -> None:
        self._lock = threading.Lock()
        self._limits = limits
        self._sites: dict[str, deque[tuple[int, Host]]] = {}
        for index, host in enumerate(hosts):
            self._sites.setdefault(host.site, deque()).append((index, host))
        self._busy: Counter[str] = Counter()

    def first(self) -> Host | None:
        with self._lock:
            return self._take()

    def next_after(self, host: Host) -> Host | None:
        """The host is done: return the one this worker goes on with."""
        with self._lock:
            self._busy[host.site] -= 1
            return self._take()

    def stop(self) -> None:
        with self._lock:
            self._sites.clear()

    def _take(self) -> Host | None:
        open_sites = [
            site for site, waiting in self._sites.items()
            if waiting and self._busy[site] < self._limits.get(site, len(waiting) + self._busy[site])
        ]
        if not open_sites:
            return None
        site = min(open_sites, key=lambda name: self._sites[name][0][0])
        self._busy[site] += 1
        return self._sites[site].popleft()[1]


def _attempt(work: Callable[[Host], T], host: Host, on_start: Callable[[Host], None] | None) -> T | HostFailure:
    try:
        if on_start is not None:
            on_start(host)
        return work(host)
    except HostError as error:
        return error.failure
    except CredentialsError as error:
        return HostFailure(error.code, error.message, error.hint, "auth-failed")
    except PatchctlError as error:
        return HostFailure(error.code, error.message, error.hint)
    except BaseException as error:  # noqa: BLE001 - a defect met on one host must neither end nor hang the run
        _log.debug("internal error at host %s", host.name, exc_info=True)
        return HostFailure(
            "internal-error", f"{host.name}: {type(error).__name__}: {error}",
            "this is a defect of patchctl: report it with the output of -vvv",
        )
