"""Rolling back: what a failed host is told before and after it, and the way back as a plan has it. Pure."""

from __future__ import annotations

from patchctl.model.plan import HostPlan
from patchctl.model.rollout import FAILED, LATE, REBOOT_PENDING, ROLLED_BACK, SUCCEEDED, Diagnosis
from patchctl.rollout.state import HostProgress

_VERIFIED = (SUCCEEDED, LATE, REBOOT_PENDING, ROLLED_BACK)
_UNHEALTHY = ("health-regressed", "units-failed")


def why_no_undo(plan: HostPlan, host: HostProgress, found: Diagnosis, *, aborted: bool) -> str:
    """Return why a host that failed for `found` is not rolled back, or "" if it can and shall be."""
    seen = host.verified
    if seen.get("broken") == [] and len(seen.get("pending") or ()) == len(plan.changes) + len(plan.removals):
        return "nothing to roll back: no planned change is in place"
    if found.cls == "reboot":
        return "not rolled back: the updates are in place, the reboot failed"
    if aborted:
        return "not rolled back: the rollout was aborted"
    if plan.undo is None:
        return "cannot be rolled back: nobody looked for the earlier versions when it was planned"
    return f"cannot be rolled back: {plan.undo.why_not}" if plan.undo.why_not else ""


def end_undo(host: HostProgress, state: str, message: str, found: Diagnosis | None) -> tuple[str, str]:
    """Return end state and message of a host whose way back came to an end in `state`, for `found` if that is bad.

    What failed first stays first: it is why the host counts as failed, whatever happened afterwards.
    """
    first = host.cause.message if host.cause is not None else "failed"
    if state in _VERIFIED:
        more = f"; {message}" if message else ""
        return ROLLED_BACK, f"{first}; rolled back, the earlier versions are in place{more}"
    if found is not None and found.signature in _UNHEALTHY:
        return FAILED, f"{first}; the earlier versions are in place again, but: {message}"
    return FAILED, f"{first}; not rolled back: {message}"
