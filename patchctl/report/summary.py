"""The end of `apply` and the head of `rollout status` in a few lines: result, limits, what is wrong, what next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from msgspec import Struct

from patchctl.model.localtime import parse_zone
from patchctl.model.text import one_line
from patchctl.report.digest import RolloutDigest
from patchctl.report.hosts import HostDigest

_TROUBLE = ("failed", "rolled-back", "in-doubt", "interrupted", "unreachable", "blocked", "late", "skipped", "frozen")
_RETRIED = frozenset({"failed", "rolled-back", "in-doubt", "interrupted", "unreachable", "blocked"})
_BY_SIGNAL = (130, 143)
"""Exit codes of a run that was ended by Ctrl-C or SIGTERM: nobody carries the rollout on until it is resumed."""
_SHOWN = 12
"""Lines of trouble shown; the rest is counted. The reports name every host."""
_SHOWN_FIXES = 60
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class ReportLine(Struct, frozen=True):
    """Where the report is, so that the summary can end with it."""

    path: str
    sha256: str
    audit: int


class Trouble(Struct, frozen=True):
    """Hosts that ended in one state for one cause."""

    state: str
    hosts: tuple[str, ...]
    message: str


def render_summary(digest: RolloutDigest, report: ReportLine | None = None) -> str:
    """Return the lines an admin reads when a rollout ends. Host text in them is cut and stripped of controls."""
    zone = parse_zone(digest.plan.timezone)
    lines = [_head_line(digest, zone)]
    lines.append("  ".join(f"{state} {count:,}" for state, count in digest.counts))
    lines.append("   ".join(str(limit) for limit in digest.limits))
    if digest.message:
        lines.append(f"Why:    {one_line(digest.message)}")
    lines += _trouble_lines(group_trouble(digest.hosts))
    waiting = digest.not_approved
    if waiting.updates:
        due = f", next due {_day(waiting.next_due, zone)}" if waiting.next_due is not None else ""
        lines.append(f"NOT APPROVED {_count(waiting.updates, 'update')} on {_count(waiting.hosts, 'host')}{due}")
    lines += fix_lines(digest.hosts)
    lines += [f"Next:   {command}" for command in next_commands(digest)]
    if report is not None:
        lines.append(f"Report: {report.path}  sha256 {report.sha256[:12]}…  audit #{report.audit}")
    return "\n".join(line.rstrip() for line in lines if line.strip()) + "\n"


def fix_lines(hosts: Sequence[HostDigest]) -> list[str]:
    """Return intended against actual, one line for each rule and what became of it, and where the backups are."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for host in hosts:
        for fix in host.fixes:
            groups.setdefault((fix.fix, fix.was, fix.intended, fix.after), []).append(host.host)
    ordered = sorted(groups.items(), key=lambda item: (item[0][3] == item[0][2], item[0]))
    lines = []
    for (name, was, intended, after), names in ordered[:_SHOWN_FIXES]:
        where = names[0] if len(names) == 1 else f"{len(names):,} hosts"
        lines.append(f"{'ok ' if after == intended else 'NOT'}  {name}: was {was}, intended {intended}, "
                     f"is {after or 'not judged again'}  ({where})")
    if len(ordered) > _SHOWN_FIXES:
        lines.append(f"... and {len(ordered) - _SHOWN_FIXES:,} lines more in the reports")
    places = sorted({host.backup.rpartition("/")[0] for host in hosts if host.backup})
    lines += [f"Backup: {place} on each host; to take all back there: sh {place}/ATTEMPT/restore" for place in places]
    return lines


def group_trouble(hosts: Sequence[HostDigest]) -> list[Trouble]:
    """Group hosts that did not end well by state and cause, the gravest state and the largest group first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for host in hosts:
        if host.state in _TROUBLE and not host.rolled_back_on_request:
            groups.setdefault((host.state, explain_host(host)), []).append(host.host)
    found = [Trouble(state, tuple(names), message) for (state, message), names in groups.items()]
    return sorted(found, key=lambda t: (_TROUBLE.index(t.state), -len(t.hosts), t.hosts))


def explain_host(host: HostDigest) -> str:
    """Return why a host is where it is, and whether something was changed on it."""
    parts = [one_line(host.message, 160) or "no reason recorded"]
    retries = sum(1 for failure in host.failures if failure.retried)
    if retries:
        parts.append(_count(retries, "retry", "retries"))
    if host.state in _RETRIED and host.fixes:
        done = sum(1 for fix in host.fixes if fix.after == fix.intended)
        changed = f"{done} of {_count(len(host.fixes), 'finding')} repaired"
        parts.append({True: changed, False: "host unchanged", None: "unknown what was changed"}[host.touched])
    elif host.state in _RETRIED - {"rolled-back"} and host.plan.changes:
        done = sum(1 for change in host.changes if change.result == "installed")
        changed = f"{done} of {_count(len(host.plan.changes), 'planned package')} changed"
        parts.append({True: changed, False: "host unchanged", None: "unknown what was changed"}[host.touched])
    return "; ".join(parts)


def next_commands(digest: RolloutDigest) -> list[str]:
    """Return the commands that make sense now."""
    commands = []
    under_way = digest.state in ("running", "planned")
    if digest.state in ("halted", "paused") or (under_way and digest.exit_code in _BY_SIGNAL):
        commands.append(f"patchctl rollout resume {digest.rollout}")
    elif under_way:
        commands.append(f"patchctl rollout watch {digest.rollout}")
    if any(h.state in _RETRIED and not h.rolled_back_on_request for h in digest.hosts) and not under_way:
        commands.append(f"patchctl rollout retry {digest.rollout} --failed")
    return commands


def _head_line(digest: RolloutDigest, zone: tzinfo) -> str:
    parts = [f"Rollout {digest.rollout} {digest.title}", f"{digest.verified:,}/{digest.total:,} verified"]
    span = format_span(digest.started_at, digest.ended_at, zone)
    if span:
        parts.append(span)
    parts.append(f"exit {digest.exit_code}")
    return "  ".join(parts)


def format_span(start: float | None, end: float | None, zone: tzinfo) -> str:
    """Return 22:00-01:47 CET, with dates when it lasted longer than a night; "" when nothing happened yet."""
    if start is None or end is None:
        return ""
    first, last = datetime.fromtimestamp(start, zone), datetime.fromtimestamp(end, zone)
    if end - start < 18 * 3600:
        return f"{first:%H:%M}-{last:%H:%M} {last:%Z}"
    return f"{_day(start, zone)} {first:%H:%M} - {_day(end, zone)} {last:%H:%M %Z}"


def _trouble_lines(groups: Sequence[Trouble]) -> list[str]:
    width = max([len(group.state) for group in groups[:_SHOWN]], default=0)
    names = [group.hosts[0] if len(group.hosts) == 1 else f"{len(group.hosts):,} hosts" for group in groups[:_SHOWN]]
    name_width = min(30, max([len(name) for name in names], default=0))
    lines = []
    for group, name in zip(groups, names, strict=False):
        cause = f"one cause: {group.message}" if len(group.hosts) > 1 else group.message
        lines.append(f"{group.state.upper():<{width}}  {one_line(name, 60):<{name_width}}  {cause}")
    rest = groups[_SHOWN:]
    if rest:
        lines.append(f"... and {sum(len(g.hosts) for g in rest):,} more hosts with {_count(len(rest), 'other cause')}")
    return lines


def _day(at: float, zone: tzinfo) -> str:
    day = datetime.fromtimestamp(at, zone)
    return f"{day.day} {_MONTHS[day.month - 1]}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
