"""Reads the arguments of a check by its type's Arguments; every misfit is a Flaw, with the nearest known name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from patchctl.assess.checks.contract import Argument, CheckType, Flaw
from patchctl.assess.matching import pattern_error

PARAMETER = re.compile(r"\$\{([A-Za-z0-9_.-]+)\}")
_MODE = re.compile(r"0?[0-7]{3,4}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a hint with the nearest of the known words, or all of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words) or 'there is none'}"


def read_arguments(check: CheckType, given: Any, parameters: Mapping[str, str]) -> tuple[dict[str, Any], list[Flaw]]:
    """Given plain data, return (arguments, flaws). ${name} stands for a parameter's value."""
    flaws: list[Flaw] = []
    if not isinstance(given, Mapping):
        return {}, [Flaw("", f"{check.name} takes a mapping of arguments", f"write {{{check.name}: {check.example}}}")]
    known = {argument.name: argument for argument in check.arguments}
    args: dict[str, Any] = {}
    for name, value in given.items():
        argument = known.get(str(name))
        if argument is None:
            flaws.append(Flaw(str(name), f"{check.name} has no argument {str(name)!r}", suggestion(str(name), known),
                              "unknown-argument"))
            continue
        try:
            args[argument.name] = _read(argument, insert(value, parameters))
        except ValueError as error:
            flaws.append(Flaw(argument.name, f"{argument.name}: {error}"))
    flaws += [Flaw("", f"{check.name} needs the argument {argument.name!r}", argument.help, "missing-argument")
              for argument in check.arguments if argument.required and argument.name not in given]
    if not flaws:
        flaws += check.flaws(args)
    return args, flaws


def insert(value: Any, parameters: Mapping[str, str]) -> Any:
    """Return data with ${name} replaced. Raise ValueError for a name that no parameter has."""
    if isinstance(value, str):
        def put(found: re.Match[str]) -> str:
            if found[1] not in parameters:
                hint = suggestion(found[1], parameters) if parameters else "the baseline has no parameters"
                raise ValueError(f"no parameter {found[1]!r}: {hint}")
            return parameters[found[1]]

        return PARAMETER.sub(put, value)
    if isinstance(value, Mapping):
        return {key: insert(item, parameters) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [insert(item, parameters) for item in value]
    return value


def parameters_used(value: Any) -> set[str]:
    """Return the names of parameters that stand in data."""
    if isinstance(value, str):
        return set(PARAMETER.findall(value))
    if isinstance(value, Mapping):
        return {name for item in value.values() for name in parameters_used(item)}
    if isinstance(value, (list, tuple)):
        return {name for item in value for name in parameters_used(item)}
    return set()


def _read(argument: Argument, value: Any) -> Any:
    if argument.kind == "texts":
        items = value if isinstance(value, (list, tuple)) else [value]
        if not items:
            raise ValueError("a list without items")
        return tuple(_choice(argument, _text(item)) for item in items)
    if argument.kind == "flag":
        return _flag(value)
    if argument.kind == "whole":
        return _whole(value)
    text = _choice(argument, _text(value))
    if argument.kind == "mode" and not _MODE.fullmatch(text):
        raise ValueError(f"{text!r} is no mode: write 0644")
    if argument.kind in ("path", "glob"):
        if not text.startswith("/"):
            raise ValueError(f"{text!r} is no absolute path")
        if argument.kind == "path" and any(mark in text for mark in "*?["):
            raise ValueError(f"{text!r} has a wildcard: one path is wanted")
    if argument.kind == "pattern" and (wrong := pattern_error(text)):
        raise ValueError(f"{text!r} is no regular expression: {wrong}")
    return text


def _choice(argument: Argument, text: str) -> str:
    if argument.choices and text not in argument.choices:
        raise ValueError(f"{text!r} is not one of {', '.join(argument.choices)}")
    return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(  # noqa: TRY004 - one kind of error for all misfits
            f"text is wanted, not {'nothing' if value is None else 'a list or mapping'}")
    if any(ord(c) < 32 and c != "\t" for c in value):
        raise ValueError("control characters and line breaks are not allowed")
    return value


def _flag(value: Any) -> bool:
    if value in (True, "true"):
        return True
    if value in (False, "false"):
        return False
    raise ValueError("true or false is wanted")


def _whole(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,15}", value):
        return int(value)
    raise ValueError("a whole number is wanted")
