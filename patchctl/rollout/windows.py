"""Maintenance windows: their text, when they are open, and whether one ring's window can follow another's.

Forms (docs/reference/windows.md):

    2nd tue +1d 20:00 4h      nth weekday of the month, some days later, start, length
    last fri 22:00 6h         sat 22:00 6h        mon,wed 20:00-23:30        mon-fri 00:00-24:00
    daily 22:00 4h            2026-12-01 20:00 4h                            always

Start times are wall-clock times of the policy's time zone under the rule of model/localtime.py; a length is elapsed
time; the end of a HH:MM-HH:MM span is a wall-clock time under the same rule, on the next day when it is not later.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from datetime import MAXYEAR, UTC, date, timedelta, tzinfo

from msgspec import Struct

from patchctl.model.localtime import format_instant, instant, local_date, parse_date, parse_zone
from patchctl.model.units import format_duration, parse_duration

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_ORDINALS = {"1st": 1, "2nd": 2, "3rd": 3, "4th": 4, "5th": 5, "last": -1}
_FORMS = "write for example '2nd tue +1d 20:00 4h', 'last fri 22:00 6h', 'mon,wed 20:00-23:30' or 'daily 22:00 4h'"
_DAY = 86400.0
_DAY_MINUTES = 24 * 60
_LONGEST = 7 * _DAY
_MERGE_AHEAD = 31 * _DAY
"""Windows that touch are one opening; it is followed at most this far ahead, so that 24 x 7 stays finite."""
_CYCLE = 27 * _DAY
"""A ring's next cycle starts with its first opening after this time: monthly windows are 28 or 35 days apart."""


class Window(Struct, frozen=True):
    """A parsed window. kind: always | daily | weekly | monthly | date. Times in minutes after local midnight."""

    text: str
    kind: str
    weekdays: tuple[int, ...] = ()
    """0 = Monday."""
    nth: int = 0
    """1..5, -1 = last (kind monthly)"""
    offset: int = 0
    """Days after the nth weekday at which the window starts."""
    day: date | None = None
    start: int = 0
    length: float = 0.0
    """Elapsed seconds; 0 = ends at `end`."""
    end: int = 0
    """Minutes after midnight of the starting day; beyond 24 h = next day."""


ALWAYS = Window("", "always")


class Reach(Struct, frozen=True):
    """How often a second ring's window is reached in the cycle in which the first ring ran."""

    cycles: int
    missed: int
    example: str
    """One missed cycle in words ("" = none)."""


def parse_window(text: str) -> Window:
    """Given a window's text ("" or "always" = any time), return it parsed. Raise ValueError saying what to write."""
    words = text.lower().split()
    if words in ([], ["always"]):
        return ALWAYS
    head, times = _split_times(words, text)
    start, length, end = _parse_times(times, text)
    kind, weekdays, nth, offset, day = _parse_days(head, text)
    return Window(" ".join(words), kind, weekdays, nth, offset, day, start, length, end)


def parse_blackout(text: str) -> tuple[date, date]:
    """Given YYYY-MM-DD or YYYY-MM-DD/YYYY-MM-DD, return first and last day. Raise ValueError."""
    first, _, last = text.partition("/")
    days = parse_date(first.strip()), parse_date((last or first).strip())
    if days[1] < days[0]:
        raise ValueError(f"blackout {text!r} ends before it begins")
    if (days[1] - days[0]).days > 400:
        raise ValueError(f"blackout {text!r} is longer than 400 days: freeze the hosts instead")
    return days


def is_open(window: Window, blackout: Sequence[str], timezone: str, at: float) -> bool:
    """Say whether hosts may be started at Unix time `at`. Raise ValueError for a bad blackout or time zone."""
    return next_opening(window, blackout, timezone, at) == at


def next_opening(window: Window, blackout: Sequence[str], timezone: str, after: float) -> float:
    """Return the first Unix time at or after `after` when the window is open (`after` itself if it is open then).

    math.inf = never again (a dated window that has passed).
    """
    found = next(openings(window, blackout, timezone, after), None)
    return math.inf if found is None else max(found[0], after)


def closes_at(window: Window, blackout: Sequence[str], timezone: str, at: float) -> float:
    """Return when the window that is open at `at` closes; `at` itself if it is closed; math.inf = never.

    Windows that touch count as one, followed at most 31 days ahead.
    """
    found = next(openings(window, blackout, timezone, at), None)
    return found[1] if found is not None and found[0] <= at else at


