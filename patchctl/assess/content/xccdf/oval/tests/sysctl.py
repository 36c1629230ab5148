"""sysctl (OVAL unix schema): kernel settings."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Sysctl:
    name = "sysctl"

    def limits(self, found: Object) -> list[str]:
        entity = found.entities.get("name")
        return [f"OVAL sysctl name with operation {entity.operation}"] if (
            entity is not None and entity.operation != "equals") else []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each setting the kernel has; each line is a value. Empty settings are left out."""
        name = wanted.entity("name")
        if name is None or name.literals is None:
            raise ObjectError("sysctl names no setting")
        found: list[OvalItem] = []
        for key, lines in zip(name.literals, facts.get(*[("kernel", n) for n in name.literals]), strict=True):
            if isinstance(lines, Unreadable):
                raise NotCollectedError(f"{key}: {lines.reason}")
            if lines:
                found.append(OvalItem({"name": (key,), "value": tuple(lines)}))
        return collected(found)


TYPE = _Sysctl()
