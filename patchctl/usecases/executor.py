"""Carries out host jobs in this process: a pool of threads behind ports.Executor, with its share for every site."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from patchctl.model.errors import HostFailure
from patchctl.model.rollout import HostJob, JobOutcome


class PoolExecutor:
    """Runs `perform` for up to `forks` jobs at once; per site at most as many as `site_forks` says.

    Jobs of a site that is at its limit wait without holding a thread, so that a slow site stalls no other. Threads
    are daemons: a process that ends does not wait for a hanging host (the work on the host goes on by itself).
    """

    def __init__(
        self,
        perform: Callable[[HostJob], JobOutcome],
        forks: int,
        *,
        site_of: Mapping[str, str] | None = None,
        site_forks: Mapping[str, int] | None = None,
    ) -> None:
        self._perform = perform
        self._forks = max(1, forks)
        self._site_of = dict(site_of or {})
        self._site_forks = dict(site_forks or {})
        self._guard = threading.Lock()
        self._waiting: deque[HostJob] = deque()
        self._running: dict[str, int] = {}
        self._threads = 0
        self._unclaimed = 0
        self._done: queue.SimpleQueue[JobOutcome] = queue.SimpleQueue()

    def submit(self, job: HostJob) -> None:
        """Take a job; it begins as soon as a thread and its site have room."""
        with self._guard:
            self._unclaimed += 1
            self._waiting.append(job)
            self._begin()

    def collect(self, timeout: float) -> list[JobOutcome]:
        """Wait up to `timeout` seconds for at least one outcome; return all that are there (maybe none)."""
        outcomes: list[JobOutcome] = []
        deadline = time.monotonic() + max(0.0, timeout)
        while True:
            try:
                wait = 0.0 if outcomes else max(0.0, deadline - time.monotonic())
                outcomes.append(self._done.get(timeout=wait) if wait else self._done.get_nowait())
            except queue.Empty:
                break
        with self._guard:
            self._unclaimed -= len(outcomes)
        return outcomes

    def in_flight(self) -> int:
        """Return how many jobs were submitted whose outcome has not been collected."""
        with self._guard:
            return self._unclaimed

    def _begin(self) -> None:
        """Start threads for jobs that may run now (call with the guard held)."""
        for _ in range(len(self._waiting)):
            if self._threads >= self._forks:
                return
            job = self._waiting.popleft()
            site = self._site_of.get(job.host, "")
            if self._running.get(site, 0) >= self._site_forks.get(site, self._forks):
                self._waiting.append(job)
                continue
            self._running[site] = self._running.get(site, 0) + 1
            self._threads += 1
            threading.Thread(target=self._work, args=(job, site), name=f"visit-{job.host}", daemon=True).start()

    def _work(self, job: HostJob, site: str) -> None:
        try:
            outcome = self._perform(job)
        except BaseException as error:  # noqa: BLE001 - a lost job would hang the rollout: it becomes a failed outcome
            failure = HostFailure("internal-error", f"{type(error).__name__}: {error}", "report this as a bug")
            outcome = JobOutcome(job.id, job.host, job.kind, "failed", job.attempt, failure)
        with self._guard:
            self._threads -= 1
            self._running[site] -= 1
            self._begin()
        self._done.put(outcome)