def openings(window: Window, blackout: Sequence[str], timezone: str, after: float) -> Iterator[tuple[float, float]]:
    """Yield the (opening, closing) times that end after `after`, in order, blackouts cut out.

    Ends when the window is over for good, or after 400 days without one beyond the last blackout.
    """
    zone = parse_zone(timezone)
    closed = _merge_closed([parse_blackout(text) for text in blackout], zone)
    horizon = max([after, *(end for _, end in closed)]) + 400 * _DAY
    for start, end in _merge_touching(_occurrences(window, zone, after), after):
        for piece in _cut(start, end, closed):
            if piece[1] > after:
                horizon = max(horizon, piece[1] + 400 * _DAY)
                yield piece
        if start > horizon:
            return


def can_follow(first: Window, soak: float, second: Window, timezone: str = "UTC", blackout: Sequence[str] = ()) -> bool:
    """Say whether a ring with window `second` can ever start in the cycle in which a ring with `first` ran.

    Optimistic: the first ring is done the moment its window opens. False means that the second ring could only
    start when the first ring's next cycle begins, however fast everything goes.
    """
    found = reach(first, soak, second, timezone, blackout)
    return found.missed < found.cycles


def reach(first: Window, soak: float, second: Window, timezone: str = "UTC", blackout: Sequence[str] = ()) -> Reach:
    """Count, over twelve years of cycles, those that `second` misses.

    A cycle runs from an opening of `first` to its first opening at least 27 days later.
    """
    if "always" in (first.kind, second.kind) and second.kind != "date":
        return Reach(1, 0, "")
    zone = parse_zone(timezone)
    begin = instant(first.day or date(2026, 1, 1), 0, zone)
    limit = begin + 12 * 366 * _DAY
    cycles = missed = 0
    example = ""
    starts = _cycle_starts(first, blackout, timezone, begin)
    opened = next(starts, None)
    while opened is not None and opened < limit:
        following = next(starts, None)
        ready = opened + soak
        chance = next_opening(second, blackout, timezone, ready)
        cycles += 1
        if chance >= (math.inf if following is None else following):
            missed += 1
            example = example or _describe_miss(opened, ready, chance, zone)
        opened = following
    return Reach(cycles, missed, example)


def _cycle_starts(window: Window, blackout: Sequence[str], timezone: str, begin: float) -> Iterator[float]:
    after = begin
    while (opened := next_opening(window, blackout, timezone, after)) < math.inf:
        yield opened
        after = opened + _CYCLE


def _describe_miss(opened: float, ready: float, chance: float, zone: tzinfo) -> str:
    later = "never again" if chance == math.inf else f"on {format_instant(chance, zone)}"
    return (
        f"opens {format_instant(opened, zone)}, soaked at the earliest {format_instant(ready, zone)}, "
        f"next ring's window opens {later}"
    )


def _split_times(words: list[str], text: str) -> tuple[list[str], list[str]]:
    """Split off the words from the first one that holds a time of day."""
    for index, word in enumerate(words):
        if ":" in word:
            return words[:index], words[index:]
    raise ValueError(f"window {text!r} has no start time; {_FORMS}")


def _parse_times(words: list[str], text: str) -> tuple[int, float, int]:
    """Return (start, length, end) from "20:00 4h" or "20:00-23:30"."""
    begin, dash, finish = words[0].partition("-")
    start = _parse_clock(begin, text)
    if start >= _DAY_MINUTES:
        raise ValueError(f"window {text!r} cannot start at 24:00; write 00:00 of the next day")
    if dash:
        if len(words) > 1:
            raise ValueError(f"window {text!r} has words after its end time; {_FORMS}")
        end = _parse_clock(finish, text)
        if end == start:
            raise ValueError(f"window {text!r} starts and ends at the same time; write '{begin} 24h' for a whole day")
        return start, 0.0, end if end > start else end + _DAY_MINUTES
    if len(words) != 2:
        raise ValueError(f"window {text!r} needs exactly one length after {begin}, as in '{begin} 4h'")
    length = parse_duration(words[1])
    if not 60 <= length <= _LONGEST:
        raise ValueError(f"window {text!r} is {format_duration(length)} long; allowed are 1 minute to 7 days")
    return start, length, 0


