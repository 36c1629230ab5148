"""Limit patterns: `web:&prod:!db[0:3]`, globs, `all`. Pure. The grammar follows Ansible's host patterns.

A pattern is terms joined by ':' or ','. Every plain term adds, '&term' keeps the intersection, '!term' removes; plain
terms are read first, then '&', then '!', wherever they stand. With none but '&' and '!' it starts from all.

A term is a group, a host, a glob over both (`*`, `?`, `[a-c]`), `~REGEX`, or `all`. `term[i]` is one of its hosts by
position from 0 ([-1] the last); `[i:j]` are those from i to j, both included; `[i:]` and `[:j]` leave an end open.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from patchctl.model.errors import UsageError
from patchctl.model.hosts import Inventory

_SUBSCRIPT = re.compile(r"(?P<term>.+?)\[(?P<first>-?\d+)?(?P<colon>:)?(?P<last>-?\d+)?\]")
_GLOB = re.compile(r"[*?\[]")
_SYNTAX = "write a group, a host, a glob or all, joined by ':'; '&' keeps both, '!' leaves out, [0:3] counts"


class Term(Struct, frozen=True):
    """One term of a pattern. `sign`: "" adds, "&" intersects, "!" removes. `span`: positions, ends included."""

    sign: str
    name: str
    span: tuple[int | None, int | None] | None = None


def parse_pattern(pattern: str) -> tuple[Term, ...]:
    """Given a limit pattern, return its terms; "" has none. Raise UsageError when it is not one.

    An empty term is refused: in `prod:$ONLY` a variable that is not set would make more hosts of it than were meant.
    """
    parts = _split(pattern) if pattern.strip() else []
    if not all(parts):
        what = f"{pattern!r} has an empty part" if any(parts) else f"not a limit pattern: {pattern!r}"
        raise UsageError("invalid-pattern", what, _SYNTAX)
    return tuple(_parse_term(text) for text in parts)


def select_hosts(inventory: Inventory, pattern: str) -> tuple[str, ...]:
    """Given an inventory and a limit pattern, return the host names in inventory order. "" and `all` mean every host.

    Raise UsageError with a did-you-mean if a term names nothing, or the pattern is malformed. A pattern whose terms
    exist but leave nobody (web:!web) gives (); the caller says what that means.
    """
    terms = parse_pattern(pattern)
    adding = [term for term in terms if not term.sign]
    chosen: set[str] = set()
    for term in adding:
        chosen.update(_matches(inventory, term))
    if not adding:
        chosen.update(inventory.hosts)
    for term in terms:
        if term.sign == "&":
            chosen.intersection_update(_matches(inventory, term))
    for term in terms:
        if term.sign == "!":
            chosen.difference_update(_matches(inventory, term))
    return tuple(inventory.hosts) if len(chosen) == len(inventory.hosts) else tuple(
        name for name in inventory.hosts if name in chosen
    )


def _split(pattern: str) -> list[str]:
    """Split at ':' and ',' outside brackets; a ~REGEX term ends only at ','."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(pattern):
        depth += (char == "[") - (char == "]" and depth > 0)
        regex = pattern[start:at].strip().lstrip("&!").startswith("~")
        if char == "," or (char == ":" and not depth and not regex):
            parts.append(pattern[start:at].strip())
            start = at + 1
            depth = 0
    return [*parts, pattern[start:].strip()]


def _parse_term(text: str) -> Term:
    sign = text[0] if text[0] in "&!" else ""
    name = text[len(sign) :]
    if not name.strip("~ ") or name[0] in "&!":  # an empty regular expression would match every host
        raise UsageError("invalid-pattern", f"not a term: {text!r}", _SYNTAX)
    if name.startswith("~"):
        return Term(sign, name)
    found = _SUBSCRIPT.fullmatch(name)
    if found is None or not (found["first"] or found["colon"]):
        return Term(sign, name)
    first = int(found["first"]) if found["first"] else None
    last = int(found["last"]) if found["last"] else None
    if not found["colon"]:
        if found["last"]:
            return Term(sign, name)
        last = first
    return Term(sign, found["term"], (first, last))


def _matches(inventory: Inventory, term: Term) -> Sequence[str]:
    hosts = _named(inventory, term.name)
    if term.span is None:
        return hosts
    first, last = term.span
    size = len(hosts)
    begin = 0 if first is None else first + size if first < 0 else first
    end = size - 1 if last is None else last + size if last < 0 else last
    return hosts[max(begin, 0) : end + 1] if end >= 0 else ()


def _named(inventory: Inventory, name: str) -> Sequence[str]:
    """Return the hosts a name stands for: a group before a host, and a glob or regex looks at both."""
    if name in ("all", "*"):
        return tuple(inventory.hosts)
    if name == "ungrouped":
        return tuple(host for host, value in inventory.hosts.items() if not value.groups)
    if name in inventory.groups:
        return inventory.members(name)
    if name in inventory.hosts:
        return (name,)
    if name.startswith("~") or _GLOB.search(name):
        matched = _matching(inventory, name)
        if matched:
            return matched
    raise UsageError("nothing-matched", f"no group or host matches {name!r}", _did_you_mean(inventory, name))


def _matching(inventory: Inventory, name: str) -> Sequence[str]:
    if name.startswith("~"):
        try:
            match = re.compile(name[1:]).match
        except re.error as error:
            raise UsageError("invalid-pattern", f"not a regular expression: {name[1:]!r} ({error})") from error
    else:
        match = re.compile(fnmatch.translate(name)).match
    found = dict.fromkeys(h for group in inventory.groups if match(group) for h in inventory.members(group))
    found.update(dict.fromkeys(host for host in inventory.hosts if match(host)))
    return tuple(found)


def _did_you_mean(inventory: Inventory, name: str) -> str:
    if name.startswith("@"):
        return "@FILE stands alone; terms such as !web go into the file, one a line"
    # difflib is quadratic: host names are only compared where there are few of them.
    known: Iterable[str] = inventory.groups
    if len(inventory.hosts) <= 2000:
        known = [*inventory.groups, *inventory.hosts]
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    groups = sorted(inventory.groups)
    return f"groups: {', '.join(groups[:12])}{', …' if len(groups) > 12 else ''}" if groups else _SYNTAX
