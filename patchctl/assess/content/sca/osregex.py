r"""Wazuh's own two pattern languages, turned into PCRE2: os_regex (`r:` in v4 policies) and sregex (file names there).

os_regex, after its documented rules (Wazuh documentation, "Regular Expression Syntax", os_regex):
  \w  A-Z a-z 0-9 - @ _      \d  0-9        \s  space         \t  tab        \.  any character
  \p  ()*+,-.:;<=>?[]!"'#$%&|{}             \W \D \S  anything but \w, \d, \s
  +   one or more, *  none or more: only behind one of these; elsewhere they are themselves
  ^   start and  $  end of an alternative; elsewhere themselves      |  separates alternatives
  (x) captures; not nested, no | inside      \$ \( \) \\ \| \<  the character itself
Everything else is itself, letters in either case. An alternative that is empty matches nothing.

Where this differs from Wazuh: its matcher backs off in a few places only, so it can miss a match that these rules
promise. Here the rules hold.
"""

from __future__ import annotations

import re

MAX_PATTERN = 2048
"""Longer patterns are refused, as in Wazuh (OS_PATTERN_MAXSIZE)."""

_CLASSES = {
    "d": "[0-9]", "w": "[A-Za-z0-9@_-]", "s": "[ ]", "t": r"\t", "p": r"[!-.:-?\[\]{|}]", ".": r"(?s:.)",
    "D": "[^0-9]", "W": "[^A-Za-z0-9@_-]", "S": "[^ ]",
}  # fmt: skip
_ESCAPED = frozenset("()\\$|<")


class BadPatternError(ValueError):
    """The pattern is not of the language; the text says why."""


def translate_osregex(pattern: str) -> str:
    """Given an os_regex pattern, return the PCRE2 pattern (to be used caseless). Raise BadPatternError."""
    if len(pattern) > MAX_PATTERN:
        raise BadPatternError(f"longer than {MAX_PATTERN} characters")
    alternatives = [_alternative(part) for part in _split(pattern)]
    # An empty alternative matches nothing: (*FAIL) keeps the count of groups right.
    return "|".join(text if text else "(*FAIL)" for text in alternatives)


def _split(pattern: str) -> list[str]:
    """Split at each | that is not escaped, and check the parentheses."""
    parts, start, depth, at = [], 0, 0, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            if at + 1 >= len(pattern) or (pattern[at + 1] not in _CLASSES and pattern[at + 1] not in _ESCAPED):
                raise BadPatternError(f"os_regex knows no {pattern[at:at + 2]}")
            at += 1
        elif char == "(":
            depth += 1
        elif char == ")":
            depth -= 1
        elif char == "|":
            if depth:
                raise BadPatternError("os_regex allows no | within parentheses")
            parts.append(pattern[start:at])
            start = at + 1
        if depth not in (0, 1):
            raise BadPatternError("parentheses do not match or are nested")
        at += 1
    if depth:
        raise BadPatternError("a parenthesis is not closed")
    return [*parts, pattern[start:]]


def _alternative(text: str) -> str:
    begin = text.startswith("^")
    body = text[1:] if begin else text
    end = body.endswith("$") and not body.endswith("\\$")
    body = body[:-1] if end else body
    if not body:
        return ""
    out, at = [], 0
    while at < len(body):
        char = body[at]
        if char == "\\":
            escaped = body[at + 1]
            piece = _CLASSES.get(escaped) or re.escape(escaped)
            at += 2
            if body[at : at + 1] in ("+", "*"):
                piece += body[at]
                at += 1
            out.append(piece)
        else:
            out.append(char if char in "()" else re.escape(char))
            at += 1
    return ("^" if begin else "") + "".join(out) + (r"\z" if end else "")


def match_sregex(pattern: str, text: str) -> bool:
    """Say whether a sregex pattern (OS_Match) matches: | alternatives, ^ start, $ end, else anywhere; caseless."""
    negated = pattern.startswith("!")
    lowered = text.lower()
    return negated != any(_match_part(part, lowered) for part in pattern[negated:].lower().split("|"))


def _match_part(part: str, text: str) -> bool:
    begin, end = part.startswith("^"), part.endswith("$")
    word = part[begin : len(part) - end] if len(part) > 1 or not (begin or end) else ""
    if begin and end:
        return text == word
    if begin:
        return text.startswith(word)
    return text.endswith(word) if end else word in text
