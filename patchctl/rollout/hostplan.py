"""What happens on one host: exact changes, what they pull in, whether a reboot is expected, or why nothing may. Pure.

What is not known blocks: a host whose pending updates, dependencies or file hashes are unknown is `blocked` with the
reason, never "nothing to do".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta, tzinfo

from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.facts import Artefact, HostFacts, Update
from patchctl.model.fingerprint import planned_fingerprint
from patchctl.model.hosts import Freeze, Host
from patchctl.model.memo import Memo
from patchctl.model.plan import Change, HostPlan
from patchctl.model.policy import Approval, Policy
from patchctl.model.rollout import BLOCKED, FROZEN, SKIPPED, UNREACHABLE
from patchctl.platforms.registry import platform_named

BOOT_PACKAGES = (
    "linux-image*", "linux-generic*", "linux-virtual*", "kernel", "kernel-core", "kernel-default", "linux-lts",
    "linux-virt", "intel-microcode", "amd64-microcode", "microcode_ctl",
)  # fmt: skip
"""Packages that are in use only from the next boot on. What running processes need a reboot for, the host tells."""
_FROM_NEXT_BOOT = re.compile("|".join(fnmatch.translate(pattern) for pattern in BOOT_PACKAGES))
_REEXECUTES = frozenset({"systemd", "libc6"})
"""Packages after whose update init executes itself anew, with whatever libraries are in place at that moment."""

_LEFT_OUT = ("pending:", "deferred:", "rejected:")
"""How the reason of an update begins that the policy leaves out, while the package manager would install it."""

AWAY = frozenset({"unreachable", "timeout"})
"""Statuses of a host that does not answer; one that refuses is not away."""

Judge = Callable[[Host, Update], Approval]
"""Given a host and one of its updates, return what the policy says."""


Removable = tuple[str, ...]
"""Patterns of the packages that approved updates may replace or remove."""


class Survey(Struct, frozen=True):
    """What is known about one host when planning."""

    facts: HostFacts | HostFailure | None = None
    """None = never looked at."""
    platform: str = ""
    """"" = no platform reads this system."""
    resolution: HostFacts | HostFailure | None = None
    """Answer of the host to resolve_probe for the approved updates, where it was asked."""
    seen_at: float | None = None
    """Unix time at which the host was last reached; None = never, or nobody looked it up."""
    notes: tuple[str, ...] = ()
    """What else people should know of the host's plan."""


class Choice(Struct, frozen=True):
    """A host's updates, split by what the policy says."""

    approved: tuple[tuple[Update, Approval], ...]
    refused: tuple[tuple[Update, Approval], ...]
    """Everything else: pending, deferred, rejected, held, phased, kept back."""
    pulled: tuple[tuple[Update, Approval], ...]
    """What the full upgrade installs anew because something needs it."""
    partial: bool
    """The approved updates are not all of the full upgrade: what they pull in must be asked of the host."""


class HostOutline(Struct, frozen=True):
    """A host's plan before ring and wave, with the files it needs and when its next update becomes due."""

    plan: HostPlan
    artefacts: tuple[Artefact, ...] = ()
    next_due: float | None = None
    works: bool = False
    """Something is to be done there: changes, or a reboot that is due and allowed."""


class _BlockedError(Exception):
    """Why nothing may be changed on the host."""


def choose_updates(host: Host, facts: HostFacts, judge: Judge) -> Choice:
    """Split a host's known updates. Updates that are unknown (None) give an empty choice."""
    updates = facts.updates or ()
    return _split(updates, tuple(judge(host, update) for update in updates))


def _split(updates: Sequence[Update], approvals: Sequence[Approval]) -> Choice:
    approved, refused, pulled = [], [], []
    missing = False
    for update, found in zip(updates, approvals, strict=True):
        if update.state == "new":
            pulled.append((update, found))
            missing = missing or found.status == "rejected"
        elif update.state == "upgradable" and found.status == "approved":
            approved.append((update, found))
        else:
            refused.append((update, found))
            missing = missing or update.state == "upgradable"
    return Choice(tuple(approved), tuple(refused), tuple(pulled), missing)


