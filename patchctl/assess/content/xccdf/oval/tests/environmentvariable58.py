"""environmentvariable58 (OVAL independent schema): the environment of the assessing process itself."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Environmentvariable58:
    name = "environmentvariable58"

    def limits(self, found: Object) -> list[str]:
        pid, name = found.entities.get("pid"), found.entities.get("name")
        named = [] if pid is None or pid.nil else ["OVAL environmentvariable58 of another process"]
        if name is not None and name.operation != "equals":
            named.append(f"OVAL environmentvariable58 name with operation {name.operation}")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each variable that is set."""
        name = wanted.entity("name")
        if name is None or name.literals is None:
            raise ObjectError("environmentvariable58 names no variable")
        answers = facts.get(*[("host", "environment", n) for n in name.literals])
        return collected([OvalItem({"name": (n,), "value": (v,)})
                          for n, values in zip(name.literals, answers, strict=True) for v in values])


TYPE = _Environmentvariable58()
