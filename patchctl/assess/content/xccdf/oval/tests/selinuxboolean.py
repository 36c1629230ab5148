"""selinuxboolean (OVAL linux schema): booleans of the loaded SELinux policy."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, Unreadable
from patchctl.assess.content.xccdf.oval.model import ERROR, Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Selinuxboolean:
    name = "selinuxboolean"

    def limits(self, found: Object) -> list[str]:
        entity = found.entities.get("name")
        return [f"OVAL selinuxboolean name with operation {entity.operation}"] if (
            entity is not None and entity.operation != "equals") else []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each boolean. Where SELinux is off there is no policy to ask: an error, as in oscap."""
        name = wanted.entity("name")
        if name is None or name.literals is None:
            raise ObjectError("selinuxboolean names no boolean")
        found: list[OvalItem] = []
        asks = [("selinux", "boolean", n) for n in name.literals]
        for boolean, answer in zip(name.literals, facts.get(*asks), strict=True):
            if isinstance(answer, Unreadable):
                return Collected(ERROR, (), answer.reason)
            if answer is not None:
                found.append(OvalItem({"name": (boolean,), "current_status": (_word(answer[0]),),
                                       "pending_status": (_word(answer[1]),)}))
        return collected(found)


def _word(bit: str) -> str:
    return "true" if bit == "1" else "false"


TYPE = _Selinuxboolean()