def list_unresolved(choice: Choice, facts: HostFacts) -> tuple[Change, ...]:
    """Return the changes to ask the host about (resolve_probe), or () if nothing needs asking.

    Asked is what the full upgrade does not answer, and where a scan does not show every file's hash (apk).
    """
    known = {(a.package, a.version) for a in facts.artefacts}
    wanted = [update for update, _ in (*choice.approved, *choice.pulled)]
    if not choice.partial and all((u.package, u.candidate) in known for u in wanted):
        return ()
    return tuple(_change(update, found.reason) for update, found in choice.approved)


def outline_host(
    host: Host, survey: Survey, policy: Policy, judge: Judge, now: float, zone: tzinfo, memo: Memo,
    removable: Removable = (),
) -> HostOutline:
    """Return what the policy does to one host at `now`, or why it does nothing.

    `removable`: patterns of the packages that may go on this host. `memo` lives for one plan: hosts with the same
    updates and approvals share their changes.
    """
    plan = HostPlan(
        host.name, "", 0, survey.platform, reboot=host.reboot or policy.reboot, site=host.site,
        health=tuple(dict.fromkeys((*policy.health, *host.health))),
    )  # fmt: skip
    notes = list(survey.notes)
    if host.frozen is not None:
        if is_frozen(host.frozen, now, zone):
            return HostOutline(replace(plan, skip=describe_freeze(host.frozen), skip_state=FROZEN))
        notes.append(f"the freeze has ended ({describe_freeze(host.frozen)})")
    if host.intermittent is not None and survey.seen_at is not None:
        plan = replace(plan, away_until=survey.seen_at + host.intermittent)
    facts = survey.facts
    if isinstance(facts, HostFailure):
        why = f"{facts.code}: {facts.message}"
        if facts.status in AWAY and plan.away_until is not None and now < plan.away_until:
            return HostOutline(replace(plan, skip=f"away, as it may be ({why})", skip_state=SKIPPED))
        return HostOutline(replace(plan, skip=why, skip_state=UNREACHABLE, failure=facts))
    if facts is None or not survey.platform or facts.updates is None:
        return HostOutline(replace(plan, skip=_why_unknown(facts, survey), skip_state=BLOCKED, boot_id=_boot_id(facts)))
    if facts.broken:
        notes.append(f"broken packages: {', '.join(facts.broken[:5])}")
    work = _find_work(host, facts, survey.resolution, judge, removable, memo)
    if work.changes and any(why.startswith(_LEFT_OUT) for _, _, why in work.not_approved):
        note = getattr(platform_named(survey.platform), "partial_note", "")  # contract.py, WholeUpgrades
        notes.extend([note] if note else [])
    plan = replace(
        plan, boot_id=facts.boot_id, metadata_age=facts.metadata_age, not_approved=work.not_approved,
        notes=tuple(notes),
    )  # fmt: skip
    if work.blocked:
        return HostOutline(replace(plan, skip=work.blocked, skip_state=BLOCKED), next_due=work.next_due)
    expected, why = expect_reboot(facts, work.changes, plan.reboot)
    plan = replace(
        plan, changes=work.changes, removals=work.removals, reboot_expected=expected, reboot_reason=why,
        fingerprint=work.fingerprint, download_bytes=work.download_bytes,
    )  # fmt: skip
    acts = bool(work.changes) or (expected is True and plan.reboot != "never")
    return HostOutline(plan, work.artefacts, work.next_due, acts)


