"""Turns filters of file objects into tests of find(1), so that a walk returns matches only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from patchctl.assess.content.xccdf.oval.model import COMPLETE, INCOMPLETE, Entity, Object, State
from patchctl.assess.content.xccdf.oval.variables import Values

_BITS = {
    "suid": "4000", "sgid": "2000", "sticky": "1000", "uread": "0400", "uwrite": "0200", "uexec": "0100",
    "gread": "0040", "gwrite": "0020", "gexec": "0010", "oread": "0004", "owrite": "0002", "oexec": "0001",
}
_LETTERS = {"regular": "f", "directory": "d", "symbolic link": "l", "fifo": "p", "socket": "s", "block special": "b",
            "character special": "c"}
_COMPARE = {"equals": "{}", "greater than": "+{}", "less than": "-{}"}
MAX_VALUES = 500
"""More values of a variable than that are compared on the controller."""


def predicates(
    found: Object, states: Mapping[str, State], value_of: Callable[[str], Values]
) -> tuple[tuple[str, str], ...]:
    """Return (action, find test) for each filter of a walking file object that find can apply.

    Every test is exact, or for `include` at least as wide: the controller filters again. Raise NotCollectedError when
    a filter's variable is not known yet: a walk without it would return far too much.
    """
    if found.type != "file" or not found.filters or not found.behaviors:
        return ()
    made: list[tuple[str, str]] = []
    for action, state in found.filters:
        test = _state(states[state], value_of, wide=action == "include")
        if test:
            made.append((action, test))
    return tuple(made)


def _state(state: State, value_of: Callable[[str], Values], *, wide: bool) -> str:
    tests = [_entity(e, value_of) for e in state.entities]
    known = [t for t in tests if t]
    if state.operator == "AND" and known and (wide or len(known) == len(tests)):
        return f"\\( {' '.join(known)} \\)"
    if state.operator == "OR" and known and len(known) == len(tests):
        return f"\\( {' -o '.join(known)} \\)"
    return ""


def _entity(entity: Entity, value_of: Callable[[str], Values]) -> str:
    if entity.entity_check != "all":
        return ""
    if entity.name in _BITS and entity.operation == "equals" and not entity.var_ref:
        return f"{'' if entity.value in ('true', '1') else '! '}-perm -{_BITS[entity.name]}"
    if entity.name == "type" and entity.operation == "equals" and not entity.var_ref:
        letter = _LETTERS.get(entity.value or "")
        return f"-type {letter}" if letter else ""
    if entity.name in ("user_id", "group_id"):
        return _owner(entity, value_of)
    return ""


def _owner(entity: Entity, value_of: Callable[[str], Values]) -> str:
    flag = "-uid" if entity.name == "user_id" else "-gid"
    if not entity.var_ref:
        return _number(flag, entity.operation, entity.value or "")
    variable = value_of(entity.var_ref)
    usable = variable.flag in (COMPLETE, INCOMPLETE) and 0 < len(variable.values) <= MAX_VALUES
    if not usable or entity.var_check != "at least one":
        return ""
    tests = [_number(flag, entity.operation, v) for v in dict.fromkeys(variable.values)]
    return f"\\( {' -o '.join(tests)} \\)" if all(tests) else ""


def _number(flag: str, operation: str, value: str) -> str:
    if not (value.isascii() and value.isdigit()):
        return ""
    if operation in _COMPARE:
        return f"{flag} {_COMPARE[operation].format(value)}"
    if operation == "not equal":
        return f"! {flag} {value}"
    if operation == "greater than or equal":
        return f"! {flag} -{value}"
    return f"! {flag} +{value}" if operation == "less than or equal" else ""
