"""Tells an observer what an event means: the same words whether the rollout runs here or is watched from elsewhere."""

from __future__ import annotations

from patchctl.model.ports import Observer
from patchctl.model.rollout import Event
from patchctl.model.text import one_line

STEP_WORDS = {
    "preflight": "preflight", "stage": "staging", "start": "applying", "poll": "applying", "reboot": "rebooting",
    "boot": "rebooting", "verify": "verifying", "cleanup": "cleaning up",
}


def tell(observer: Observer, event: Event) -> None:
    """Pass on what a person wants to know of an event; silent about jobs, whose steps are told as they are sent,
    but for a lock that an install waits for.
    """
    if event.kind == "host-settled":
        observer.finished(event.host, event.data["state"], event.reason)
    elif event.kind in ("host-overdue", "host-retried", "host-postponed", "host-rolling-back"):
        observer.note(f"{event.host}: {event.reason}")
    elif event.kind == "job-ended":
        _tell_lock(observer, event)
    elif event.kind == "ring-opened":
        observer.note(f"ring {event.data['ring']} opened")
    elif event.kind == "ring-approved":
        observer.note(f"ring {event.data['ring']} approved by {event.actor}")
    elif event.kind == "controller-took-over" and event.data.get("orphans"):
        count = len(event.data["orphans"])
        observer.note(f"took over from an earlier run; {count} job{'s' if count != 1 else ''} of it to be asked about")
    elif event.kind.startswith(("rollout-", "approval-")):
        what = event.kind.replace("-", " ", 1)
        observer.note(f"{what}: {event.reason}" if event.reason else what)


def _tell_lock(observer: Observer, event: Event) -> None:
    """Say whom an install waits for: as preflight found it, and once more when the install itself meets it."""
    data = event.data.get("data") or {}
    holder = one_line(str(data.get("lock_holder") or ""))
    waits = event.data["kind"] == "poll" and event.data["result"] == "running" and data.get("step") == "lock"
    if holder and event.seq and (waits or event.data["kind"] == "preflight"):
        observer.note(f"{event.host}: waits for {one_line(str(data.get('lock') or 'the'))} lock of {holder}")


def tell_step(observer: Observer, event: Event) -> None:
    """Pass on the step that a recorded intent begins: for watching a rollout that runs elsewhere."""
    if event.kind == "job-intended":
        observer.step(event.host, STEP_WORDS.get(event.data["kind"], event.data["kind"]))
