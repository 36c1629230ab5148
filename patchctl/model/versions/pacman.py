"""Orders Arch's versions as pacman does: [epoch:]version[-pkgrel], vercmp(8)."""

from __future__ import annotations

import re
from functools import cmp_to_key

_EPOCH = re.compile(r"([0-9]*):(.*)", re.DOTALL)
_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+")
_SEPARATOR = re.compile(r"[^A-Za-z0-9]*")


def compare(a: str, b: str) -> int:
    """Return -1, 0 or 1. No epoch equals epoch 0; a package release counts only if both have one."""
    (epoch_a, version_a, release_a), (epoch_b, version_b, release_b) = split(a), split(b)
    found = _compare_text(epoch_a, epoch_b) or _compare_text(version_a, version_b)
    if found or release_a is None or release_b is None:
        return found
    return _compare_text(release_a, release_b)


def split(version: str) -> tuple[str, str, str | None]:
    """Return (epoch, version, pkgrel); None = no pkgrel."""
    match = _EPOCH.fullmatch(version)
    epoch, rest = (match[1] or "0", match[2]) if match else ("0", version)
    upstream, dash, release = rest.rpartition("-")
    return (epoch, upstream, release) if dash else (epoch, rest, None)


def _compare_text(a: str, b: str) -> int:
    """Compare segment by segment: runs of digits by value, runs of letters by character; separators by length."""
    at_a = at_b = 0
    while a != b and at_a < len(a) and at_b < len(b):
        gap_a, gap_b = _end(_SEPARATOR, a, at_a), _end(_SEPARATOR, b, at_b)
        sizes = gap_a - at_a, gap_b - at_b
        at_a, at_b = gap_a, gap_b
        if at_a == len(a) or at_b == len(b):
            break
        if sizes[0] != sizes[1]:
            return -1 if sizes[0] < sizes[1] else 1
        one, other = a[at_a : _end(_SEGMENT, a, at_a)], b[at_b : _end(_SEGMENT, b, at_b)]
        if one[0].isdigit() != other[0].isdigit():
            return 1 if one[0].isdigit() else -1  # a number is newer than a word
        found = _compare_numbers(one, other) if one[0].isdigit() else (one > other) - (one < other)
        if found:
            return found
        at_a, at_b = at_a + len(one), at_b + len(other)
    left, right = (a[at_a:], b[at_b:]) if a != b else ("", "")
    if not left and not right:
        return 0
    # What is left over makes newer, but a word left over makes older: 1.0rc < 1.0 < 1.0.1.
    return -1 if (not left and not _is_letter(right)) or _is_letter(left) else 1


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _compare_numbers(one: str, other: str) -> int:
    a, b = int(one), int(other)
    return (a > b) - (a < b)


def _is_letter(text: str) -> bool:
    return text[:1].isascii() and text[:1].isalpha()


sort_key = cmp_to_key(compare)
"""Key for sorted() and max()."""