class _Work(Struct, frozen=True):
    """What is to be done on a host: the part of its plan that hosts in the same state have in common."""

    not_approved: tuple[tuple[str, str, str], ...]
    next_due: float | None
    changes: tuple[Change, ...] = ()
    removals: tuple[str, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    fingerprint: str = ""
    download_bytes: int = 0
    blocked: str = ""


def _find_work(
    host: Host, facts: HostFacts, resolution: HostFacts | HostFailure | None, judge: Judge, removable: Removable,
    memo: Memo,
) -> _Work:
    updates = facts.updates or ()
    approvals = tuple(judge(host, update) for update in updates)
    if resolution is not None:
        return _make_work(host, facts, resolution, _split(updates, approvals), judge, removable)
    # The tuples are compared by identity: they are alive as long as the surveys, so longer than the memo.
    key = (id(facts.updates), id(facts.artefacts), facts.removals, approvals, removable)
    return memo.once(key, lambda: _make_work(host, facts, None, _split(updates, approvals), judge, removable))


def _make_work(
    host: Host, facts: HostFacts, resolution: HostFacts | HostFailure | None, choice: Choice, judge: Judge,
    removable: Removable,
) -> _Work:
    refused = tuple((u.package, u.candidate, f"{found.status}: {found.reason}") for u, found in choice.refused)
    due = [found.due for _, found in choice.refused if found.status == "deferred" and found.due is not None]
    next_due = min(due, default=None)
    try:
        changes, dropped, source = _settle_changes(host, facts, resolution, choice, judge)
        files = _find_artefacts(changes, source)
        removals = _settle_removals(source if changes else HostFacts(), removable)
    except _BlockedError as error:
        return _Work(refused, next_due, blocked=str(error))
    return _Work(
        (*refused, *dropped), next_due, artefacts=tuple(found for found in files if not found.carrier),
        changes=tuple(
            replace(change, sha256=found.sha256, carrier=found.carrier)
            for change, found in zip(changes, files, strict=True)
        ),
        removals=removals, fingerprint=planned_fingerprint(changes) if changes else "",
        download_bytes=sum({(found.sha256, found.uri): found.size for found in files}.values()),
    )  # fmt: skip


def _settle_changes(
    host: Host, facts: HostFacts, resolution: HostFacts | HostFailure | None, choice: Choice, judge: Judge
) -> tuple[list[Change], list[tuple[str, str, str]], HostFacts]:
    """Return the changes, what was approved but cannot be had alone, and the facts that hold the artefacts."""
    if not choice.approved:
        return [], [], facts
    if not choice.partial and resolution is None:
        changes = [_change(update, found.reason) for update, found in choice.approved]
        changes += [_change(u, "needed by approved updates", pulled=True) for u, _ in choice.pulled]
        return changes, [], facts
    if resolution is None:
        raise _BlockedError("not known what else the approved updates pull in: the host was not asked")
    if isinstance(resolution, HostFailure):
        raise _BlockedError(f"not known what else the approved updates pull in: {resolution.message}")
    pending = resolution.pending()
    if pending is None:
        raise _BlockedError(f"not known what else the approved updates pull in: {resolution.why_unknown('updates')}")
    changes, dropped = _merge_resolution(host, pending, choice, judge)
    # The scan knows files that the answer does not repeat; what the answer says of a file counts.
    return changes, dropped, replace(resolution, artefacts=(*facts.artefacts, *resolution.artefacts))


def _settle_removals(source: HostFacts, removable: Removable) -> tuple[str, ...]:
    """Return what goes because of the changes. Raise _BlockedError for what the policy does not name."""
    refused = [name for name in source.removals
               if not any(fnmatch.fnmatchcase(name.partition(":")[0], pattern) for pattern in removable)]
    if refused:
        raise _BlockedError(f"would remove {_names(refused)}, which the policy does not name under remove; name or "
                            "hold them, then plan again")
    return tuple(sorted(source.removals))


def _merge_resolution(
    host: Host, pending: Sequence[Update], choice: Choice, judge: Judge
) -> tuple[list[Change], list[tuple[str, str, str]]]:
    """Compare what the host would do for the approved updates with what is approved."""
    wanted = {(update.package, update.arch): (update, found) for update, found in choice.approved}
    known = {(update.package, update.arch): update for update, _ in (*choice.refused, *choice.pulled)}
    changes: list[Change] = []
    for update in pending:
        match = wanted.pop((update.package, update.arch), None)
        if match is not None and match[0].candidate != update.candidate:
            raise _BlockedError(
                f"{update.package} moved from {match[0].candidate} to {update.candidate} while planning; plan again"
            )
        if match is not None:
            changes.append(_change(match[0], match[1].reason))
            continue
        seen = known.get((update.package, update.arch), update)
        extra = seen if seen.candidate == update.candidate else update  # the scan knows security and CVEs
        found = judge(host, extra)
        if found.status == "rejected":
            raise _BlockedError(f"approved updates need {extra.package} {extra.candidate}, which is {found.reason}")
        itself = "" if found.status == "approved" else f"; itself {found.status}"
        changes.append(_change(extra, f"needed by approved updates{itself}", pulled=True))
    dropped = [
        (update.package, update.candidate, "held: approved, but the package manager does not install it on its own")
        for update, _ in wanted.values()
    ]
    return changes, dropped


def _find_artefacts(changes: Sequence[Change], source: HostFacts) -> list[Artefact]:
    """Return the file of each change, in the same order."""
    if not changes:
        return []
    exact = {(a.package, a.version, a.arch): a for a in source.artefacts}
    loose = {(a.package, a.version): a for a in source.artefacts}
    files, missing = [], []
    for change in changes:
        key = change.package, change.to_version
        found = exact.get((*key, change.arch)) or loose.get(key)
        if found is None or not (found.sha256 or found.carrier):
            missing.append(change.package)
        else:
            files.append(found)
    if missing:
        raise _BlockedError(f"no SHA-256 is known for {_names(missing)}; scan again with --refresh always")
    return files


def expect_reboot(facts: HostFacts, changes: Sequence[Change], policy: str) -> tuple[bool | None, str]:
    """Say whether a reboot will be needed after these changes, and why; None = cannot be known.

    A package whose own scripts ask for a reboot cannot be foreseen; verification sees it.
    """
    if policy == "always" and changes:
        return True, "the policy reboots after every change"
    if facts.reboot.required:
        return True, "; ".join(facts.reboot.reasons) or "needed already"
    if not changes:
        return facts.reboot.required, facts.why_unknown("reboot")
    packages = {change.package for change in changes}
    later = sorted(name for name in packages if _FROM_NEXT_BOOT.fullmatch(name))
    if later:
        return True, f"{_names(later)}: in use from the next boot on"
    if facts.reboot_packages is None:
        why = facts.why_unknown("reboot_packages") or "not collected"
        return None, f"not known which packages only a reboot takes into use: {why}"
    used = [(package, user) for package, user in facts.reboot_packages if package in packages]
    lasting = [(package, user) for package, user in used if not user.endswith("[1]")]
    if lasting or (used and not packages & _REEXECUTES):
        shown = lasting or used
        return True, f"{_names(sorted({package for package, _ in shown}))}: in use by {_names(_users(shown))}"
    if used:
        # Whether init still runs an old library then depends on the order in which packages are unpacked.
        return None, f"{_names(_users(used))} executes itself anew after {_names(sorted(packages & _REEXECUTES))}"
    return facts.reboot.required, facts.why_unknown("reboot")


def _users(used: Sequence[tuple[str, str]]) -> list[str]:
    return sorted({user for _, user in used})


def _change(update: Update, reason: str, *, pulled: bool = False) -> Change:
    return Change(
        update.package, update.arch, update.installed, update.candidate,
        origin=update.origin, security=update.security, pulled=pulled, reason=reason,
    )  # fmt: skip


def is_frozen(freeze: Freeze, now: float, zone: tzinfo) -> bool:
    """Say whether a freeze holds at `now`. One without a readable end holds until it is lifted."""
    try:
        until = datetime.fromisoformat(freeze.until)
    except ValueError:
        return True
    if until.time() == time() and "T" not in freeze.until and ":" not in freeze.until:
        until += timedelta(days=1)  # a bare date means the whole of that day
    return now < (until if until.tzinfo else until.replace(tzinfo=zone)).timestamp()


def describe_freeze(freeze: Freeze) -> str:
    return f"frozen {f'until {freeze.until}' if freeze.until else 'until lifted'}: {freeze.reason or 'no reason given'}"


def _why_unknown(facts: HostFacts | None, survey: Survey) -> str:
    if facts is None:
        return "state unknown: the host was never scanned"
    if not survey.platform:
        return f"no platform for {facts.os.name or facts.os.id or 'this unknown system'} {facts.os.version}".rstrip()
    return f"pending updates unknown: {facts.why_unknown('updates') or 'not collected'}"


def _boot_id(facts: HostFacts | None) -> str:
    return facts.boot_id if facts is not None else ""


def _names(packages: Sequence[str]) -> str:
    more = f" and {len(packages) - 5} more" if len(packages) > 5 else ""
    return ", ".join(packages[:5]) + more
