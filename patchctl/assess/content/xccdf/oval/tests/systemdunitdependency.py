"""systemdunitdependency (OVAL linux schema): what a unit requires or wants, through targets."""

from __future__ import annotations

import re

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import ERROR, Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


def exact(unit: str) -> str:
    """Return the pattern that matches one unit name."""
    return "^" + re.sub(r"([.|()$^\\+*?\[\]{}])", r"\\\1", unit) + "$"


class _Systemdunitdependency:
    name = "systemdunitdependency"

    def limits(self, found: Object) -> list[str]:
        entity = found.entities.get("unit")
        if entity is None or entity.operation == "equals":
            return []
        return [f"OVAL systemdunitdependency unit with operation {entity.operation}"]

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each unit, with all it pulls in."""
        unit = wanted.entity("unit")
        if unit is None or unit.literals is None:
            raise ObjectError("systemdunitdependency names no unit")
        found: list[OvalItem] = []
        for name, answer in zip(unit.literals, facts.get(*[("systemd", "target", u) for u in unit.literals]),
                                strict=True):
            if answer is None:
                return Collected(ERROR, (), "systemd does not run here")
            there, graph = answer
            if there:
                pulled = _pulled(name, graph)
                found.append(OvalItem({"unit": (name,), **({"dependency": pulled} if pulled else {})}))
        return collected(found)


def _pulled(unit: str, graph: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Follow Requires and Wants; only targets are followed further, as `systemctl list-dependencies` does."""
    seen: dict[str, None] = {}
    todo = [unit]
    while todo:
        for one in graph.get(todo.pop(), ()):
            if one not in seen:
                seen[one] = None
                if one.endswith(".target"):
                    todo.append(one)
    return tuple(seen)


TYPE = _Systemdunitdependency()
