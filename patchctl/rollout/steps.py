"""What comes next on one host: pure, derived from its newest outcome.

preflight -> stage -> start -> poll ... -> verify (-> reboot -> boot ... -> verify) -> cleanup -> end state.
Reboot policy `always` reboots before the first verification. What fails is concluded first (recorded with its
diagnosis), then cleaned up, and only then settled, tried again or rolled back (rollout/undo.py) in a new, linked
attempt. An attempt that may be at work is always asked about before anything else happens to its host.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from patchctl.model.rollout import (
    FAILED,
    FROZEN,
    IN_DOUBT,
    REBOOT_PENDING,
    SKIPPED,
    UNREACHABLE,
    Diagnosis,
    HostJob,
)
from patchctl.model.text import one_line
from patchctl.model.units import format_duration
from patchctl.rollout.actions import Action, Draft, Record, RunJob, WakeAt
from patchctl.rollout.diagnose import diagnose, diagnose_interruption, diagnose_verification, explain_silence
from patchctl.rollout.endings import (
    Case,
    conclude,
    end,
    fail,
    fail_with,
    find_retry,
    good_end,
    pass_deadline,
    settle,
    succeed,
)
from patchctl.rollout.hostfold import NO_PROGRESS
from patchctl.rollout.journal import intent_draft
from patchctl.rollout.remedies import adjustments_for
from patchctl.rollout.state import ABORTED, HostProgress, LastJob, RolloutState

REBOOT_CAP = 5
"""Reboots of one host in one rollout, whatever asks for them."""
REBOOT_TIME = 900.0
"""Seconds from the first request of a reboot until the host must show another boot id."""
REACH_TRIES = 3
"""Visits in a row that may fail before a host that was not touched yet counts as unreachable."""
READY_TIME = 900.0
"""Seconds for which a preflight and a staging are good enough to start on."""
HEALTH_TRIES = 4
"""Verifications before an unhealthy service counts: it may still be starting."""
INSPECT_TRIES = 4
"""Visits to look at a host whose install failed, until that failure is all that can be said."""
_REACH_DELAYS = (5.0, 20.0)
_POLL_DELAYS = (1.0, 1.0, 2.0, 3.0, 5.0, 8.0, 10.0)
_OVERDUE_DELAY = 300.0
_BOOT_DELAYS = (2.0, 3.0, 5.0, 5.0, 10.0)
_REQUEST_AGAIN = 30.0
_VERIFY_DELAYS = (2.0, 5.0, 10.0, 20.0, 30.0)
_HEALTH_DELAYS = (5.0, 10.0, 20.0)
_CLEANUP_DELAYS = (5.0, 20.0)
_ACCESS_REFUSED = ("auth-failed", "privilege-failed", "host-key")


def attempt_name(rollout: str, host: str, number: int) -> str:
    """Return the attempt's name on the host: ROLLOUT.HASH.N, safe as a file and unit name."""
    return f"{rollout}.{hashlib.sha256(host.encode()).hexdigest()[:8]}.{number}"


def begin(state: RolloutState, host: HostProgress) -> RunJob:
    """Return the first job of a host: its preflight."""
    return _run(state, host, "preflight")


def next_step(case: Case) -> Action:
    """Return the next action on a host that has begun and has no job out."""
    host = case.host
    if host.conclusion is not None:
        return _close(case)
    # A deadline has passed only when a look after it still showed no end: a controller that was away asks first.
    no_end = case.last.result in NO_PROGRESS or case.last.kind in ("preflight", "stage")
    if no_end and case.last.at >= case.deadline and not host.overdue:
        return pass_deadline(case)
    if no_end and host.overdue and case.last.at >= case.deadline + case.state.plan.limits.host_time:
        return settle(host, IN_DOUBT, host.message, "errors", diagnosis=host.diagnosis)
    if case.last.kind in ("preflight", "stage") and case.now > case.last.at + READY_TIME:
        return _postpone(case, "it was made ready too long ago: checked again first")
    return _AFTER[case.last.kind](case)


def _after_preflight(case: Case) -> Action:
    result = case.last.result
    if result == "ok":
        return _run(case.state, case.host, "stage") if case.may_start else _postpone(case)
    if result == "done":
        if case.host.previous or not case.plan.changes_something:
            return _run(case.state, case.host, "verify")
        return settle(case.host, good_end(case), "nothing left to change")
    if result == "changed":
        lines = [one_line(str(line)) for line in case.last.data.get("changed") or ()]
        return end(case, SKIPPED, f"changed since the plan: {'; '.join(lines)[:500]}", "changed")
    if result == "veto":
        return end(case, FROZEN, _said(case, "the host's owner holds it (/etc/patchctl/hold)"))
    return _not_reached(case) if _is_access(case.last) else fail(case, cleanup=False)


def _after_stage(case: Case) -> Action:
    if case.last.result == "ok":
        return _run(case.state, case.host, "start") if case.may_start else _postpone(case)
    return _not_reached(case) if _is_access(case.last) else fail(case)


