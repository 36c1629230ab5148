"""Probe, Evidence, Snapshot: what is asked of a host and what came back, or why nothing did."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from patchctl.model.errors import HostFailure

OK = "ok"
UNKNOWN = "unknown"
NOT_APPLICABLE = "not-applicable"


class Probe(Struct, frozen=True):
    """One question to a host: POSIX shell text whose standard output is the evidence."""

    id: str
    """Unique, [a-z0-9._-]+, prefixed by its platform or check: apt.lists, linux.kernel."""
    command: str
    root: bool = False
    """Needs root to give a true answer; without it the evidence is UNKNOWN with the reason."""
    when: str = ""
    """Shell condition; if it fails the evidence is not-applicable."""
    timeout: float = 60.0
    cap: int = 4 * 1024 * 1024
    """Output beyond this many bytes is cut and marked so."""
    volatile: bool = False
    """Changes between any two runs (clock, load): kept apart, so that quiet hosts cost no storage."""
    pending: bool = False
    """What is pending is read from it: `updates` asks these probes only, a scan asks all."""
    tidy: bool = False
    """Known to leave nothing behind, even when cut off: nobody need look for a process (which costs a busy host)."""


class Evidence(Struct, frozen=True):
    """What one probe gave. status: ok | unknown | not-applicable; `reason` says why it is not ok."""

    probe: str
    status: str
    output: str = ""
    rc: int | None = None
    reason: str = ""
    truncated: bool = False
    volatile: bool = False
    """Copied from its probe: the store keeps volatile evidence apart."""


class Snapshot(Struct, frozen=True):
    """All evidence of one host from one visit. A host that was not reached has `failure` and no evidence."""

    host: str
    taken_at: float
    """Unix time of the controller when the script was sent."""
    evidence: Mapping[str, Evidence] = field(default_factory=dict)
    failure: HostFailure | None = None
    seconds: float = 0.0
    complete: bool = True
    """False when no END record came: the rest is UNKNOWN whatever the exit code said."""
    round_trips: int = 1

    def output(self, probe: str) -> str | None:
        """Return a probe's output, or None when it is not ok (so that missing is never mistaken for empty)."""
        found = self.evidence.get(probe)
        return found.output if found is not None and found.status == OK else None

    def reason(self, probe: str) -> str:
        """Return why a probe gave nothing ("" when it is ok)."""
        found = self.evidence.get(probe)
        if found is None:
            return "not collected" if self.failure is None else self.failure.message
        return found.reason if found.status != OK else ""
