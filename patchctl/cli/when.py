"""Times as the terminal shows them: local time with its zone, and how long ago or ahead."""

from __future__ import annotations

from datetime import datetime

from patchctl.model.units import format_duration


def local_time(at: float | None) -> str:
    """Return 2026-11-12 22:00:03 CET in the zone of this machine; "never" for None."""
    if at is None:
        return "never"
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def relative(at: float, now: float) -> str:
    """Return "in 3h07m" or "2d04h ago"."""
    return f"in {format_duration(at - now)}" if at > now else f"{format_duration(now - at)} ago"
