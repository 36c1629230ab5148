"""Orders rpm versions as rpm does: [epoch:]version[-release], rpm-version(7)."""

from __future__ import annotations

import re
from functools import cmp_to_key

_PIECE = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")


def compare(a: str, b: str) -> int:
    """Return -1, 0 or 1. No epoch equals epoch 0; no release is equal to any release."""
    (epoch_a, version_a, release_a), (epoch_b, version_b, release_b) = split(a), split(b)
    if epoch_a != epoch_b:
        return -1 if epoch_a < epoch_b else 1
    found = compare_part(version_a, version_b)
    if found or not release_a or not release_b:
        return found
    return compare_part(release_a, release_b)


def split(version: str) -> tuple[int, str, str]:
    """Return (epoch, version, release). Raise ValueError for an epoch that is not a number."""
    epoch, sep, rest = version.partition(":")
    if not sep:
        epoch, rest = "0", version
    if not (epoch.isascii() and epoch.isdigit()):
        raise ValueError(f"not an rpm version: {version!r} (its epoch is not a number)")
    upstream, dash, release = rest.rpartition("-")
    return (int(epoch), upstream, release) if dash else (int(epoch), rest, "")


def compare_part(a: str, b: str) -> int:
    """Compare two versions or two releases piece by piece; separators only separate."""
    left, right = _PIECE.findall(a), _PIECE.findall(b)
    for one, other in zip(left, right, strict=False):
        if one == other:
            continue
        found = _compare_piece(one, other)
        if found:
            return found
    if len(left) == len(right):
        return 0
    longer, sign = (left, 1) if len(left) > len(right) else (right, -1)
    # What is longer is newer, but a tilde sorts before the end: 1.0~rc1 < 1.0 < 1.0^git1.
    return -sign if longer[min(len(left), len(right))] == "~" else sign


def _compare_piece(one: str, other: str) -> int:
    for mark, sign in (("~", -1), ("^", -1)):
        if mark in (one, other):
            return sign if one == mark else -sign
    if one.isdigit() != other.isdigit():
        return 1 if one.isdigit() else -1
    if one.isdigit():
        a, b = int(one), int(other)
        return (a > b) - (a < b)
    return (one > other) - (one < other)


sort_key = cmp_to_key(compare)
"""Key for sorted() and max()."""
