"""Whether a policy lets one update onto one host now, which rule says so, and when it becomes due. Pure.

Order: what the host itself holds back or phases in comes first, then `reject` (BLOCK: nothing overrides it until it
expires), then `approve`, where the first rule whose conditions hold decides alone; `after` only delays that rule.
What is not known (security, severity, classification, exploited) never satisfies an approve rule and never escapes a
reject rule.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from datetime import tzinfo

from patchctl.model.facts import Update
from patchctl.model.localtime import format_instant, instant, parse_date, parse_zone
from patchctl.model.policy import Approval, ApprovalRule, Policy
from patchctl.model.units import format_duration

_RANKS = {
    "negligible": 0, "unimportant": 0, "low": 1, "minor": 1, "medium": 2, "moderate": 2,
    "important": 3, "high": 3, "critical": 4,
}
_HELD_BACK = {"held": "held on the host", "kept-back": "kept back by the package manager", "pinned": "pinned"}

InHosts = Callable[[str, str], bool]
"""Given a limit pattern and a host's name, say whether the pattern selects the host."""


def decide_approval(
    policy: Policy, host: str, update: Update, first_seen: float | None, now: float, in_hosts: InHosts
) -> tuple[str, str]:
    """Return (approval, reason): approved | pending | rejected | deferred | phased | held. See `judge_update`."""
    found = judge_update(policy, host, update, first_seen, now, in_hosts)
    return found.status, found.reason


def judge_update(
    policy: Policy, host: str, update: Update, first_seen: float | None, now: float, in_hosts: InHosts
) -> Approval:
    """Decide about one update of one host.

    `first_seen`: Unix time at which the update was first seen on the host (None = never before, so it counts from
    `now`); `in_hosts` answers the rules' host patterns. Raises ValueError for a bad time zone or date in the policy.
    """
    if update.state in _HELD_BACK:
        return Approval("held", _with_cause(_HELD_BACK[update.state], update.reason))
    if update.state == "phased":
        return Approval("phased", _with_cause("phased: the publisher offers it to part of all hosts", update.reason))
    zone = parse_zone(policy.timezone)
    for index, rule in enumerate(policy.reject, 1):
        if _holds(rule, host, update, in_hosts, unknown=True) and not _expired(rule, zone, now):
            return Approval("rejected", _rejection(rule, index), _end_of(rule, zone), f"reject[{index}]")
    for index, rule in enumerate(policy.approve, 1):
        if not _holds(rule, host, update, in_hosts, unknown=False) or _expired(rule, zone, now):
            continue
        name = f"approve[{index}] {describe_rule(rule)}"
        due = (now if first_seen is None else first_seen) + rule.after
        if due <= now:
            return Approval("approved", name, None, f"approve[{index}]")
        return Approval("deferred", f"{name}: due {format_instant(due, zone)}", due, f"approve[{index}]")
    return Approval("pending", "no approve rule matches" if policy.approve else "the policy has no approve rules")


def describe_rule(rule: ApprovalRule) -> str:
    """Return a rule as it is written in a policy: {security: true, after: 3d}."""
    parts = []
    if rule.package:
        parts.append(f'package: "{rule.package}"')
    for key, value in (("security", rule.security), ("known_exploited", rule.known_exploited)):
        if value is not None:
            parts.append(f"{key}: {str(value).lower()}")
    if rule.severity:
        parts.append(f"severity: {rule.severity}")
    if rule.classifications:
        parts.append(f"classification: [{', '.join(rule.classifications)}]")
    if rule.after:
        parts.append(f"after: {format_duration(rule.after)}")
    if rule.hosts:
        parts.append(f'hosts: "{rule.hosts}"')
    if rule.until:
        parts.append(f"until: {rule.until}")
    return "{" + ", ".join(parts) + "}" if parts else "{}"


def _holds(rule: ApprovalRule, host: str, update: Update, in_hosts: InHosts, *, unknown: bool) -> bool:
    """Say whether all conditions of a rule hold; one that cannot be told counts as `unknown` says."""
    if rule.package and not fnmatch.fnmatchcase(update.package, rule.package):
        return False
    for wanted, actual in ((rule.security, update.security), (rule.known_exploited, update.known_exploited)):
        if wanted is not None and not (unknown if actual is None else actual == wanted):
            return False
    if rule.severity:
        rank = _RANKS.get(update.severity.lower())
        if not (unknown if rank is None else rank >= _RANKS[rule.severity.lower()]):
            return False
    if rule.classifications:
        known = update.classifications
        if not (unknown if not known else not set(known).isdisjoint(rule.classifications)):
            return False
    return not rule.hosts or in_hosts(rule.hosts, host)


def _end_of(rule: ApprovalRule, zone: tzinfo) -> float | None:
    """Return the first instant after a rule's last day, or None if it has no end."""
    return instant(parse_date(rule.until), 24 * 60, zone) if rule.until else None


def _expired(rule: ApprovalRule, zone: tzinfo, now: float) -> bool:
    end = _end_of(rule, zone)
    return end is not None and now >= end


def _rejection(rule: ApprovalRule, index: int) -> str:
    until = f"until {rule.until}" if rule.until else "without an end"
    return f"reject[{index}] {describe_rule(rule)}: {_with_cause(until, rule.reason)}"


def _with_cause(what: str, cause: str) -> str:
    return f"{what}: {cause}" if cause else what
