"""Patterns (PCRE2) and expectations on one value: equals, one_of, at least, matches ... shared by check types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import pcre2

from patchctl.assess.checks.contract import Argument, Flaw, GaveUpError
from patchctl.model.text import one_line

EXPECTATIONS = (
    Argument("equals", "text", "the value itself"),
    Argument("not_equals", "text", "any value but this"),
    Argument("one_of", "texts", "one of these values"),
    Argument("none_of", "texts", "none of these values"),
    Argument("matches", "pattern", "a regular expression (PCRE2) that is found in the value"),
    Argument("lacks", "pattern", "a regular expression that is not found in the value"),
    Argument("min", "whole", "a number of at least this"),
    Argument("max", "whole", "a number of at most this"),
    Argument("absent", "flag", "true: the value is not set"),
)
"""Arguments by which a value is judged; several must all hold."""
NAMES = frozenset(a.name for a in EXPECTATIONS)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    return pcre2.compile(pattern, pcre2.MULTILINE)


def found_in(pattern: str, text: str) -> bool:
    """Say whether a pattern (PCRE2; ^ and $ at each line) is found in a text. Raise GaveUpError."""
    try:
        return _compiled(pattern).search(text) is not None
    except pcre2.LibraryError as error:
        raise GaveUpError(f"the pattern {one_line(pattern, 80)} takes too many steps here ({one_line(str(error))}): "
                          "write it without a repetition inside of a repetition") from error


def pattern_error(pattern: str) -> str:
    """Return what is wrong with a pattern, or ""."""
    try:
        _compiled(pattern)
    except pcre2.PatternError as error:
        return one_line(str(error))
    return ""


def expectation_flaws(args: Mapping[str, Any], also: Iterable[str] = ()) -> list[Flaw]:
    """Return a Flaw where nothing is expected, or `absent` stands beside something else."""
    given = [name for name in args if name in NAMES]
    if not given and not any(name in args for name in also):
        return [Flaw("", "nothing is expected of the value", f"add one of: {', '.join((*sorted(NAMES), *also))}",
                     "missing-argument")]
    if args.get("absent") and len(given) > 1:
        return [Flaw("absent", "what is absent has no value", f"remove absent or {given[0]}")]
    return []


def wanted(args: Mapping[str, Any]) -> str:
    """Return in words what is expected of a value."""
    said = {
        "equals": "{}", "not_equals": "not {}", "one_of": "one of {}", "none_of": "none of {}",
        "matches": "matching {}", "lacks": "not matching {}", "min": "at least {}", "max": "at most {}",
    }
    parts = [said[name].format(", ".join(args[name]) if isinstance(args[name], tuple) else args[name])
             for name in said if name in args]
    return "not set" if args.get("absent") else ", ".join(parts)


def fits(args: Mapping[str, Any], value: str | None, *, ignore_case: bool = False) -> bool:
    """Say whether a value (None = not set) is as expected. Nothing set fits only where `absent` says so."""
    if value is None or args.get("absent"):
        return value is None and bool(args.get("absent"))
    fold = str.lower if ignore_case else str
    actual = fold(value)
    tests = (
        ("equals", lambda want: actual == fold(want)),
        ("not_equals", lambda want: actual != fold(want)),
        ("one_of", lambda want: actual in [fold(w) for w in want]),
        ("none_of", lambda want: actual not in [fold(w) for w in want]),
        ("matches", lambda want: found_in(want, value)),
        ("lacks", lambda want: not found_in(want, value)),
        ("min", lambda want: (n := number(value)) is not None and n >= want),
        ("max", lambda want: (n := number(value)) is not None and n <= want),
    )
    return all(test(args[name]) for name, test in tests if name in args)


def number(text: str) -> int | None:
    """Return the whole number a text is (decimal, 0x hexadecimal), or None."""
    text = text.strip()
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    return int(text, 16) if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text) else None


def repair_value(args: Mapping[str, Any]) -> str | None:
    """Return a value that is as expected, where one can be named; None where only people can choose."""
    if "equals" in args:
        found = str(args["equals"])
    elif "one_of" in args:
        found = str(args["one_of"][0])
    elif "max" in args:
        found = str(args["max"])
    elif "min" in args:
        found = str(args["min"])
    else:
        return None
    return found if fits(args, found) else None
