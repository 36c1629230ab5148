"""The four things the rollout loop takes as arguments; the simulator replaces them, never the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from patchctl.model.rollout import Event, HostJob, JobOutcome


class Clock(Protocol):
    def now(self) -> float:
        """Return Unix time in seconds (UTC)."""
        ...


class Journal(Protocol):
    """The durable event log of one rollout."""

    def events(self, rollout: str, after: int = 0) -> Sequence[Event]:
        """Return the events with seq > after, in order."""
        ...

    def append(self, events: Sequence[Event]) -> None:
        """Make the events durable before returning.

        Raises StoreError when (rollout, seq) exists already: another controller wrote; nothing is appended then.
        """
        ...


class Executor(Protocol):
    """Carries out host jobs somewhere, several at a time."""

    def submit(self, job: HostJob) -> None: ...

    def collect(self, timeout: float) -> list[JobOutcome]:
        """Wait up to `timeout` seconds for at least one outcome; return all that are there (maybe none)."""
        ...

    def in_flight(self) -> int: ...


class Interrupt(Protocol):
    """Says whether the user asked to stop (Ctrl-C, SIGTERM)."""

    def requested(self) -> bool: ...


class Observer(Protocol):
    """Told what happens while it happens; never steers. The terminal's progress display is one."""

    def started(self, title: str, total: int) -> None:
        """A run over `total` hosts begins."""
        ...

    def step(self, host: str, step: str) -> None:
        """A host is in flight at this step (connecting, staging, applying ...)."""
        ...

    def finished(self, host: str, state: str, message: str = "") -> None:
        """A host reached an end state of this run."""
        ...

    def note(self, message: str) -> None:
        """Something about the run itself: a gate opened, a ring started, a limit crossed."""
        ...

    def ended(self) -> None: ...
