"""Orders Debian versions as dpkg does: [epoch:]upstream[-revision], deb-version(7)."""

from __future__ import annotations

import re
from functools import cmp_to_key


def compare(a: str, b: str) -> int:
    """Return -1, 0 or 1. Raise ValueError for an epoch that is not a number."""
    epoch_a, upstream_a, revision_a = split(a)
    epoch_b, upstream_b, revision_b = split(b)
    if epoch_a != epoch_b:
        return -1 if epoch_a < epoch_b else 1
    return _compare_part(upstream_a, upstream_b) or _compare_part(revision_a, revision_b)


def split(version: str) -> tuple[int, str, str]:
    """Return (epoch, upstream, revision); no revision equals revision 0."""
    epoch, sep, rest = version.partition(":")
    if not sep:
        epoch, rest = "0", version
    if not epoch.isascii() or not epoch.isdigit():
        raise ValueError(f"not a Debian version: {version!r} (its epoch is not a number)")
    upstream, _, revision = rest.rpartition("-")
    return (int(epoch), upstream, revision) if upstream else (int(epoch), rest, "")


def _order(character: str) -> int:
    """Tilde sorts before the end, the end before letters, letters before everything else."""
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256


def _compare_part(a: str, b: str) -> int:
    while a or b:
        head_a, head_b = _head(a), _head(b)
        words_a, words_b = [_order(c) for c in head_a[0]], [_order(c) for c in head_b[0]]
        longest = max(len(words_a), len(words_b))
        padded_a, padded_b = words_a + [0] * (longest - len(words_a)), words_b + [0] * (longest - len(words_b))
        if padded_a != padded_b:
            return -1 if padded_a < padded_b else 1
        number_a, number_b = int(head_a[1] or "0"), int(head_b[1] or "0")
        if number_a != number_b:
            return -1 if number_a < number_b else 1
        a, b = a[len(head_a[0]) + len(head_a[1]) :], b[len(head_b[0]) + len(head_b[1]) :]
    return 0


def _head(text: str) -> tuple[str, str]:
    """Split off the leading non-digits and the digits behind them."""
    match = re.match(r"([^0-9]*)([0-9]*)", text)
    assert match is not None  # both parts may be empty
    return match[1], match[2]


sort_key = cmp_to_key(compare)
"""Key for sorted() and max()."""
