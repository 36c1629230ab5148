"""Applicability by platform: CPE names and CPE language (NISTIR 7698), each decided by an OVAL definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct, field

from patchctl.assess.content.xccdf import xml
from patchctl.assess.content.xccdf.datastream import OVAL_SYSTEM
from patchctl.assess.content.xccdf.oval.model import FALSE, NOT_APPLICABLE, TRUE, UNKNOWN

MAX_DEPTH = 40


class Check(Struct, frozen=True):
    """The OVAL definition that decides a fact."""

    href: str
    definition: str


class Logic(Struct, frozen=True):
    """A node of a platform: AND or OR of nodes and facts."""

    operator: str = "AND"
    negate: bool = False
    facts: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    children: tuple[Logic, ...] = ()


class Platforms(Struct, frozen=True):
    """What platform names of a benchmark mean."""

    names: Mapping[str, tuple[Check, ...]] = field(default_factory=dict)
    """CPE name -> definitions of the dictionary; one that is true is enough."""
    logic: Mapping[str, Logic] = field(default_factory=dict)
    """Id of a platform specification -> its logic."""


def read_platforms(benchmark: Any, dictionaries: Sequence[Any]) -> Platforms:
    """Return the names of the dictionaries and the platform specifications of the benchmark."""
    names: dict[str, tuple[Check, ...]] = {}
    for dictionary in dictionaries:
        for item in xml.children(dictionary, "cpe-item"):
            checks = tuple(Check(c.get("href", ""), xml.text(c).strip()) for c in xml.children(item, "check")
                           if c.get("system") == OVAL_SYSTEM)
            names[item.get("name", "")] = checks
    logic = {p.get("id", ""): _logic(p, 0) for spec in xml.children(benchmark, "platform-specification")
             for p in xml.children(spec, "platform")}
    return Platforms(names, logic)


def _logic(element: Any, depth: int) -> Logic:
    if depth > MAX_DEPTH:
        return Logic("OR")
    tests = tuple(_logic(t, depth + 1) for t in xml.children(element, "logical-test"))
    facts = tuple(f.get("name", "") for f in xml.children(element, "fact-ref"))
    checks = tuple(Check(c.get("href", ""), c.get("id-ref", "")) for c in xml.children(element, "check-fact-ref"))
    return Logic(element.get("operator", "AND").upper(), xml.is_true(element.get("negate", "").lower()), facts, checks,
                 tests)


def checks_of(platforms: Platforms, names: Sequence[str]) -> tuple[Check, ...]:
    """Return all definitions that platform names depend on."""
    found: dict[Check, None] = {}

    def add(logic: Logic) -> None:
        found.update(dict.fromkeys(logic.checks))
        for fact in logic.facts:
            found.update(dict.fromkeys(_named(platforms, fact)))
        for child in logic.children:
            add(child)

    for name in names:
        if name.removeprefix("#") in platforms.logic:
            add(platforms.logic[name.removeprefix("#")])
        found.update(dict.fromkeys(_named(platforms, name)))
    return tuple(found)


def unknown_names(platforms: Platforms, names: Sequence[str]) -> tuple[str, ...]:
    """Return platform names that nothing in the content decides: they never apply, which deserves a warning."""
    return tuple(n for n in names if n.removeprefix("#") not in platforms.logic and not _named(platforms, n))


def _named(platforms: Platforms, name: str) -> tuple[Check, ...]:
    """Return the checks of all dictionary names that a name matches: the same, or more special."""
    wanted = _parts(name)
    found: list[Check] = []
    for known, checks in platforms.names.items():
        parts = _parts(known)
        if len(parts) >= len(wanted) and all(w in ("", "*") or w == p for w, p in zip(wanted, parts, strict=False)):
            found.extend(checks)
    return tuple(found)


@lru_cache(maxsize=4096)
def _parts(name: str) -> tuple[str, ...]:
    """Take a CPE 2.2 URI or a CPE 2.3 string apart; empty parts at the end count as any."""
    if name.startswith("cpe:2.3:"):
        parts = name.removeprefix("cpe:2.3:").split(":")
    else:
        parts = name.removeprefix("cpe:/").split(":")
    while len(parts) > 1 and parts[-1] in ("", "*", "~", "-"):
        parts.pop()
    return tuple(p.lower() for p in parts)


def applies(platforms: Platforms, names: Sequence[str], result_of: Callable[[Check], str]) -> str:
    """Return true, false or unknown: whether one of the platforms is this host. No names: true."""
    if not names:
        return TRUE
    results = [_platform(platforms, n, result_of) for n in names]
    if TRUE in results:
        return TRUE
    return UNKNOWN if UNKNOWN in results else FALSE


def _platform(platforms: Platforms, name: str, result_of: Callable[[Check], str]) -> str:
    logic = platforms.logic.get(name.removeprefix("#"))
    if logic is not None:
        return _evaluate(platforms, logic, result_of)
    return _any(_named(platforms, name), result_of)


def _any(checks: Sequence[Check], result_of: Callable[[Check], str]) -> str:
    results = {_told(result_of(c)) for c in checks}
    return TRUE if TRUE in results else UNKNOWN if UNKNOWN in results else FALSE


def _told(result: str) -> str:
    """What could not be collected is not known; everything else that is not true is not this platform."""
    return result if result in (TRUE, UNKNOWN) else FALSE


def _evaluate(platforms: Platforms, logic: Logic, result_of: Callable[[Check], str]) -> str:
    results = [_evaluate(platforms, c, result_of) for c in logic.children]
    results += [_any(_named(platforms, f), result_of) for f in logic.facts]
    results += [_told(result_of(c)) for c in logic.checks]
    first, other = (TRUE, FALSE) if logic.operator == "OR" else (FALSE, TRUE)
    if first in results:
        found = first
    elif UNKNOWN in results or not results:
        found = UNKNOWN if results else NOT_APPLICABLE
    else:
        found = other
    return {TRUE: FALSE, FALSE: TRUE}.get(found, found) if logic.negate else found
