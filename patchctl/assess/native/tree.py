"""Checks combined with all, any and not: read from plain data, asked, and judged. Unknown is never good news.

all    FAIL if one fails, else ERROR or UNKNOWN if one is, else PASS; what does not apply does not count
any    PASS if one passes, else ERROR or UNKNOWN if one is, else FAIL
not    PASS and FAIL change places, everything else stays
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.assess.checks.contract import Answers, CheckType, GaveUpError, NotApplicable, Question, Unreadable
from patchctl.assess.checks.registry import all_checks, check_named
from patchctl.assess.native.arguments import read_arguments, suggestion
from patchctl.model.assessment import ERROR, FAIL, NOT_APPLICABLE, PASS, UNKNOWN, Item, Remediation
from patchctl.model.text import one_line

COMBINATIONS = ("all", "any", "not")
Path = tuple[Hashable, ...]


class Fault(Struct, frozen=True):
    """Something wrong at a place (keys and indexes) of a baseline's document; `key`: the key there, not its value."""

    path: Path
    code: str
    message: str
    hint: str = ""
    key: bool = False


class Leaf(Struct, frozen=True):
    """One check: its type's name and the arguments it was given."""

    type: str
    args: Mapping[str, Any] = field(default_factory=dict)


class Group(Struct, frozen=True):
    """Checks combined by all, any or not."""

    how: str
    nodes: tuple[Leaf | Group, ...]


Node = Leaf | Group


class Outcome(Struct, frozen=True):
    """What a tree came to."""

    verdict: str
    items: tuple[Item, ...] = ()
    reason: str = ""


def read_tree(data: Any, parameters: Mapping[str, str], path: Path, faults: list[Fault]) -> Node | None:
    """Given plain data, return the tree; what is wrong goes to `faults`, and then the result is None."""
    if isinstance(data, (list, tuple)):
        return _combined("all", data, parameters, path, path, faults)
    if not isinstance(data, Mapping) or len(data) != 1:
        faults.append(Fault(path, "invalid-check", "a check is exactly one type with its arguments, or all, any or not",
                            'write check: {file: {path: /etc/passwd, mode: "0644"}}'))
        return None
    (name, given), = data.items()
    if name in COMBINATIONS:
        nodes = [given] if name == "not" and isinstance(given, Mapping) else given
        return _combined(str(name), nodes, parameters, path, (*path, name), faults, single=nodes is not given)
    check = check_named(str(name))
    if check is None:
        faults.append(Fault((*path, name), "unknown-check-type", f"no check type {str(name)!r}",
                            suggestion(str(name), (*all_checks(), *COMBINATIONS)), key=True))
        return None
    args, flaws = read_arguments(check, given, parameters)
    for flaw in flaws:
        place = (*path, name, flaw.argument) if flaw.argument else (*path, name)
        faults.append(Fault(place, flaw.code, flaw.message, flaw.hint, flaw.code == "unknown-argument"))
    return None if flaws else Leaf(check.name, args)


def _combined(how: str, data: Any, parameters: Mapping[str, str], path: Path, inner: Path, faults: list[Fault],
              *, single: bool = False) -> Node | None:
    if not isinstance(data, (list, tuple)) or not data:
        faults.append(Fault(path, "invalid-check", f"{how} takes a list of checks"))
        return None
    nodes = [read_tree(item, parameters, inner if single else (*inner, at), faults) for at, item in enumerate(data)]
    return Group(how, tuple(n for n in nodes if n)) if all(nodes) else None


def leaves(node: Node) -> Iterator[Leaf]:
    """Yield all checks of a tree in order."""
    if isinstance(node, Leaf):
        yield node
    else:
        for inner in node.nodes:
            yield from leaves(inner)


def type_of(leaf: Leaf) -> CheckType:
    check = check_named(leaf.type)
    if check is None:
        raise KeyError(leaf.type)  # read_tree lets none through that is not there
    return check


def questions_of(node: Node) -> list[Question]:
    """Return all that a tree asks of a host at first."""
    return [q for leaf in leaves(node) for q in type_of(leaf).questions(leaf.args)]


