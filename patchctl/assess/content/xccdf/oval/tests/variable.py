"""variable (OVAL independent schema): the values of a variable. Nothing is collected for it."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import COMPLETE, Collected, Object, OvalItem
from patchctl.assess.content.xccdf.oval.wanted import Wanted


class _Variable:
    name = "variable"

    def limits(self, found: Object) -> list[str]:
        return []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item with all values of the variable."""
        variable = wanted.entities["var_ref"]
        entities: dict[str, tuple[str, ...]] = {"var_ref": (variable.entity.var_ref,)}
        if variable.values:
            entities["value"] = variable.values
        return Collected(COMPLETE, (OvalItem(entities),))


TYPE = _Variable()
