"""A user's file as text with line numbers: makes Problems with the source line, never showing a secret in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from patchctl.model.errors import Problem
from patchctl.model.text import one_line, strip_control

LINE_LIMIT = 240
# The value behind a key that looks like a secret is masked in excerpts; references (env:, file: ...) may be shown.
_SECRET = re.compile(
    r"(?i)^(?P<key>.*?(?:password|passwd|passphrase|secret|token|api_?key|_pass)['\"]?\s*[:=]\s*)(?P<value>\S.*)$"
)
_SECRET_BY_FLAG = re.compile(r"(?i)(\b(?:\w*(?:password|passwd|passphrase|secret|token|_pass))\s*[=:]\s*)[^\s,}]+")
_REFERENCE = re.compile(r"""^['"]?(?:(?:env|file|cmd|prompt|vault-file):|\{\{|[|>]|!vault|\{|\[)""")


class Findings:
    """Collects Problems of one run. `notes` are remarks that make nothing invalid."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []

    def add(self, problem: Problem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def note(self, problem: Problem) -> None:
        if problem not in self.notes:
            self.notes.append(problem)

    def sorted(self) -> tuple[Problem, ...]:
        """Return all problems by file, line and column."""
        return tuple(sorted(self.problems, key=lambda p: (p.file, p.line, p.column, p.code)))


@dataclass(frozen=True)
class Source:
    """One file: the name shown to people, and its text."""

    name: str
    text: str = field(repr=False, default="")

    @cached_property
    def lines(self) -> Sequence[str]:
        return re.split(r"\r\n|[\n\r\x85\u2028\u2029]", self.text)

    def problem(self, line: int, column: int, code: str, message: str, hint: str = "") -> Problem:
        """Return a Problem at a place (lines and columns start at 1; 0 = the file as a whole)."""
        excerpt = ""
        if 1 <= line <= len(self.lines):
            excerpt, column = _excerpt(self.lines[line - 1], column)
        return Problem(self.name, line, column, code, one_line(message), one_line(hint), excerpt)

    def place(self, line: int, column: int) -> str:
        """Return `file:line:column` for origins."""
        return f"{self.name}:{line}:{column}"


def mask_secret(line: str) -> str:
    """Given a source line, return it with the value behind a key that names a secret replaced by an ellipsis."""
    found = _SECRET.match(line)
    if found and not _REFERENCE.match(found["value"]):
        return found["key"] + "…"
    return _SECRET_BY_FLAG.sub(lambda m: m[0] if _REFERENCE.match(m[0][len(m[1]) :]) else f"{m[1]}…", line)


def _excerpt(line: str, column: int) -> tuple[str, int]:
    """Return the line safe for a terminal and short enough, with the column moved along."""
    safe = strip_control(mask_secret(line).replace("\t", " "))
    if len(safe) <= LINE_LIMIT:
        return safe, column
    start = max(0, min(column - 1 - LINE_LIMIT // 2, len(safe) - LINE_LIMIT))
    return safe[start : start + LINE_LIMIT], column - start


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest known words: "did you mean 'web'?", or a short list of what there is."""
    words = sorted(set(known))
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not near:
        folded = {w.casefold(): w for w in words}
        near = [folded[word.casefold()]] if word.casefold() in folded else []
    if near:
        return f"did you mean {near[0]!r}?"
    if not words:
        return ""
    shown = ", ".join(words[:12])
    return f"known: {shown}{', …' if len(words) > 12 else ''}"


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Return (line number, line) pairs starting at 1."""
    return enumerate(text.splitlines(), 1)
