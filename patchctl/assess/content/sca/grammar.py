"""The grammar of SCA rules, `[not ]T:target[ -> pattern[ -> pattern]]`, in both dialects, and how patterns are judged.

What v4 and v5 do differently (Wazuh 4.14 and 5.0) is pinned here, each in one place:
  1. a lone `!r:X`: v4 "some line is different", v5 "no line matches"
  2. `compare`: v4 looks for = != <= >= < > in this order (a leading = is ==), v5 takes < <= == != >= > only
  3. literals: v4 equal to a line, in either case; v5 equal to a line, exactly, and for `c:` to the whole output
  4. `f:a,b` and `d:a,b`: v4 several places, v5 one name with a comma
  5. `p:`: v4 a pattern, v5 a name
  6. `c:` without a pattern: v4 passes without running it, v5 passes when it could be run
  7. a `!` before the type is ignored by both
  8. `title` (v4) or `name` (v5): see document.py
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import pcre2
from msgspec import Struct

from patchctl.assess.content.sca.osregex import BadPatternError, translate_osregex
from patchctl.model.text import one_line

FOUND, NOT_FOUND, INVALID = "found", "not found", "invalid"
ODD, UNSEEN = "not interpreted", "no evidence"
"""What Wazuh has no word for: we cannot interpret the rule; we could not look. Neither is ever taken for a result."""

TYPES = "fdpcr"
OSREGEX, PCRE2, PCRE2_V5 = "osregex", "pcre2", "pcre2-v5"
"""PCRE2 as v4 uses it (no options) and as v5 does (MULTILINE, CASELESS)."""

_INTEGER = re.compile(r"\s*[+-]?\d+")
_V5_OPERATORS = ("<", "<=", "==", "!=", ">=", ">")


class OddError(Exception):
    """A part of a rule cannot be interpreted; the text says why."""


class GaveUpError(Exception):
    """An expression reached its match limit on what a host sent: nothing was concluded; the text says which."""


class Test(Struct, frozen=True):
    """One rule of a check, taken apart."""

    text: str
    """As written, variables replaced."""
    kind: str
    """f d p c r, or "" when it could not be read: `odd` says why."""
    negated: bool
    targets: tuple[str, ...]
    pattern: str | None
    """What is looked for: in the file, the output, the directory (a name), the key (a value)."""
    content: str | None
    """d and r: what is looked for in the files, in the value."""
    odd: tuple[str, ...] = ()


class Result(Struct, frozen=True):
    """What a rule or pattern came to. `reason` is filled for INVALID, ODD and UNSEEN."""

    state: str
    reason: str = ""
    shown: str = ""
    """The line that decided, or the start of what was looked at."""


def parse_test(text: str, dialect: int, variables: Sequence[tuple[str, str]]) -> Test:
    """Take a rule apart. Never raises: what cannot be read is an odd Test."""
    text = _replace(text, variables) if dialect == 5 else text
    bare, negated = (text.strip(" \t"), False) if dialect == 5 else (text, False)
    if bare.startswith("not ") or (dialect == 4 and bare.startswith("NOT ")):
        bare, negated = bare[4:].strip(" \t") if dialect == 5 else bare[4:], True
    head, *rest = bare.split(" -> ")
    kind, colon, target = head.partition(":")
    kind = kind.strip().removeprefix("!")
    if not colon or kind not in TYPES or len(kind) != 1:
        return Test(text, "", negated, (), None, None, (f"not a rule: {one_line(text, 80)}",))
    target = target.rstrip(" \t") if dialect == 5 else target
    if dialect == 4 and kind in "fdc":
        target = _replace(target, variables)
    targets = tuple(t for t in target.split(",") if t) if dialect == 4 and kind in "fd" else (target,)
    pattern: str | None = " -> ".join(rest) if rest else None
    content: str | None = None
    if kind in "dr" and len(rest) > 1:
        pattern, content = rest[0], " -> ".join(rest[1:])
    odd = (f"no target: {one_line(text, 80)}",) if not any(targets) else ()
    return Test(text, kind, negated, targets, pattern, content, odd)


def _replace(text: str, variables: Sequence[tuple[str, str]]) -> str:
    """Put in the variables' values, the longest name first, so that $a does not eat the start of $ab."""
    for name, value in sorted(variables, key=lambda v: -len(v[0])):
        text = text.replace(name, value)
    return text


def is_regex(pattern: str, *, numeric: bool = True) -> bool:
    """Say whether v5 takes a pattern for minterms; all others are literals as a whole."""
    return pattern.removeprefix("!")[:2] in (("r:", "n:") if numeric else ("r:",))


def minterms(pattern: str) -> list[tuple[bool, str]]:
    """Return (negated, term) of a pattern."""
    return [(part.startswith("!"), part.removeprefix("!")) for part in pattern.split(" && ")]


def check_pattern(pattern: str, engine: str) -> list[str]:
    """Return what of a pattern cannot be interpreted; [] = all of it can."""
    if engine == PCRE2_V5 and not is_regex(pattern):
        return []
    found = []
    for _, term in minterms(pattern):
        try:
            if term[:2] in ("r:", "R:"):
                compiled(term[2:], engine)
            elif term[:2] in ("n:", "N:"):
                _comparison(term[2:], engine)
        except OddError as odd:
            found.append(str(odd))
    return found