def _parse_clock(word: str, text: str) -> int:
    """Given HH:MM (up to 24:00), return minutes after midnight."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", word, re.ASCII)
    minutes = int(match[1]) * 60 + int(match[2]) if match else -1
    if match is None or int(match[2]) > 59 or minutes > _DAY_MINUTES:
        raise ValueError(f"not a time of day in window {text!r}: {word!r} (write 22:00)")
    return minutes


def _parse_days(words: list[str], text: str) -> tuple[str, tuple[int, ...], int, int, date | None]:
    """Return (kind, weekdays, nth, offset, day) from the words before the start time."""
    if words == ["daily"]:
        return "daily", (), 0, 0, None
    if len(words) == 1 and re.fullmatch(r"\d{4}-.*", words[0]):
        return "date", (), 0, 0, parse_date(words[0])
    if len(words) == 1:
        return "weekly", _parse_weekdays(words[0], text), 0, 0, None
    if len(words) in (2, 3) and words[0] in _ORDINALS:
        weekdays = _parse_weekdays(words[1], text)
        if len(weekdays) != 1:
            raise ValueError(f"window {text!r} needs one weekday after {words[0]!r}, as in '2nd tue'")
        return "monthly", weekdays, _ORDINALS[words[0]], _parse_offset(words[2:], text), None
    raise ValueError(f"cannot read the days of window {text!r}; {_FORMS}")


def _parse_offset(words: list[str], text: str) -> int:
    if not words:
        return 0
    match = re.fullmatch(r"\+(\d{1,2})d", words[0], re.ASCII)
    if match is None or int(match[1]) > 27:
        raise ValueError(f"not an offset in window {text!r}: {words[0]!r} (write +1d, at most +27d)")
    return int(match[1])


def _parse_weekdays(word: str, text: str) -> tuple[int, ...]:
    """Given "mon,wed" or "mon-fri" or both, return weekday numbers in order."""
    found: set[int] = set()
    for part in word.split(","):
        first, dash, last = part.partition("-")
        for name in (first, last) if dash else (first,):
            if name not in _WEEKDAYS:
                raise ValueError(f"not a weekday in window {text!r}: {name!r} (write {', '.join(_WEEKDAYS)})")
        begin = _WEEKDAYS.index(first)
        span = (_WEEKDAYS.index(last) - begin) % 7 if dash else 0
        found.update((begin + step) % 7 for step in range(span + 1))
    return tuple(sorted(found))


def _occurrences(window: Window, zone: tzinfo, after: float) -> Iterator[tuple[float, float]]:
    """Yield (start, end) of each occurrence that can still matter at `after`, blackouts ignored."""
    if window.kind == "always":
        yield -math.inf, math.inf
        return
    for day in _days(window, local_date(after - _LONGEST - 2 * _DAY, UTC)):
        start = instant(day, window.start, zone)
        end = start + window.length if window.length else instant(day, window.end, zone)
        if end > start:  # a span that lies wholly within a daylight-saving gap does not take place
            yield start, end


def _days(window: Window, begin: date) -> Iterator[date]:
    """Yield the local dates from `begin` on at which the window starts; without end for recurring windows."""
    if window.kind == "date":
        if window.day is not None and window.day >= begin:
            yield window.day
        return
    if window.kind == "monthly":
        yield from _monthly_days(window, begin)
        return
    day = begin
    while day.year < MAXYEAR:
        if window.kind == "daily" or day.weekday() in window.weekdays:
            yield day
        day += timedelta(days=1)


def _monthly_days(window: Window, begin: date) -> Iterator[date]:
    month = (begin - timedelta(days=window.offset)).replace(day=1)
    while month.year < MAXYEAR:
        following = (month + timedelta(days=31)).replace(day=1)
        if window.nth > 0:
            found = month + timedelta(days=(window.weekdays[0] - month.weekday()) % 7 + 7 * (window.nth - 1))
        else:
            last = following - timedelta(days=1)
            found = last - timedelta(days=(last.weekday() - window.weekdays[0]) % 7)
        day = found + timedelta(days=window.offset)
        if found < following and day >= begin:
            yield day
        month = following


def _merge_touching(spans: Iterator[tuple[float, float]], after: float) -> Iterator[tuple[float, float]]:
    """Join spans that overlap or touch, up to _MERGE_AHEAD beyond `after`; drop those that ended before."""
    current: tuple[float, float] | None = None
    for start, end in spans:
        if current is None or start > current[1] or current[1] - max(current[0], after) > _MERGE_AHEAD:
            if current is not None and current[1] > after:
                yield current
            current = start, end
        else:
            current = current[0], max(current[1], end)
    if current is not None and current[1] > after:
        yield current


def _merge_closed(ranges: Sequence[tuple[date, date]], zone: tzinfo) -> list[tuple[float, float]]:
    """Return blackout days as sorted, disjoint spans from local midnight to the midnight after the last day."""
    merged: list[tuple[float, float]] = []
    for first, last in sorted(ranges):
        start, end = instant(first, 0, zone), instant(last, _DAY_MINUTES, zone)
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((start, end))
    return merged


def _cut(start: float, end: float, closed: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Yield what is left of a span without the closed ones."""
    for shut, reopened in closed:
        if reopened <= start or shut >= end:
            continue
        if shut > start:
            yield start, shut
        start = reopened
    if start < end:
        yield start, end
