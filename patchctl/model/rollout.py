"""Event, HostJob, JobOutcome: the values between journal, decide, the loop and the hosts."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from patchctl.model.errors import HostFailure

EVENT_VERSION = 1

# Host states, as in the machine-readable output.
PENDING, PREFLIGHT, STAGING, APPLYING = "pending", "preflight", "staging", "applying"
REBOOTING, VERIFYING, SUCCEEDED, REBOOT_PENDING = "rebooting", "verifying", "succeeded", "reboot-pending"
FAILED, SKIPPED, FROZEN, BLOCKED = "failed", "skipped", "frozen", "blocked"
IN_DOUBT, INTERRUPTED, LATE, ROLLED_BACK = "in-doubt", "interrupted", "late", "rolled-back"
SUPERSEDED, UNREACHABLE = "superseded", "unreachable"


class Event(Struct, frozen=True):
    """One line of the journal. (rollout, seq) is unique; the store chains them by hash."""

    rollout: str
    seq: int
    at: float
    """Unix time, UTC."""
    actor: str
    """user@controller, or patchctl for decisions of the loop itself"""
    kind: str
    host: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    """JSON values only."""
    reason: str = ""
    version: int = EVENT_VERSION


class HostJob(Struct, frozen=True):
    """One visit to one host: a plain value, so that it can run in this process or in a worker elsewhere.

    kind      what it does                                             may be repeated blindly
    preflight connect, refuse if vetoed or changed, health before      yes
    stage     put the exact artefacts on the host and check hashes     yes
    start     claim the attempt and start the detached runner          yes: a claimed attempt is not started again
    poll      ask how the attempt is going                             yes
    reboot    ask for a reboot, bound to the boot id it expects        yes: another boot id is a no-op
    boot      look whether the host is back with another boot id       yes
    verify    new login, new snapshot, health after, compare           yes
    cleanup   remove the spool, prove that it is gone                  yes
    """

    id: str
    rollout: str
    host: str
    kind: str
    attempt: str = ""
    """Unique name of the attempt on the host: ROLLOUT-ID.HOST-HASH.N, [A-Za-z0-9._-] only."""
    token: int = 0
    """Fencing token; hosts refuse anything lower than the highest they have seen."""
    boot_id: str = ""
    """For reboot and boot: the boot id before the reboot. For poll: the boot id at start."""
    adjustments: tuple[str, ...] = ()
    """Names of remedies this attempt applies before the install (rollout/remedies.py)."""
    previous: str = ""
    """The attempt this one follows after an interruption or failure."""
    undo: bool = False
    """It serves to take the host's changes back: the earlier versions are what is staged, installed and verified."""
    data: dict[str, Any] = field(default_factory=dict)
    """Results of earlier jobs this one needs (health before, ...). JSON values only."""


class JobOutcome(Struct, frozen=True):
    """What a visit gave.

    kind      results
    preflight ok | done (nothing left to change) | changed | veto | failed | unreachable
    stage     ok | failed | unreachable
    start     started | adopted (claimed before) | veto | fenced | failed | unreachable (in doubt: ask with poll)
    poll      running | finished | interrupted | absent (never claimed) | unreachable
    reboot    requested | rebooted (already) | failed | unreachable
    boot      rebooted | waiting | unreachable
    verify    ok | failed | unreachable
    cleanup   ok | failed | unreachable
    """

    job: str
    host: str
    kind: str
    result: str
    attempt: str = ""
    error: HostFailure | None = None
    data: dict[str, Any] = field(default_factory=dict)
    """JSON values only; see docs/reference/journal.md for the keys of each kind."""


class Diagnosis(Struct, frozen=True):
    """Why a host failed.

    cls: access | package-manager | repository | disk | policy | patch | fix | reboot | unknown
    """

    cls: str
    signature: str
    """kebab-case name of the failure signature, e.g. dpkg-lock-held"""
    evidence: str
    """The line or fact that shows it, redacted and bounded."""
    message: str
    """One sentence for people, naming the culprit (lock holder, file system, repository)."""
    transient: bool = False
    remedy: str = ""
    """Name of the adjustment tried or proposed ("" = none known)."""


class Signature(Struct, frozen=True):
    """A failure as a platform declares it: a pattern over the runner's output or an error code."""

    name: str
    cls: str
    pattern: str
    """Regular expression, searched line by line; named groups may be used in `message`."""
    message: str
    transient: bool = False
    remedy: str = ""
    phase: str = ""
    """Job kind it can occur in; "" = any."""
