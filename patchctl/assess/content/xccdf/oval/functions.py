"""Functions that make values of variables from values (OVAL 5.11 definitions schema, FunctionGroup)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import product

from patchctl.assess.content.xccdf.oval import patterns

Values = Sequence[str]
MAX_VALUES = 100_000
"""concat and arithmetic combine all values with all: more is refused."""


class FunctionError(ValueError):
    """The values do not fit the function; says why."""


def _combinations(parts: Sequence[Values]) -> Sequence[tuple[str, ...]]:
    size = 1
    for values in parts:
        size *= max(1, len(values))
    if size > MAX_VALUES:
        raise FunctionError(f"{size} combinations of values")
    # Like the reference: the first part changes fastest, and a part without values is left out.
    return [tuple(reversed(c)) for c in product(*(p for p in reversed(parts) if p))]


def _concat(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    return ["".join(c) for c in _combinations(parts)] if any(parts) else []


def _count(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    return [str(sum(len(p) for p in parts))]


def _unique(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    return list(dict.fromkeys(v for p in parts for v in p))


def _split(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    delimiter = attributes.get("delimiter", "")
    return [piece for v in parts[0] for piece in (v.split(delimiter) if delimiter else v)]


def _substring(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    start, length = max(1, int(attributes["substring_start"])) - 1, int(attributes["substring_length"])
    for value in parts[0]:
        if start >= len(value):
            raise FunctionError(f"substring starts behind the end of {value!r}")
    return [v[start:] if length < 0 else v[start : start + length] for v in parts[0]]


def _regex_capture(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    return [patterns.first_group(attributes["pattern"], v) or "" for v in parts[0]]


def _escape_regex(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    return [re.sub(r"([\^$\\.\[\](){}*+?|])", r"\\\1", v) for v in parts[0]]


def _begin(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    wanted = attributes["character"]
    return [v if v.startswith(wanted) else wanted + v for v in parts[0]]


def _end(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    wanted = attributes["character"]
    return [v if v.endswith(wanted) else v + wanted for v in parts[0]]


def _arithmetic(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    add = attributes["arithmetic_operation"] == "add"
    found: list[str] = []
    for values in _combinations(parts):
        numbers = [float(v) for v in values]
        result = sum(numbers)
        if not add:
            result = 1.0
            for number in numbers:
                result *= number
        # The numbers decide how the result is written, not the variable's datatype; as the reference does.
        found.append(f"{result:f}" if any("." in v for v in values) else str(int(result)))
    return found


def _glob_to_regex(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    noescape = attributes.get("glob_noescape") in ("true", "1")
    return [glob_regex(v, noescape) for v in parts[0]]


def glob_regex(glob: str, noescape: bool = False) -> str:
    """Return the pattern that matches what a glob matches (glob(7)). Raise FunctionError for an open bracket."""
    out, at, first = ["^"], 0, True
    while at < len(glob):
        character = glob[at]
        at += 1
        if character == "?":
            out.append("[^./]" if first else "[^/]")
        elif character == "*":
            out.append("(?=[^.])[^/]*" if first else "[^/]*")
        elif character == "[":
            end = glob.find("]", at + 1 + (glob[at : at + 1] == "!"))
            if end < 0:
                raise FunctionError(f"no ']' in {glob!r}")
            inside = glob[at:end]
            inside = f"^{inside[1:]}" if inside.startswith("!") else inside
            out.append("[" + (inside.replace("\\", "\\\\") if noescape else inside) + "]")
            at = end + 1
        elif character == "\\" and not noescape and glob[at : at + 1] and glob[at] in "?*[]\\":
            out.append("\\" + glob[at])
            at += 1
        else:
            out.append("\\" + character if character in ".|^(){}+$\\" else character)
        first = character == "/"
    return "".join([*out, "$"])


_FORMATS = {
    "year_month_day": ("%Y%m%d", "%Y%m%dT%H%M%S", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"),
    "month_day_year": ("%m/%d/%Y %H:%M:%S", "%m/%d/%Y", "%m-%d-%Y %H:%M:%S", "%m-%d-%Y", "%B, %d %Y %H:%M:%S",
                       "%B %d %Y", "%b, %d %Y"),
    "day_month_year": ("%d/%m/%Y %H:%M:%S", "%d/%m/%Y", "%d-%m-%Y %H:%M:%S", "%d-%m-%Y"),
}


def _seconds(value: str, form: str) -> float:
    if form == "seconds_since_epoch":
        return float(int(value))
    for pattern in _FORMATS.get(form, ()):
        try:
            return dt.datetime.strptime(value, pattern).replace(tzinfo=dt.UTC).timestamp()
        except ValueError:
            continue
    raise FunctionError(f"{value!r} is no {form}")


def _time_difference(parts: Sequence[Values], attributes: Mapping[str, str], now: float) -> list[str]:
    form_1, form_2 = (attributes.get(f"format_{n}", "year_month_day") for n in (1, 2))
    if len(parts) == 1:  # the time of the visit is meant
        return [str(int(now - _seconds(v, form_2))) for v in parts[0]]
    return [str(int(_seconds(a, form_1) - _seconds(b, form_2))) for a, b in _combinations(parts)]


FUNCTIONS: Mapping[str, Callable[[Sequence[Values], Mapping[str, str], float], list[str]]] = {
    "concat": _concat, "count": _count, "unique": _unique, "split": _split, "substring": _substring,
    "regex_capture": _regex_capture, "escape_regex": _escape_regex, "begin": _begin, "end": _end,
    "arithmetic": _arithmetic, "glob_to_regex": _glob_to_regex, "time_difference": _time_difference,
}
"""Function name -> (values of each part, attributes, Unix time of the visit) -> values."""
