"""Perl-compatible patterns: OVAL's `pattern match` is PCRE, which Python's own `re` reads otherwise or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import pcre2

MULTILINE, DOTALL, IGNORECASE = int(pcre2.MULTILINE), int(pcre2.DOTALL), int(pcre2.IGNORECASE)


_SHORT = 200


class BadPatternError(ValueError):
    """A pattern that PCRE2 does not take, or gave up on; says why."""


@lru_cache(maxsize=8192)
def _compiled(pattern: str, flags: int) -> Any:
    # UTF without Unicode classes, as oscap compiles: \w and \s are those of ASCII.
    try:
        return pcre2.compile(pattern, flags | int(pcre2.ASCII), jit=False)
    except pcre2.error as error:
        raise BadPatternError(f"{pattern!r}: {error}") from error


def check(pattern: str, flags: int = 0) -> str:
    """Return why a pattern cannot be used ("" if it can)."""
    try:
        _compiled(pattern, flags)
    except BadPatternError as error:
        return str(error)
    return ""


def found(pattern: str, text: str, flags: int = 0) -> bool:
    """Say whether a pattern matches anywhere in a text. Raise BadPatternError."""
    if len(text) < _SHORT:
        return _found_in_short(pattern, text, flags)
    return _found(pattern, text, flags)


@lru_cache(maxsize=32768)  # paths and names that many objects look at
def _found_in_short(pattern: str, text: str, flags: int) -> bool:
    return _found(pattern, text, flags)


def _found(pattern: str, text: str, flags: int) -> bool:
    try:
        return _compiled(pattern, flags).search(text) is not None
    except (pcre2.error, pcre2.LibraryError) as error:
        raise BadPatternError(f"{pattern!r}: {error}") from error


def first_group(pattern: str, text: str) -> str | None:
    """Return the first group of the first match ("" if it took no part), or None without a match or group."""
    try:
        match = _compiled(pattern, 0).search(text)
    except (pcre2.error, pcre2.LibraryError) as error:
        raise BadPatternError(f"{pattern!r}: {error}") from error
    if match is None or not match.re.groups:
        return None
    return match.group(1)  # type: ignore[no-any-return]  # the library ships no types


def matches(pattern: str, text: str, flags: int) -> Iterator[tuple[str, Sequence[str | None]]]:
    """Yield every match: its text and its groups. Raise BadPatternError."""
    try:
        for match in _compiled(pattern, flags).finditer(text):
            yield match.group(0), match.groups()
    except (pcre2.error, pcre2.LibraryError) as error:
        raise BadPatternError(f"{pattern!r}: {error}") from error
