"""systemdunitproperty (OVAL linux schema): properties of systemd units that have a unit file."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import ERROR, Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.tests.systemdunitdependency import exact
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

_LISTS = frozenset({"Requires", "Wants", "Before", "After", "Names", "RequiredBy", "WantedBy", "Conflicts", "Requisite",
                    "BindsTo", "PartOf", "Triggers", "TriggeredBy", "Documentation", "DropInPaths"})


class _Systemdunitproperty:
    name = "systemdunitproperty"

    def limits(self, found: Object) -> list[str]:
        named: list[str] = []
        for name in ("unit", "property"):
            entity = found.entities.get(name)
            taken = ("equals", "pattern match") if name == "unit" else ("equals",)
            if entity is not None and entity.operation not in taken:
                named.append(f"OVAL systemdunitproperty {name} with operation {entity.operation}")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each unit and property."""
        unit, wanted_property = wanted.entity("unit"), wanted.entity("property")
        if unit is None or wanted_property is None or wanted_property.literals is None:
            raise ObjectError("systemdunitproperty names no unit or property")
        found: dict[tuple[str, str], OvalItem] = {}
        patterns = unit.patterns or [exact(u) for u in unit.values]
        asks = [("systemd", "property", p, n) for p in patterns for n in wanted_property.literals]
        for ask, units in zip(asks, facts.get(*asks), strict=True):
            if units is None:
                return Collected(ERROR, (), "systemd does not run here")
            for name, properties in units.items():
                if ask[3] in properties and unit.matches(name):
                    found[name, ask[3]] = _item(name, ask[3], properties[ask[3]])
        return collected(list(found.values()))


def _item(unit: str, name: str, value: str) -> OvalItem:
    values = tuple(value.split()) if name in _LISTS else (value,)
    return OvalItem({"unit": (unit,), "property": (name,), "value": values or ("",)})


TYPE = _Systemdunitproperty()
