"""Versions of Windows software: numbers between dots, compared one by one; missing ones are 0.

Windows Installer itself compares the first three fields only (ProductVersion, learn.microsoft.com); here all count.
"""

from __future__ import annotations

import re


def compare(left: str, right: str) -> int:
    """Return -1, 0 or 1. Fields that are no numbers are compared as text, and are lower than numbers."""
    one, two = _fields(left), _fields(right)
    longest = max(len(one), len(two))
    one += [(1, 0, "")] * (longest - len(one))
    two += [(1, 0, "")] * (longest - len(two))
    return (one > two) - (one < two)


def _fields(version: str) -> list[tuple[int, int, str]]:
    return [
        (1, int(field), "") if re.fullmatch(r"[0-9]+", field) else (0, 0, field.lower())
        for field in re.split(r"[.,\-+ ]", version.strip())
    ]
