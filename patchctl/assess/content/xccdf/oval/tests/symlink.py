"""symlink (OVAL unix schema): where symbolic links lead to in the end."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import ERROR, Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Symlink:
    name = "symlink"
    each_value = True

    def limits(self, found: Object) -> list[str]:
        entity = found.entities.get("filepath")
        return [f"OVAL symlink filepath with operation {entity.operation}"] if (
            entity is not None and entity.operation != "equals") else []

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each link. A link that leads nowhere is an error."""
        path = wanted.entity("filepath")
        if path is None or path.literals is None:
            raise ObjectError("symlink names no path")
        found: list[OvalItem] = []
        asks = [("metadata", "real", p) for p in path.literals]
        for name, target in zip(path.literals, facts.get(*asks), strict=True):
            if isinstance(target, Unreadable):
                if target.reason == "permission denied":
                    raise NotCollectedError(f"{name}: {target.reason}")
                return Collected(ERROR, (), f"{name}: {target.reason}")
            if target is not None:
                found.append(OvalItem({"filepath": (name,), "canonical_path": (target,)}))
        return collected(found)


TYPE = _Symlink()
