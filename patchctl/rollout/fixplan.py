"""What a remediation does on one host: the fixes of its findings, or why nothing may be touched. Pure.

Where the fixes come from is not known here: whoever assessed the host gives them.
"""

from __future__ import annotations

from datetime import tzinfo

from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.hosts import Host
from patchctl.model.plan import HostFix, HostPlan, LeftFinding
from patchctl.model.policy import Policy
from patchctl.model.rollout import BLOCKED, FROZEN, SKIPPED, UNREACHABLE
from patchctl.rollout.hostplan import AWAY, HostOutline, describe_freeze, is_frozen


class FixSurvey(Struct, frozen=True):
    """What an assessment came to on one host, as far as repairing it goes."""

    failure: HostFailure | None = None
    """Why the host could not be looked at."""
    platform: str = ""
    boot_id: str = ""
    fixes: tuple[HostFix, ...] = ()
    left: tuple[LeftFinding, ...] = ()
    reboots: tuple[str, ...] = ()
    """Those of the fixes that count only after a reboot."""
    blocked: str = ""
    """Why nothing may be repaired there although there is something to repair."""
    notes: tuple[str, ...] = ()
    seen_at: float | None = None


def outline_fixes(host: Host, survey: FixSurvey | None, policy: Policy, now: float, zone: tzinfo) -> HostOutline:
    """Return what is repaired on one host at `now`, or why nothing is."""
    plan = HostPlan(
        host.name, "", 0, reboot=host.reboot or policy.reboot, site=host.site,
        health=tuple(dict.fromkeys((*policy.health, *host.health))),
    )  # fmt: skip
    notes: list[str] = []
    if host.frozen is not None:
        if is_frozen(host.frozen, now, zone):
            return HostOutline(replace(plan, skip=describe_freeze(host.frozen), skip_state=FROZEN))
        notes.append(f"the freeze has ended ({describe_freeze(host.frozen)})")
    if survey is None:
        return HostOutline(replace(plan, skip="never assessed", skip_state=BLOCKED))
    if host.intermittent is not None and survey.seen_at is not None:
        plan = replace(plan, away_until=survey.seen_at + host.intermittent)
    plan = replace(plan, platform=survey.platform, boot_id=survey.boot_id, findings_left=survey.left)
    if survey.failure is not None:
        why = f"{survey.failure.code}: {survey.failure.message}"
        if survey.failure.status in AWAY and plan.away_until is not None and now < plan.away_until:
            return HostOutline(replace(plan, skip=f"away, as it may be ({why})", skip_state=SKIPPED))
        return HostOutline(replace(plan, skip=why, skip_state=UNREACHABLE, failure=survey.failure))
    if survey.blocked:
        return HostOutline(replace(plan, skip=survey.blocked, skip_state=BLOCKED))
    always = plan.reboot == "always" and bool(survey.fixes)
    why = "the policy reboots after every change" if always else ""
    if survey.reboots:
        why = f"counts only after a reboot: {', '.join(survey.reboots[:5])}"
    plan = replace(
        plan, fixes=survey.fixes, reboot_expected=always or bool(survey.reboots), reboot_reason=why,
        notes=(*notes, *survey.notes),
    )  # fmt: skip
    return HostOutline(plan, works=bool(survey.fixes))