def _after_start(case: Case) -> Action:
    result, last = case.last.result, case.last
    if case.host.open_attempt:  # started, adopted, or nobody knows
        delay = 0.0 if result == "adopted" or not last.id else _POLL_DELAYS[0]
        return _look(case, "poll", last.at + delay)
    if result == "veto":
        return conclude(case, FROZEN, _said(case, "the host's owner holds it (/etc/patchctl/hold)"))
    if result == "fenced":
        holder = one_line(str(last.data.get("holder") or "another controller"))
        found = Diagnosis("policy", "fenced", holder, f"the host belongs to {holder}")
        return conclude(case, FAILED, found.message, "errors", diagnosis=found)
    return fail(case)


def _after_poll(case: Case) -> Action:
    result, last, host = case.last.result, case.last, case.host
    if host.open_attempt:  # running, unreachable, or an answer nobody understands: it may be at work
        delay = _OVERDUE_DELAY if host.overdue else _pick(_POLL_DELAYS, host.tries)
        return _look(case, "poll", last.at + delay)
    if result == "absent" and not host.confirmed:  # the start never got there: the same attempt may still be started
        return _run(case.state, host, "start") if case.may_start else _postpone(case)
    if result in ("absent", "interrupted"):
        return fail_with(case, diagnose_interruption(last.data, case.signatures))
    if host.failed_rc is not None:
        return _after_failed_install(case)
    if case.plan.reboot == "always" and not host.rebooted:
        return _reboot(case)
    return _run(case.state, host, "verify")


def _after_reboot(case: Case) -> Action:
    last, host = case.last, case.host
    if last.result == "rebooted":
        return _run(case.state, host, "verify")
    if last.result != "failed":
        return _look(case, "boot", last.at + (_BOOT_DELAYS[0] if last.id else 0.0))
    if last.error is not None and "veto" in last.error.code:
        return conclude(case, REBOOT_PENDING, f"reboot refused: {_said(case, 'vetoed')}")
    if host.tries < REACH_TRIES:
        return _look(case, "reboot", last.at + _REQUEST_AGAIN)
    message = f"the host refuses to reboot: {_said(case, 'no reason given')}"
    return fail_with(case, Diagnosis("reboot", "reboot-refused", _said(case, ""), message))


def _after_boot(case: Case) -> Action:
    host, last = case.host, case.last
    if last.result == "rebooted":
        return _run(case.state, host, "verify")
    asked = host.reboot_asked_at or last.at
    if last.at >= asked + REBOOT_TIME:
        what = "answers with its old boot id" if last.result == "waiting" else "does not answer"
        message = f"{what} {format_duration(last.at - asked)} after the reboot was asked for"
        evidence = one_line(last.error.message) if last.error else f"boot id {host.reboot_from}"
        return fail_with(case, Diagnosis("reboot", "reboot-not-proven", evidence, message))
    if last.result == "waiting" and not host.reboot_sure and last.at >= asked:
        # Nobody saw the request arrive. Asking again is safe: it is bound to the old boot id.
        again = last.at + (_REQUEST_AGAIN if host.tries > 1 else 0.0)
        return _run(case.state, host, "reboot") if case.now >= again else WakeAt(again)
    return _look(case, "boot", last.at + _pick(_BOOT_DELAYS, host.tries))


def _after_verify(case: Case) -> Action:
    host, last = case.host, case.last
    if host.failed_rc is not None and not _is_in_place(last):
        if last.result == "unreachable" and host.tries < INSPECT_TRIES:
            return _look(case, "verify", last.at + _pick(_VERIFY_DELAYS, host.tries))
        return fail_with(case, _diagnose_install(case))
    if last.result == "unreachable":
        delay = _OVERDUE_DELAY if host.overdue else _pick(_VERIFY_DELAYS, host.tries)
        return _look(case, "verify", last.at + delay)
    required = last.data.get("reboot_required")
    in_place = not last.data.get("pending")
    wanted = case.plan.reboot == "always" or (case.plan.reboot == "if_required" and required is True)
    if wanted and not host.rebooted and in_place and last.error is None and host.reboots < REBOOT_CAP:
        return _reboot(case)
    if last.result == "ok":
        return succeed(case, required)
    if last.error is not None:  # it could not be judged: that may pass
        return _look(case, "verify", last.at + _REQUEST_AGAIN) if host.tries < REACH_TRIES else fail(case)
    unhealthy_only = in_place and last.data.get("health_regressed")
    if unhealthy_only and host.tries < HEALTH_TRIES:
        return _look(case, "verify", last.at + _pick(_HEALTH_DELAYS, host.tries))
    return fail_with(case, diagnose_verification(last.data))


def _after_failed_install(case: Case) -> Action:
    """The package manager said no: try again if that may help; else look once at what is true on the host."""
    found = _diagnose_install(case)
    if not case.host.overdue and find_retry(case, found) is not None:
        return fail_with(case, found)
    return _run(case.state, case.host, "verify")


def _diagnose_install(case: Case) -> Diagnosis:
    return explain_silence(diagnose("poll", None, case.host.install, case.signatures), case.host.shut_out)


