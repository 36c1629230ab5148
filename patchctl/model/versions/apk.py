"""Orders Alpine's versions as apk-tools 3 does: 1.2.3b_rc1_p2~0abc-r4 (apk-package(5)).

apk-tools 2 knows no ~hash and orders some versions with leading zeros otherwise.
"""

from __future__ import annotations

import re
from functools import cmp_to_key

_SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")
"""In their order; the empty one stands for a version without a suffix: those before it come before the release."""
_RELEASE = _SUFFIXES.index("")
# Kinds of parts in the order in which they may follow each other.
_FIRST, _NUMBER, _LETTER, _SUFFIX, _SUFFIX_NUMBER, _HASH, _REVISION, _END, _INVALID = range(9)
_GRAMMAR = re.compile(
    r"(?P<first>[0-9]+)(?P<numbers>(?:\.[0-9]+)*)(?P<letter>[a-z]?)"
    r"(?P<suffixes>(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)(?![a-z])[0-9]*)*)"
    r"(?:~(?P<hash>[0-9a-f]+))?(?:-r(?P<revision>[0-9]+))?"
)
_Part = tuple[int, int | str]


def compare(a: str, b: str) -> int:
    """Return -1, 0 or 1. What is not a version compares by its beginning that is one, and is older than just that."""
    left, right = _parts(a), _parts(b)
    for one, other in zip(left, right, strict=False):
        if one[0] != other[0]:
            return _compare_kinds(one, other)
        found = _compare_values(one, other)
        if found:
            return found
    return 0  # the last parts are both the end, or both nonsense


def is_valid(version: str) -> bool:
    """Say whether apk takes this for a version."""
    return _parts(version)[-1][0] == _END


def _parts(version: str) -> list[_Part]:
    match = _GRAMMAR.match(version)
    if match is None:
        return [(_INVALID, "")]
    parts: list[_Part] = [(_FIRST, int(match["first"]))]
    parts += [(_NUMBER, number) for number in match["numbers"].split(".")[1:]]
    if match["letter"]:
        parts.append((_LETTER, match["letter"]))
    for word, number in re.findall(r"_([a-z]+)([0-9]*)", match["suffixes"]):
        parts.append((_SUFFIX, _SUFFIXES.index(word)))
        if number:
            parts.append((_SUFFIX_NUMBER, int(number)))
    if match["hash"]:
        parts.append((_HASH, match["hash"]))
    if match["revision"]:
        parts.append((_REVISION, int(match["revision"])))
    parts.append((_END if match.end() == len(version) else _INVALID, ""))
    return parts


def _compare_kinds(one: _Part, other: _Part) -> int:
    """One version goes on where the other does not, or goes on otherwise."""
    if one[0] == _SUFFIX and isinstance(one[1], int) and one[1] < _RELEASE:
        return -1
    if other[0] == _SUFFIX and isinstance(other[1], int) and other[1] < _RELEASE:
        return 1
    return -1 if one[0] > other[0] else 1


def _compare_values(one: _Part, other: _Part) -> int:
    a, b = one[1], other[1]
    if isinstance(a, int) and isinstance(b, int):
        return (a > b) - (a < b)
    a, b = str(a), str(b)
    if one[0] == _NUMBER and not a.startswith("0") and not b.startswith("0"):
        return (int(a) > int(b)) - (int(a) < int(b))
    return (a > b) - (a < b)  # numbers with a leading zero are compared like decimals


sort_key = cmp_to_key(compare)
"""Key for sorted() and max()."""
