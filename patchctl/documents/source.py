"""A user's file as text with line numbers: makes Problems with the source line, never showing a secret in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cached_property

from msgspec import Struct

from patchctl.model.errors import Problem
from patchctl.model.text import one_line, strip_control

LINE_LIMIT = 240
MASKED_LIMIT = 4000
"""Longer lines are not shown: looking for secrets in them costs too much, and half a line could show one."""
MANY_WORDS = 500
# The value behind a key that names a secret is masked in excerpts; references (env:, file: ...) may be shown.
_SECRET = re.compile(
    r"""(?ix) (?P<key> [\w-]* (?:password|passwd|passphrase|secret|token|api_?key|_pass) ['"]? \s* [:=] \s* )
        (?P<value> "(?:[^"\\]|\\.)*"? | '[^']*'? | [^,}\]\s][^,}\]]* )"""
)
_REFERENCE = re.compile(r"""['"]?(?:(?:env|file|prompt|vault-file):|\{\{)|[|>]|!vault|\{|\[""")
_CONTINUED = re.compile(r"\s*[\w-]*(?:password|passwd|passphrase|secret|token|api_?key|_pass)\s*[:=]", re.IGNORECASE)


class Findings:
    """Collects Problems of one run. `notes` are remarks that make nothing invalid."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []
        self._seen: set[Problem] = set()

    def add(self, problem: Problem) -> None:
        if problem not in self._seen:
            self._seen.add(problem)
            self.problems.append(problem)

    def note(self, problem: Problem) -> None:
        if problem not in self._seen:
            self._seen.add(problem)
            self.notes.append(problem)

    def sorted(self) -> tuple[Problem, ...]:
        """Return all problems by file, line and column."""
        return _in_order(self.problems)

    def sorted_notes(self) -> tuple[Problem, ...]:
        """Return all notes by file, line and column."""
        return _in_order(self.notes)


def _in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.code)))


class Source(Struct, frozen=True, dict=True):
    """One file: the name shown to people, and its text."""

    name: str
    text: str = ""

    @cached_property
    def lines(self) -> Sequence[str]:
        return re.split(r"\r\n|[\n\r\x85\u2028\u2029]", self.text)

    def problem(self, line: int, column: int, code: str, message: str, hint: str = "") -> Problem:
        """Return a Problem at a place (lines and columns start at 1; 0 = the file as a whole)."""
        excerpt = ""
        if 1 <= line <= len(self.lines):
            excerpt = _excerpt(self.lines[line - 1], column)
        return Problem(self.name, line, column, code, one_line(message), one_line(hint), excerpt)

    def place(self, line: int, column: int) -> str:
        """Return `file:line:column` for origins."""
        return f"{self.name}:{line}:{column}"


def mask_secrets(line: str) -> str:
    """Given a source line, return it with every value behind a key that names a secret blotted out.

    The blot is as long as the value, so that columns stay right; a plain scalar is blotted up to the end of its line.
    """
    def blot(found: re.Match[str]) -> str:
        return found[0] if _REFERENCE.match(found["value"]) else found["key"] + "*" * len(found["value"])

    masked = _SECRET.sub(blot, line)
    if masked != line and _CONTINUED.match(line):
        # A line of its own: commas and brackets belong to the value.
        at = masked.index("*")
        return masked[:at] + "*" * (len(line) - at)
    return masked


def _excerpt(line: str, column: int) -> str:
    """Return the line safe for a terminal, cut after LINE_LIMIT; nothing if the place lies beyond that."""
    if column > LINE_LIMIT or len(line) > MASKED_LIMIT:
        return ""
    return strip_control(mask_secrets(line).replace("\t", " "))[:LINE_LIMIT]


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known words: "did you mean 'web'?", or a short list of what there is."""
    words = sorted(set(known))
    # Comparing is slow: among very many words only those that begin alike are looked at.
    alike = words if len(words) <= MANY_WORDS else [w for w in words if w[:2] == word[:2]]
    near = difflib.get_close_matches(word, alike, n=1, cutoff=0.6)
    if not near:
        folded = {w.casefold(): w for w in words}
        near = [folded[word.casefold()]] if word.casefold() in folded else []
    if near:
        return f"did you mean {near[0]!r}?"
    if not words:
        return ""
    shown = ", ".join(words[:12])
    return f"known: {shown}{', …' if len(words) > 12 else ''}"

