"""Local dates and times to instants (Unix time), with one stated rule for the hours that daylight saving breaks.

The rule: a local time that does not exist (clocks jump over it) means the first instant after the gap; a local time
that occurs twice means the first of the two. So a window never starts early, and starts on every day it is due.
"""

from __future__ import annotations

import difflib
from datetime import UTC, date, datetime, timedelta, tzinfo

_DAY_MINUTES = 24 * 60


def parse_zone(name: str) -> tzinfo:
    """Given an IANA name such as Europe/Amsterdam, return the time zone. Raise ValueError with a near name."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if name in ("UTC", "Etc/UTC", "Z"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name is a folder, such as "Europe"
        known = available_timezones()
        if not known:
            raise ValueError(f"time zone {name!r} cannot be read: this machine has no tzdata package") from None
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "write an IANA name such as Europe/Amsterdam or UTC"
        raise ValueError(f"not a time zone: {name!r} ({hint})") from None


def parse_date(text: str) -> date:
    """Given YYYY-MM-DD, return the date. Raise ValueError for anything else."""
    try:
        if len(text) == 10:  # fromisoformat also takes 20261201 and week dates, which nobody should write here
            return date.fromisoformat(text)
    except ValueError:
        pass  # told below, with the form that is wanted
    raise ValueError(f"not a date: {text!r} (write 2026-12-01)")


def instant(day: date, minutes: int, zone: tzinfo) -> float:
    """Return the Unix time of `minutes` after local midnight by the clock on the wall (see the rule above).

    `minutes` may be 24 * 60, which is midnight at the end of that day.
    """
    days, rest = divmod(minutes, _DAY_MINUTES)
    naive = datetime.combine(day + timedelta(days=days), datetime.min.time()) + timedelta(minutes=rest)
    first = naive.replace(tzinfo=zone, fold=0).timestamp()
    second = naive.replace(tzinfo=zone, fold=1).timestamp()
    return first if first <= second else _end_of_gap(int(second), int(first), zone)


def _end_of_gap(before: int, after: int, zone: tzinfo) -> float:
    """Return the first instant in (before, after] at which the offset has changed.

    In a gap, reading the wall time with the offset of after the change gives an instant before it, and vice versa
    (PEP 495), so the change lies between the two.
    """
    old = _offset(before, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(middle, zone) == old:
            before = middle
        else:
            after = middle
    return float(after)


def _offset(at: float, zone: tzinfo) -> timedelta | None:
    return datetime.fromtimestamp(at, zone).utcoffset()


def local_date(at: float, zone: tzinfo) -> date:
    """Return the date that the calendar on the wall shows at an instant."""
    return datetime.fromtimestamp(at, zone).date()


def format_instant(at: float, zone: tzinfo) -> str:
    """Return 2026-11-24 20:00 CET: an instant as people of that zone write it."""
    return datetime.fromtimestamp(at, zone).strftime("%Y-%m-%d %H:%M %Z")
