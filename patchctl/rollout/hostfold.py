"""How an event changes one host's progress. Part of the journal's fold; takes no decision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.rollout import (
    APPLYING,
    IN_DOUBT,
    INTERRUPTED,
    PENDING,
    PREFLIGHT,
    REBOOTING,
    ROLLED_BACK,
    STAGING,
    VERIFYING,
    Diagnosis,
    Event,
)
from patchctl.rollout.remedies import take_up
from patchctl.rollout.state import Conclusion, HostProgress, LastJob

_STATE_OF_JOB = {
    "preflight": PREFLIGHT, "stage": STAGING, "start": APPLYING, "poll": APPLYING, "reboot": REBOOTING,
    "boot": REBOOTING, "verify": VERIFYING, "cleanup": VERIFYING,
}
LOOKS = ("poll", "boot")
"""Job kinds that only look: their intents, and outcomes that tell nothing new, are not written to the journal."""
NO_PROGRESS = ("running", "waiting", "unreachable", "failed")


def fold_host(host: HostProgress, event: Event) -> HostProgress:
    """Return a host's progress after one event about it (or about the whole rollout, where that touches hosts)."""
    data = event.data
    if event.kind == "job-intended":
        return _fold_intent(host, event)
    if event.kind == "job-ended":
        return _fold_outcome(host, event) if _is_awaited(host, data) else host
    if event.kind == "controller-took-over":
        return _orphan(host)
    if event.kind == "host-postponed":
        host = replace(host, message=event.reason, tries=0, attempt_at=None, not_before=0.0)
        return _await_undo(host, event) if host.undoing else replace(host, state=PENDING, last=None, started_at=None)
    if event.kind == "host-overdue":
        return replace(host, state=IN_DOUBT, message=event.reason, overdue=True, counts="errors")
    if event.kind == "host-concluded":
        return _fold_conclusion(host, data, event.reason)
    if event.kind == "host-retried":
        host = _begin_attempt(host, host.conclusion or Conclusion(PENDING), event.reason)
        return _await_undo(host, event) if host.undoing else host
    if event.kind == "host-rolling-back":
        return _begin_undo(host, event)
    if event.kind == "host-rolled-back":  # by another rollout: this one has nothing more to do there
        return replace(
            host, state=ROLLED_BACK, message=event.reason, counts="", settled=True, job="", job_kind="",
            conclusion=None, last=None, tries=0,
        )
    if event.kind == "rollout-retried":
        return _retry_settled(host, event)
    return replace(  # host-settled
        host, state=data["state"], message=event.reason, counts=data.get("counts", ""), settled=True, job="",
        job_kind="", conclusion=None, ended_at=event.at, last=None, tries=0,
    )


def _is_awaited(host: HostProgress, data: Mapping[str, Any]) -> bool:
    """Whether an outcome belongs to the job that is out. The intent of a look is not in the journal, only its news."""
    return data["job"] == host.job or (not host.job and data["kind"] in LOOKS and data["attempt"] == host.attempt)


def _fold_intent(host: HostProgress, event: Event) -> HostProgress:
    data = event.data
    kind = data["kind"]
    host = replace(
        host, job=data["job"], job_kind=kind, jobs=host.jobs + 1, attempt=data["attempt"], attempts=data["number"],
        started_at=event.at if host.started_at is None else host.started_at,
        attempt_at=event.at if host.attempt_at is None else host.attempt_at,
        state=host.state if host.overdue or (kind == "cleanup" and host.conclusion) else _STATE_OF_JOB[kind],
    )
    if kind == "stage":
        return replace(host, staged=True)
    if kind == "start":
        return replace(host, open_attempt=True, started_boot_id=str(data.get("boot_id", "")))
    if kind == "reboot":
        asked = host.reboot_asked_at
        return replace(
            host, reboot_from=str(data.get("boot_id", "")), reboot_asked_at=event.at if asked is None else asked,
            reboot_sure=False,
        )
    return host


def _fold_outcome(host: HostProgress, event: Event) -> HostProgress:
    data = event.data
    kind, result, given = data["kind"], data["result"], data.get("data") or {}
    last = host.last
    again = last is not None and (last.kind, last.result) == (kind, result) and result in NO_PROGRESS
    error = HostFailure(**data["error"]) if data.get("error") else None
    host = replace(
        host, job="", job_kind="", tries=host.tries + 1 if again else 1,
        last=LastJob(data["job"], kind, result, event.at, error, given),
        boot_id=str(given.get("boot_id") or host.boot_id),
    )
    if kind == "preflight" and host.health_before is None and given.get("health_before") is not None:
        return replace(host, health_before=tuple(given["health_before"]))
    if kind == "start":
        unclear = error is not None and error.code == "internal-error"
        return _fold_start(host, "unreachable" if unclear else result, given)
    if kind == "poll":
        # The end of an attempt tells nothing of who could log in before: what was met until then stays.
        seen = host if result in ("finished", "interrupted") else replace(host, shut_out=error)
        return _fold_poll(seen, result, given)
    if result == "rebooted":
        return replace(host, reboots=host.reboots + 1, rebooted=True, reboot_asked_at=None, reboot_from="")
    if kind == "cleanup" and result == "ok":
        return replace(host, staged=False)
    if kind == "reboot" and result == "requested":
        return replace(host, reboot_sure=True)
    if kind == "verify" and result != "unreachable":
        return replace(host, verified=given)
    return host