@lru_cache(maxsize=20_000)
def compiled(pattern: str, engine: str) -> Any:
    """Return the compiled regular expression. Raise OddError when the engine does not take it."""
    try:
        if engine == OSREGEX:
            return pcre2.compile(translate_osregex(pattern), pcre2.IGNORECASE)
        return pcre2.compile(pattern, pcre2.MULTILINE | pcre2.IGNORECASE if engine == PCRE2_V5 else pcre2.NOFLAG)
    except BadPatternError as error:
        raise OddError(f"{one_line(pattern, 80)}: {error}") from None
    except pcre2.LibraryError as error:
        raise OddError(f"{one_line(pattern, 80)}: {one_line(str(error), 120)}") from None


def match(pattern: str, lines: Sequence[str], engine: str, *, last_line_counts: bool = False) -> Result:
    """Judge lines by minterms: FOUND when one line satisfies all of them. No lines at all are never FOUND.

    `last_line_counts`: v4 `c:`, where a line whose comparison is INVALID is forgotten unless it is the last.
    """
    terms = minterms(pattern)
    if engine == PCRE2_V5 and len(terms) == 1 and terms[0][0]:
        return _none_matches(terms[0][1], lines, engine)
    outcome = Result(NOT_FOUND)
    for line in lines:
        now = _line(terms, line, engine)
        if now.state == FOUND:
            return now
        if now.state != NOT_FOUND and engine == PCRE2_V5:
            return now
        if now.state in (ODD, UNSEEN) or (now.state == INVALID and not last_line_counts):
            return now
        outcome = now
    return outcome


def _none_matches(term: str, lines: Sequence[str], engine: str) -> Result:
    for line in lines:
        now = _term(term, line, engine)
        if now.state != NOT_FOUND:
            return Result(NOT_FOUND, shown=line) if now.state == FOUND else now
    return Result(FOUND if lines else NOT_FOUND)


def _line(terms: Sequence[tuple[bool, str]], line: str, engine: str) -> Result:
    doubtful: Result | None = None
    for negated, term in terms:
        now = _term(term, line, engine)
        if now.state in (INVALID, ODD, UNSEEN):
            if engine == PCRE2_V5:
                return now
            doubtful = doubtful or now
        elif (now.state == FOUND) == negated:
            return Result(NOT_FOUND, shown=line)
    return doubtful or Result(FOUND, shown=line)


def _term(term: str, line: str, engine: str) -> Result:
    prefix = term[:2] if engine == PCRE2_V5 else term[:2].lower()
    try:
        if prefix == "r:":
            return Result(FOUND if search(term[2:], line, engine) else NOT_FOUND)
        if prefix == "n:":
            return _compare(term[2:], line, engine)
    except OddError as odd:
        return Result(ODD, str(odd))
    except GaveUpError as error:
        return Result(UNSEEN, str(error))
    same = term == line if engine == PCRE2_V5 else term.lower() == line.lower()
    return Result(FOUND if same else NOT_FOUND)


def search(pattern: str, line: str, engine: str) -> Any:
    """Return the first match in a line, or None. Raise OddError for the expression, GaveUpError for the line."""
    expression = compiled(pattern, engine)
    try:
        return expression.search(line)
    except pcre2.LibraryError as error:
        raise GaveUpError(f"{one_line(pattern, 80)}: {one_line(str(error), 120)}") from None


def _comparison(text: str, engine: str) -> tuple[str, str, int]:
    """Return (expression, operator, number) of a numeric minterm. Raise OddError when it is malformed."""
    if engine == PCRE2_V5:
        expression, found, rest = text.partition("compare")
        words = rest.split()
        if not found or len(words) < 2 or words[0] not in _V5_OPERATORS or not _INTEGER.match(words[1]):
            raise OddError(f"not a comparison Wazuh 5 takes: {one_line(text, 80)}")
        compiled(expression[:-1], engine)
        return expression[:-1], words[0], _integer(words[1])
    expression, found, rest = text.partition(" compare ")
    number = re.search(r"\d+", rest)
    operator = "==" if rest.startswith("=") else next((o for o in ("!=", "<=", ">=", "<", ">") if o in rest), "")
    if not found or number is None or not operator:
        raise OddError(f"not a comparison Wazuh 4 takes: {one_line(text, 80)}")
    compiled(expression, engine)
    return expression, operator, int(number.group())


def _compare(text: str, line: str, engine: str) -> Result:
    expression, operator, wanted = _comparison(text, engine)
    found = search(expression, line, engine)
    if found is None:
        return Result(NOT_FOUND)
    captured = found.group(1) if found.re.groups else (found.group(0) if engine == PCRE2_V5 else None)
    if captured is None or not _INTEGER.match(captured):
        return Result(INVALID, f"no number was captured by {one_line(expression, 80)}", line)
    have = _integer(captured)
    holds = {"<": have < wanted, "<=": have <= wanted, "==": have == wanted, "!=": have != wanted,
             ">=": have >= wanted, ">": have > wanted}[operator]  # fmt: skip
    return Result(FOUND if holds else NOT_FOUND, shown=line)


def _integer(text: str) -> int:
    found = _INTEGER.match(text)
    if found is None:
        raise ValueError(f"no integer: {text!r}")
    return int(found.group())
