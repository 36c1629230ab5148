"""Durations, counts and percents as people write them."""

from __future__ import annotations

import math
import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_BUDGET = re.compile(r"(\d+)|(\d+(?:\.\d+)?)\s*%")


def parse_duration(text: str) -> float:
    """Given "90m", "1d12h" or "30s", return seconds. Raise ValueError for anything else, bare numbers included."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"not a duration: {text!r} (write 30s, 90m, 4h, 2d or 1w)")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """Return the two largest units: 3h07m, 2d04h, 41s."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, s = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{s:02}s"
    hours, m = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{m:02}m"
    return f"{hours // 24}d{hours % 24:02}h"


def check_budget(text: str) -> None:
    """Raise ValueError unless text is N or N%."""
    if not _BUDGET.fullmatch(text):
        raise ValueError(f"not a count or percentage: {text!r} (write 3 or 5%)")


def resolve_budget(text: str, total: int) -> int:
    """Given "4" or "5%" and a total, return the count; a percentage is rounded down (never more damage than said)."""
    check_budget(text)
    if text.rstrip().endswith("%"):
        return math.floor(total * float(text.rstrip()[:-1]) / 100 + 1e-9)
    return int(text)


def resolve_share(text: str, total: int) -> int:
    """Like resolve_budget for sizes and concurrency: rounded up and at least 1, so that work can begin."""
    check_budget(text)
    if text.rstrip().endswith("%"):
        return max(1, math.ceil(total * float(text.rstrip()[:-1]) / 100 - 1e-9))
    return max(1, int(text))


def format_bytes(count: int) -> str:
    """Return 1.4 MB style text in powers of ten."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