def _fold_start(host: HostProgress, result: str, given: Mapping[str, Any]) -> HostProgress:
    if result in ("started", "adopted"):
        boot_id = str(given.get("boot_id") or host.started_boot_id)
        return replace(host, confirmed=True, touched=True, started_boot_id=boot_id)
    if result == "unreachable":
        return replace(host, state=host.state if host.overdue else IN_DOUBT)
    return replace(host, open_attempt=False)


def _fold_poll(host: HostProgress, result: str, given: Mapping[str, Any]) -> HostProgress:
    if result == "running":
        return replace(host, confirmed=True, touched=True)
    if result not in ("finished", "interrupted", "absent"):
        return host
    host = replace(host, open_attempt=False)
    if result in ("finished", "interrupted"):
        host = replace(host, touched=True, install=given, changes=(*host.changes, *(given.get("changes") or ())))
    if result == "finished" and given.get("rc") != 0:
        host = replace(host, failed_rc=int(given.get("rc", -1)))
    if result == "interrupted" or (result == "absent" and host.confirmed):
        return replace(host, state=INTERRUPTED)
    return host


def _orphan(host: HostProgress) -> HostProgress:
    """Forget a job that an earlier controller had out. What may have had an effect is in doubt: it is asked about."""
    if host.job_kind in ("start", "reboot"):
        seen = host.last.at if host.last is not None else 0.0
        last = LastJob("", host.job_kind, "unreachable", seen)
        state = IN_DOUBT if host.job_kind == "start" else host.state
        return replace(host, job="", job_kind="", last=last, tries=0, state=state)
    return replace(host, job="", job_kind="")


def _fold_conclusion(host: HostProgress, data: Mapping[str, Any], reason: str) -> HostProgress:
    conclusion = Conclusion(
        data["state"], reason, data.get("counts", ""), data.get("retry", False), data.get("not_before", 0.0),
        tuple(data.get("adjustments", ())), data.get("cleanup", True), data.get("undo", False),
    )
    # What a look after a failed install met is its consequence; the diagnosis names the cause. So does that of a
    # host that is rolled back: what happens on the way back is told in words.
    error = host.last.error if host.last is not None and host.failed_rc is None else None
    host = replace(host, error=host.error if host.undoing else error)
    found = data.get("diagnosis")
    if not found:
        return replace(host, conclusion=conclusion, message=reason)
    diagnosis = Diagnosis(**found)
    failure = (diagnosis.signature, diagnosis.evidence, ",".join(host.adjustments))
    return replace(
        host, conclusion=conclusion, message=reason, diagnosis=host.cause if host.undoing else diagnosis,
        failures=(*host.failures, failure),
    )


def _begin_attempt(host: HostProgress, conclusion: Conclusion, reason: str) -> HostProgress:
    """Wait for the next attempt: linked to this one, with other adjustments."""
    return replace(
        host, state=PENDING, message=reason, previous=host.attempt, attempt="", adjustments=conclusion.adjustments,
        retries=host.retries + 1, not_before=conclusion.not_before, conclusion=None, last=None, tries=0,
        attempt_at=None, open_attempt=False, confirmed=False, started_boot_id="", reboot_asked_at=None, reboot_from="",
        reboot_sure=False, rebooted=False, staged=False, verified={}, failed_rc=None, shut_out=None,
    )


def _begin_undo(host: HostProgress, event: Event) -> HostProgress:
    """A new attempt, linked to the one that failed, takes the host back. It counts as failed from now on."""
    cause = host.diagnosis
    host = _begin_attempt(host, Conclusion(PENDING), event.reason)
    host = replace(host, undoing=True, cause=cause, retries=0, failures=(), counts="errors", overdue=False)
    return _await_undo(host, event)


def _await_undo(host: HostProgress, event: Event) -> HostProgress:
    """Let the host's next step be the beginning of an attempt to roll it back: it stays at work."""
    return replace(host, state=PENDING, last=LastJob("", "rollback", "due", event.at))


def _retry_settled(host: HostProgress, event: Event) -> HostProgress:
    """Take a host that ended badly up again. An attempt whose end was never seen is asked about first."""
    adjustments = take_up(host.diagnosis, host.adjustments)
    host = replace(
        host, settled=False, counts="", retries=0, failures=(), overdue=False, started_at=None, ended_at=None,
        attempt_at=None, not_before=0.0, diagnosis=host.cause if host.open_attempt else None, error=None,
        message=event.reason, touched=host.touched and host.state != ROLLED_BACK,
    )
    if host.open_attempt:
        return replace(host, state=IN_DOUBT, last=LastJob("", "start", "unreachable", event.at), attempt_at=event.at)
    host = replace(host, undoing=False, cause=None)
    again = Conclusion(PENDING, event.reason, adjustments=adjustments)
    return replace(_begin_attempt(host, again, event.reason), retries=0)
