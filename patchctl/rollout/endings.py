"""How the work on one host ends: concluded with its diagnosis, settled, tried again or rolled back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from patchctl.model.plan import HostPlan
from patchctl.model.rollout import (
    FAILED,
    INTERRUPTED,
    LATE,
    REBOOT_PENDING,
    ROLLED_BACK,
    SUCCEEDED,
    Diagnosis,
    Signature,
)
from patchctl.model.text import one_line
from patchctl.model.units import format_duration
from patchctl.rollout.actions import Action, Draft, Record
from patchctl.rollout.diagnose import INTERRUPTED_SIGNATURE, diagnose
from patchctl.rollout.remedies import Retry, choose_retry
from patchctl.rollout.state import ABORTED, HostProgress, LastJob, RolloutState
from patchctl.rollout.undo import end_undo, why_no_undo


class Case(Struct, frozen=True):
    """One host at one moment, with all that its next step depends on."""

    state: RolloutState
    plan: HostPlan
    host: HostProgress
    last: LastJob
    now: float
    may_start: bool
    """Whether an install may be started now: rollout running, window open."""
    hold_reason: str
    """Why not."""
    signatures: Sequence[Signature] = ()

    @property
    def deadline(self) -> float:
        return (self.host.attempt_at or self.now) + self.state.plan.limits.host_time


def pass_deadline(case: Case) -> Action:
    """host_time is over: what may be at work is in doubt and followed on; what was not begun ends here."""
    host = case.host
    span = format_duration(case.state.plan.limits.host_time)
    touched = host.open_attempt or case.last.kind in ("poll", "reboot", "boot", "verify")
    if touched:
        step = one_line(str(case.last.data.get("step") or case.last.kind))
        return Record((Draft("host-overdue", host.host, {}, f"not finished after {span}, last known at {step}"),))
    if case.last.error is not None:
        found = diagnose(case.last.kind, case.last.error, case.last.data, case.signatures)
    else:
        found = Diagnosis("unknown", "host-time", f"last job {case.last.kind}", f"not started within {span}")
    return conclude(case, FAILED, found.message, "errors", diagnosis=found, cleanup=host.staged)


def succeed(case: Case, required: object) -> Action:
    """Conclude a host on which all is in place. `required`: whether a reboot still is; None = unknown."""
    host = case.host
    if required is True:
        reasons = ", ".join(one_line(str(reason)) for reason in case.last.data.get("reboot_reasons") or ())
        still = "still required after a reboot" if host.rebooted else "reboot required"
        if host.failed_rc is not None:
            still = f"{_doer(case)} ended with rc {host.failed_rc}, but everything planned is in place; {still}"
        return conclude(case, REBOOT_PENDING, f"{still}: {reasons}" if reasons else still)
    notes = []
    if host.failed_rc is not None:
        notes.append(f"{_doer(case)} ended with rc {host.failed_rc}, but everything planned is in place")
    if host.overdue:
        notes.append(f"verified {format_duration(case.now - case.deadline)} after its deadline")
    if required is not False:
        notes.append("whether a reboot is required is unknown")
    notes += [one_line(str(note)) for note in case.last.data.get("notes") or ()]
    return conclude(case, LATE if host.overdue else good_end(case), "; ".join(notes))


def fail(case: Case, cleanup: bool = True) -> Action:
    """Conclude a failure that the last outcome tells."""
    found = diagnose(case.last.kind, case.last.error, case.last.data, case.signatures)
    return fail_with(case, found, cleanup)


def fail_with(case: Case, found: Diagnosis, cleanup: bool = True) -> Action:
    """Conclude a failure: another attempt if there is a reason to expect another end, else the end state."""
    host, limits = case.host, case.state.plan.limits
    retry = find_retry(case, found)
    if retry is not None and not host.overdue:
        what = f"again with {retry.added}" if retry.added else "again unchanged"
        return conclude(
            case, "", f"{found.message}; {what}, retry {host.retries + 1} of {limits.retries}",
            diagnosis=found, cleanup=cleanup, retry=True, not_before=case.now + retry.delay,
            adjustments=list(retry.adjustments),
        )
    tried = f"; {host.retries} retr{'y' if host.retries == 1 else 'ies'}" if host.retries else ""
    if case.state.plan.on_failure == "rollback" and not host.undoing and case.plan.changes and host.touched:
        obstacle = why_no_undo(case.plan, host, found, aborted=case.state.status == ABORTED)
        if not obstacle:
            message = f"{found.message}{tried}; rolling back to the earlier versions"
            return conclude(case, FAILED, message, "errors", diagnosis=found, cleanup=cleanup, undo=True)
        tried += f"; {obstacle}"
    state = INTERRUPTED if found.signature == INTERRUPTED_SIGNATURE else FAILED
    return conclude(case, state, found.message + tried, "errors", diagnosis=found, cleanup=cleanup)


def good_end(case: Case) -> str:
    """Return the state of a host that is where its rollout wants it."""
    return ROLLED_BACK if case.state.plan.undoes else SUCCEEDED


def find_retry(case: Case, found: Diagnosis) -> Retry | None:
    """Return how another attempt would be made, or None where there is no reason or no budget for one."""
    host, limit = case.host, case.state.plan.limits.retries
    return choose_retry(found, host.failures, host.adjustments, host.retries, limit)


def conclude(
    case: Case, state: str, message: str, counts: str = "", *, diagnosis: Diagnosis | None = None,
    cleanup: bool = True, **more: Any,
) -> Action:
    """Record how this attempt ended, with `more` for its event; what follows is cleanup, then the end `state`."""
    if case.host.undoing and not more.get("retry"):
        state, message = end_undo(case.host, state, message, diagnosis)
        counts = "errors"
    data: dict[str, Any] = {"state": state, "counts": counts, "cleanup": cleanup, **more}
    if diagnosis is not None:
        data["diagnosis"] = asdict(diagnosis)
    return Record((Draft("host-concluded", case.host.host, data, message),))


def end(case: Case, state: str, message: str, counts: str = "") -> Action:
    """End a host on which this attempt has left nothing."""
    if case.host.undoing:
        return conclude(case, state, message, counts, cleanup=False)
    return settle(case.host, state, message, counts)


def settle(
    host: HostProgress, state: str, message: str, counts: str = "", diagnosis: Diagnosis | None = None
) -> Record:
    """Record the end state of a host, and what it counts against: errors, unreachable, changed or ""."""
    data: dict[str, Any] = {"state": state, "counts": counts, "changed": bool(host.changes or host.reboots)}
    if diagnosis is not None:
        data["diagnosis"] = asdict(diagnosis)
    return Record((Draft("host-settled", host.host, data, message),))


def _doer(case: Case) -> str:
    return "the fixes" if case.plan.fixes else "the package manager"
