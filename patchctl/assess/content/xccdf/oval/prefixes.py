"""Finds where the paths that a pattern matches must lie, so that not the whole file system has to be looked at."""

from __future__ import annotations

from msgspec import Struct

MAX_PREFIXES = 64
_QUANTIFIERS = "?*+{"


class Place(Struct, frozen=True):
    """Where matches lie: all of them start with `prefix`; `closed` = they are exactly it."""

    prefix: str
    closed: bool = False


class _OpenError(Exception):
    """The pattern goes on with something that is not literal."""


def places(pattern: str) -> tuple[Place, ...]:
    """Return the places where a pattern's matches lie; ("/") for all of them when it tells nothing."""
    everywhere = (Place("/"),)
    reader = _Reader(pattern)
    found: list[Place] = []
    try:
        branches = reader.alternatives(top=True)
    except (_OpenError, RecursionError):
        return everywhere
    for text, closed, _ in branches:
        # An alternative that starts with a slash is meant to start a path, caret or not: oscap walks no other way.
        if not text.startswith("/") or text == "/":
            return everywhere
        found.append(Place(text, closed))
    unique = tuple(dict.fromkeys(found))
    return unique if 0 < len(unique) <= MAX_PREFIXES and not reader.lost else everywhere


def suffix(pattern: str) -> str:
    """Return the literal text that every match must end with ("" if nothing is known)."""
    if "|" in pattern or not pattern.endswith("$") or pattern.endswith("\\$"):
        return ""
    text, at = "", len(pattern) - 1
    while at > 0:
        character = pattern[at - 1]
        if at >= 2 and pattern[at - 2] == "\\" and not (at >= 3 and pattern[at - 3] == "\\"):
            if character not in "./-_":
                break
            text, at = character + text, at - 2
        elif character.isalnum() or character in "/-_":
            text, at = character + text, at - 1
        else:
            break
    return text if not pattern.startswith("(?") else ""


class _Reader:
    """Reads literals, escapes, alternatives and optional parts; everything else opens the branch."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.lost = False

    def alternatives(self, *, top: bool) -> list[tuple[str, bool, bool]]:
        """Return (text, closed, anchored) of each alternative up to the end or the closing bracket."""
        found: list[tuple[str, bool, bool]] = []
        while True:
            found.extend(self._sequence(top=top))
            if self.at < len(self.pattern) and self.pattern[self.at] == "|":
                self.at += 1
                continue
            return found

    def _sequence(self, *, top: bool) -> list[tuple[str, bool, bool]]:
        texts = [""]
        anchored = False
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character in "|)":
                break
            if character == "^" and texts == [""]:
                anchored = True
                self.at += 1
                continue
            if character == "$" and self._ends(self.at + 1):
                self.at += 1
                return [(t, True, anchored) for t in texts]
            try:
                atoms = self._atom()
            except _OpenError:
                if not top:
                    raise
                self._skip()
                return [(t, False, anchored) for t in texts]
            mark = self.pattern[self.at : self.at + 1]
            if mark == "?":
                self.at += 1
                atoms = ["", *atoms]
            elif mark and mark in _QUANTIFIERS:
                if not top:
                    raise _OpenError
                self._skip()
                return [(t, False, anchored) for t in texts]
            texts = [t + a for t in texts for a in atoms]
            if len(texts) > MAX_PREFIXES:
                self.lost = True
                raise _OpenError
        return [(t, False, anchored) for t in texts]

    def _ends(self, at: int) -> bool:
        return at >= len(self.pattern) or self.pattern[at] == "|"

    def _atom(self) -> list[str]:
        character = self.pattern[self.at]
        start = self.at
        if character == "\\":
            following = self.pattern[self.at + 1 : self.at + 2]
            if not following or following.isalnum():
                raise _OpenError
            self.at += 2
            return [following]
        if character == "(":
            self.at += 1
            if self.pattern[self.at : self.at + 2] == "?:":
                self.at += 2
            elif self.pattern[self.at : self.at + 1] == "?":
                self.at = start
                raise _OpenError
            try:
                inner = self.alternatives(top=False)
            except _OpenError:
                self.at = start
                raise
            if self.pattern[self.at : self.at + 1] != ")" or any(c or a for _, c, a in inner):
                self.at = start
                raise _OpenError
            self.at += 1
            return [text for text, _, _ in inner]
        if character in ".[^$*+?{":
            raise _OpenError
        self.at += 1
        return [character]

    def _skip(self) -> None:
        """Go to the next alternative at the top, past what cannot be read."""
        depth = 0
        while self.at < len(self.pattern):
            character = self.pattern[self.at]
            if character == "\\":
                self.at += 2
                continue
            if character == "[":
                end = self.pattern.find("]", self.at + 2)
                self.at = len(self.pattern) if end < 0 else end + 1
                continue
            if character == "(":
                depth += 1
            elif character == ")":
                depth -= 1
            elif character == "|" and depth == 0:
                return
            self.at += 1


def anchored(pattern: str) -> str:
    """Return the pattern with the caret that oscap adds where a path's pattern starts with a slash."""
    return f"^{pattern}" if pattern.startswith(("/", "\\/")) else pattern