def _is_in_place(last: LastJob) -> bool:
    """Whether a verification found everything as planned, and the package manager sure that nothing is broken."""
    return last.result == "ok" and last.data.get("broken") == []


def _after_cleanup(case: Case) -> Action:
    """Only reached when a conclusion was lost with a crash between writes, which the journal's order excludes."""
    raise AssertionError(f"{case.host.host}: cleaned up without a conclusion")


def _after_rollback(case: Case) -> Action:
    """The host is to be rolled back: begin, once it is time."""
    return _look(case, "preflight", case.host.not_before) if case.may_start else _postpone(case)


_AFTER: dict[str, Callable[[Case], Action]] = {
    "preflight": _after_preflight, "stage": _after_stage, "start": _after_start, "poll": _after_poll,
    "reboot": _after_reboot, "boot": _after_boot, "verify": _after_verify, "cleanup": _after_cleanup,
    "rollback": _after_rollback,
}


def _close(case: Case) -> Action:
    """Carry out a conclusion: clean up first, then settle the host or begin the next attempt."""
    host, conclusion, last = case.host, case.host.conclusion, case.last
    assert conclusion is not None
    message = conclusion.message
    if conclusion.cleanup:
        if last.kind != "cleanup":
            return _run(case.state, host, "cleanup")
        if last.result == "unreachable" and host.tries < REACH_TRIES:
            return _look(case, "cleanup", last.at + _pick(_CLEANUP_DELAYS, host.tries))
        if last.result != "ok":
            left = ", ".join(one_line(str(item)) for item in last.data.get("residue") or ()) or f"runs/{host.attempt}"
            message = f"{message}; left on the host: {left}".lstrip("; ")
    if conclusion.retry or conclusion.undo:
        kind = "host-retried" if conclusion.retry else "host-rolling-back"
        return Record((Draft(kind, host.host, {"attempt": host.attempt}, message),))
    return settle(host, conclusion.state, message, conclusion.counts, diagnosis=host.diagnosis)


def _reboot(case: Case) -> Action:
    if not case.host.boot_id:
        return conclude(case, REBOOT_PENDING, "boot id unknown, so a reboot could not be proven: not rebooted")
    return _run(case.state, case.host, "reboot")


def _not_reached(case: Case) -> Action:
    """A host that was not touched yet could not be visited: try again a few times, then count it as unreachable."""
    last, host = case.last, case.host
    refused = last.error is not None and last.error.status in _ACCESS_REFUSED
    if not refused and host.tries < REACH_TRIES:
        return _look(case, last.kind, last.at + _pick(_REACH_DELAYS, host.tries))
    found = diagnose(last.kind, last.error, last.data, case.signatures)
    if found.cls != "access":
        found = Diagnosis("access", found.signature, found.evidence, found.message)
    message = found.message or "not reached"
    if not refused and case.plan.away_until is not None and case.now < case.plan.away_until:
        return conclude(case, SKIPPED, f"away, as it may be ({message})", cleanup=False)
    return conclude(case, UNREACHABLE, message, "unreachable", diagnosis=found, cleanup=False)


def _is_access(last: LastJob) -> bool:
    access = (*_ACCESS_REFUSED, "unreachable", "timeout")
    return last.result == "unreachable" or (last.error is not None and last.error.status in access)


def _postpone(case: Case, reason: str = "") -> Action:
    """Put a host back that was made ready but may not be started now."""
    if case.state.status == ABORTED:
        what = "fixes" if case.plan.fixes else "install"
        message = f"the rollout was aborted before its {what} began"
        return conclude(case, SKIPPED, message, cleanup=case.host.staged)
    return Record((Draft("host-postponed", case.host.host, {}, reason or case.hold_reason),))


def _look(case: Case, kind: str, at: float) -> Action:
    """Return the job once it is due, else when to come back."""
    return _run(case.state, case.host, kind) if case.now >= at else WakeAt(at)


def _run(state: RolloutState, host: HostProgress, kind: str) -> RunJob:
    number = host.attempts if host.attempt else host.attempts + 1
    attempt = host.attempt or attempt_name(state.rollout, host.host, number)
    boot_id = {"reboot": host.reboot_from or host.boot_id, "boot": host.reboot_from, "start": host.boot_id}.get(
        kind, host.started_boot_id
    )
    data: dict[str, Any] = {}
    if kind == "verify":
        data["health_before"] = None if host.health_before is None else [dict(check) for check in host.health_before]
    job = HostJob(
        id=f"{attempt}:{kind}:{state.token}.{host.jobs + 1}", rollout=state.rollout, host=host.host, kind=kind,
        attempt=attempt, token=state.token, boot_id=boot_id, adjustments=adjustments_for(kind, host.adjustments),
        previous=host.previous, undo=host.undoing, data=data,
    )
    return RunJob(job, intent_draft(job, number))


def _pick(delays: Sequence[float], tries: int) -> float:
    return delays[min(max(tries, 1), len(delays)) - 1]


def _said(case: Case, otherwise: str) -> str:
    if case.last.error is not None:
        return one_line(case.last.error.message)
    return one_line(str(case.last.data.get("reason") or otherwise))
