"""selinuxsecuritycontext (OVAL linux schema): SELinux labels of files."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted


class _Selinuxsecuritycontext:
    name = "selinuxsecuritycontext"

    def limits(self, found: Object) -> list[str]:
        named: list[str] = []
        for name in ("path", "filepath"):
            entity = found.entities.get(name)
            if entity is not None and entity.operation != "equals":
                named.append(f"OVAL selinuxsecuritycontext {name} with operation {entity.operation}")
        if "pid" in found.entities and not found.entities["pid"].nil:
            named.append("OVAL selinuxsecuritycontext of a process")
        if found.behaviors.get("max_depth") == "-1":
            named.append("OVAL selinuxsecuritycontext without max_depth")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each labelled file. Without labels (SELinux off) nothing can be told."""
        whole, folder, name = (wanted.entity(n) for n in ("filepath", "path", "filename"))
        if whole is not None and whole.literals is not None:
            asks: list[tuple[str, ...]] = [("selinux", "label", p) for p in whole.literals]
        elif folder is not None and folder.literals is not None:
            depth = wanted.behavior("max_depth", "0") if wanted.behavior("recurse_direction", "none") == "down" else "0"
            asks = [("selinux", "label", p) if wanted.is_nil("filename")
                    else ("selinux", "below", p.rstrip("/"), depth) for p in folder.literals]
        else:
            raise ObjectError("selinuxsecuritycontext names no file")
        found: list[OvalItem] = []
        for ask, answer in zip(asks, facts.get(*asks), strict=True):
            if isinstance(answer, Unreadable):
                raise NotCollectedError(f"{ask[2]}: {answer.reason}")
            entries = answer if ask[1] == "below" else (() if answer is None else (answer,))
            for label, kind, path in entries:
                base = path.rpartition("/")[2]
                if ask[1] == "below" and (kind == "d" or (name is not None and not name.matches(base))):
                    continue
                found.append(_item(label, path, "" if wanted.is_nil("filename") else base))
        return collected(found)


def _item(label: str, path: str, name: str) -> OvalItem:
    parts = label.split(":", 3)
    if len(parts) < 3:
        raise NotCollectedError(f"{path} has no SELinux label")
    entities = {"filename": (name,), "user": (parts[0],), "role": (parts[1],), "type": (parts[2],)}
    if name:
        entities |= {"filepath": (path,), "path": (path.rpartition("/")[0] or "/",)}
    else:
        entities["path"] = (path,)
    if len(parts) == 4:
        entities["low_sensitivity"] = (parts[3].partition("-")[0].partition(":")[0],)
    return OvalItem(entities)


TYPE = _Selinuxsecuritycontext()
