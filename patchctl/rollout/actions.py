"""What `decide` returns: events to record, jobs to run, when to look again, or that the run is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

from msgspec import Struct, field

from patchctl.model.rollout import HostJob, Signature
from patchctl.rollout.state import HostProgress


class Draft(Struct, frozen=True):
    """An event before the loop stamps it with its number, time and actor."""

    kind: str
    host: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    durable: bool = True
    """False: it changes nothing that must survive this process (a look at a host); folded, never written."""


class Record(Struct, frozen=True):
    """Make these events durable, then decide again."""

    events: tuple[Draft, ...]


class RunJob(Struct, frozen=True):
    """Make `intent` durable, then hand the job to the executor."""

    job: HostJob
    intent: Draft


class WakeAt(Struct, frozen=True):
    """Nothing is due before this Unix time, unless an outcome or a foreign event comes in."""

    time: float


class Finish(Struct, frozen=True):
    """Nothing is at work and nothing may be begun: the run is over (completed, halted, paused, aborted)."""


Action = Record | RunJob | WakeAt | Finish


class Waits(Struct):
    """Until when hosts only wait, remembered from one decision to the next: it saves work, it decides nothing.

    A host that is the same value as before, under the same gate, does the same until then.
    """

    gate: tuple[object, ...] = ()
    until: dict[str, tuple[HostProgress, float]] = field(default_factory=dict)
    """host -> (as it was looked at, Unix time)"""

    def expect(self, gate: tuple[object, ...]) -> None:
        """Forget everything that was found under another gate."""
        if gate != self.gate:
            self.gate = gate
            self.until.clear()


class Surroundings(Struct, frozen=True):
    """What deciding needs beside the journal: the platforms' failure signatures, and other rollouts."""

    signatures: Mapping[str, Sequence[Signature]] = field(default_factory=dict)
    """By platform name."""
    down_elsewhere: Mapping[str, Set[str]] = field(default_factory=dict)
    """group -> its hosts that other rollouts have down or in flight now; counts against max_down."""
    waits: Waits = field(default_factory=Waits)