def more_of(node: Node, host: Answers) -> list[Question]:
    """Return what follows from the answers so far; a check whose answers are not to be had asks no more."""
    found: list[Question] = []
    for leaf in leaves(node):
        try:
            found += type_of(leaf).more(leaf.args, host)
        except (Unreadable, NotApplicable):
            continue  # its verdict will say so
    return found


def judge(node: Node, host: Answers) -> Outcome:
    """Return what a tree comes to; never raises."""
    if isinstance(node, Leaf):
        return _judge_leaf(node, host)
    outcomes = [judge(inner, host) for inner in node.nodes]
    if node.how == "not":
        return _turned(_all(outcomes))
    return _any(outcomes) if node.how == "any" else _all(outcomes)


def _judge_leaf(leaf: Leaf, host: Answers) -> Outcome:
    try:
        items = tuple(_safe(item) for item in type_of(leaf).judge(leaf.args, host))
    except Unreadable as why:
        return Outcome(UNKNOWN, reason=one_line(str(why)))
    except NotApplicable as why:
        return Outcome(NOT_APPLICABLE, reason=one_line(str(why)))
    except GaveUpError as why:
        return Outcome(ERROR, reason=one_line(str(why)))
    except Exception as error:  # noqa: BLE001 - a check that stumbles over host output is an ERROR of that rule only
        return Outcome(ERROR, reason=one_line(f"check {leaf.type} failed: {type(error).__name__}: {error}"))
    if any(item.ok is False for item in items):
        return Outcome(FAIL, items)
    if not items or any(item.ok is None for item in items):
        unclear = next((i.actual for i in items if i.ok is None), "nothing was looked at")
        return Outcome(UNKNOWN, items, unclear)
    return Outcome(PASS, items)


def _safe(item: Item) -> Item:
    return Item(one_line(item.source), one_line(item.expected), one_line(item.actual), item.ok)


def _all(outcomes: Sequence[Outcome]) -> Outcome:
    return _first(outcomes, (FAIL, ERROR, UNKNOWN, PASS, NOT_APPLICABLE))


def _any(outcomes: Sequence[Outcome]) -> Outcome:
    return _first(outcomes, (PASS, ERROR, UNKNOWN, FAIL, NOT_APPLICABLE))


def _first(outcomes: Sequence[Outcome], order: Sequence[str]) -> Outcome:
    """Return the verdict that comes first in `order`, with the items and reasons of those that have it."""
    verdict = next(v for v in order if any(o.verdict == v for o in outcomes))
    same = [o for o in outcomes if o.verdict == verdict]
    items = tuple(item for o in same for item in o.items)
    return Outcome(verdict, items, "; ".join(dict.fromkeys(o.reason for o in same if o.reason)))


def _turned(outcome: Outcome) -> Outcome:
    turned = {PASS: FAIL, FAIL: PASS}.get(outcome.verdict, outcome.verdict)
    if turned == outcome.verdict:
        return outcome
    items = tuple(replace(i, expected=f"not: {i.expected}", ok=not i.ok) for i in outcome.items
                  if i.ok is (outcome.verdict == PASS))
    return Outcome(turned, items, outcome.reason)


def repair_of(node: Node) -> Remediation | None:
    """Return one remediation of all checks of a tree, or None where one of them has none or any/not stand there."""
    if isinstance(node, Group) and node.how != "all":
        return None
    parts = [type_of(node).repair(node.args)] if isinstance(node, Leaf) else [repair_of(n) for n in node.nodes]
    found = [part for part in parts if part is not None]
    if len(found) != len(parts):
        return None
    sets = tuple(one for part in found for one in part.sets)
    if len(found) == 1 and sets:  # Windows: one value, and a text of its own kind (collect/fixing_windows.py)
        return found[0]
    if sets:
        return None
    return Remediation(
        "declarative", "\n".join(f"(\nset -eu\n{part.script.rstrip()}\n)" for part in found) + "\n",
        tuple(dict.fromkeys(f for part in found for f in part.files)),
        "; ".join(dict.fromkeys(part.disruption for part in found if part.disruption)),
        any(part.reboot for part in found),
    )
