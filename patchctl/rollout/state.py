"""What a rollout's journal says, folded into frozen values: the rollout, its rings and its hosts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from patchctl.model.errors import HostFailure
from patchctl.model.plan import HostPlan, Plan
from patchctl.model.rollout import PENDING, Diagnosis

PLANNED, RUNNING, PAUSED, HALTED, COMPLETED, ABORTED = (
    "planned", "running", "paused", "halted", "completed", "aborted",
)

GOOD_ENDS = frozenset({"succeeded", "reboot-pending", "late", "skipped", "frozen", "superseded"})
"""End states that `retry --failed` leaves alone."""


class LastJob(Struct, frozen=True):
    """The newest outcome of a host: what the next step is derived from."""

    id: str
    kind: str
    result: str
    at: float
    """When the outcome was recorded."""
    error: HostFailure | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


class Conclusion(Struct, frozen=True):
    """What was decided about an attempt. It takes effect when the clean-up on the host is done."""

    state: str
    """End state of the host; ignored when `retry` is set."""
    message: str = ""
    counts: str = ""
    """The limit it counts against: errors | unreachable | changed | "" (none)."""
    retry: bool = False
    not_before: float = 0.0
    adjustments: tuple[str, ...] = ()
    """What the next attempt will do differently."""
    cleanup: bool = True
    """Whether there is something on the host to clean up."""
    undo: bool = False
    """The host is to be rolled back next."""


class HostProgress(Struct, frozen=True):
    """One host in the rollout. Times are Unix seconds."""

    host: str
    state: str = PENDING
    message: str = ""
    """Why it is in that state, for people."""
    settled: bool = False
    """Nothing more happens to it in this run (until a retry)."""
    counts: str = ""
    attempts: int = 0
    attempt: str = ""
    """Name of the current attempt ("" = none yet)."""
    previous: str = ""
    adjustments: tuple[str, ...] = ()
    """Adjustments of the current attempt."""
    started_at: float | None = None
    attempt_at: float | None = None
    """When the current attempt began: limits.host_time counts from here."""
    ended_at: float | None = None
    not_before: float = 0.0
    job: str = ""
    """Id of the job that is out now ("" = none)."""
    job_kind: str = ""
    jobs: int = 0
    last: LastJob | None = None
    tries: int = 0
    """Outcomes of the last job's kind in a row that brought nothing new."""
    open_attempt: bool = False
    """A start was intended and its end has not been seen: the runner may be at work."""
    staged: bool = False
    """Files may have been put on the host that are not cleaned up yet."""
    shut_out: HostFailure | None = None
    """What kept the newest look at the current attempt from getting in, while its end had not been seen."""
    confirmed: bool = False
    """The host itself said that the attempt was started."""
    retries: int = 0
    reboots: int = 0
    """Reboots proven by a changed boot id."""
    rebooted: bool = False
    """A reboot was proven within the current attempt."""
    reboot_asked_at: float | None = None
    reboot_sure: bool = False
    """The host acknowledged the reboot request."""
    boot_id: str = ""
    """The newest boot id seen."""
    started_boot_id: str = ""
    reboot_from: str = ""
    """The boot id before the reboot that was asked for."""
    overdue: bool = False
    health_before: tuple[Mapping[str, Any], ...] | None = None
    install: Mapping[str, Any] = field(default_factory=dict)
    """Data of the last attempt's end as the host reported it (rc, log, conffiles, ...)."""
    failed_rc: int | None = None
    """Exit status of this attempt's install if the package manager failed; what is true is for a look to decide."""
    changes: tuple[Mapping[str, Any], ...] = ()
    """Package changes the host reported, all attempts together."""
    verified: Mapping[str, Any] = field(default_factory=dict)
    """Data of the last verification."""
    diagnosis: Diagnosis | None = None
    failures: tuple[tuple[str, str, str], ...] = ()
    """(signature, evidence, adjustments) of each failed attempt so far, oldest first."""
    error: HostFailure | None = None
    """The error behind the conclusion, if there was one."""
    touched: bool = False
    """An attempt has begun on the host at some time: it may have changed something."""
    undoing: bool = False
    """It failed, and is being taken back to its earlier versions (or was, once it is settled)."""
    cause: Diagnosis | None = None
    """Why it is rolled back."""
    conclusion: Conclusion | None = None

    @property
    def active(self) -> bool:
        """Whether work on the host has begun and is not over: it holds a slot of the concurrency."""
        return not self.settled and (bool(self.job) or self.last is not None)


class RingProgress(Struct, frozen=True):
    name: str
    opened_at: float | None = None
    finished_at: float | None = None
    """When its last host was settled: the soak begins."""
    changed_hosts: bool = False
    """Whether anything was changed in it; a ring without changes needs no soak."""
    approvals: tuple[tuple[str, str], ...] = ()
    """(actor, reason)"""
    asked_at: float | None = None
    """When its approval was asked for."""


class Tally(Struct, frozen=True):
    """What a look at all hosts would give, kept up to date by rollout/tally.py. Names are keys, in no special order."""

    active: Mapping[str, None] = field(default_factory=dict)
    """Hosts whose work has begun and is not over."""
    waiting: Mapping[str, None] = field(default_factory=dict)
    """Hosts that are neither settled nor active."""
    unsettled: Mapping[str, int] = field(default_factory=dict)
    """ring -> its hosts that are not settled"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """limit -> hosts that count against it"""
    touched: int = 0
    """Hosts that the plan touches: what limits are measured by."""


class RolloutState(Struct, frozen=True):
    """A rollout as its journal shows it. `decide` needs nothing else but the time."""

    plan: Plan
    status: str = PLANNED
    seq: int = 0
    """Of the last durable event folded in."""
    token: int = 0
    controller: str = ""
    """Actor who last took the rollout over."""
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    """Why it is paused, halted or aborted."""
    rings: tuple[RingProgress, ...] = ()
    hosts: Mapping[str, HostProgress] = field(default_factory=dict)
    tally: Tally = Tally()
    acknowledged: Mapping[str, int] = field(default_factory=dict)
    """limit -> count that a person saw when resuming after a halt; only going beyond it halts again."""
    windows_overridden: str = ""
    """Reason for which the windows do not count ("" = they count)."""
    unsent: tuple[int, ...] = ()
    """Sequence numbers of events whose notification is not known to have gone out."""

    @property
    def rollout(self) -> str:
        return self.plan.rollout

    def ring_hosts(self, index: int) -> Iterator[tuple[HostPlan, HostProgress]]:
        """Yield plan and progress of a ring's hosts in the order of its waves."""
        for wave in self.plan.rings[index].waves:
            for name in wave:
                yield self.plan.hosts[name], self.hosts[name]
