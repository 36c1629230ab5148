"""rpmverifyfile (OVAL linux schema): files compared with what their rpm package says of them."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval.facts import Facts, NotCollectedError, Unreadable
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

_MARKS = ("size_differs", "mode_differs", "md5_differs", "device_differs", "link_mismatch", "ownership_differs",
          "group_differs", "mtime_differs", "capabilities_differ")
"""Columns of rpm -V, rpm(8)."""
_KINDS = {"configuration_file": "c", "documentation_file": "d", "ghost_file": "g", "license_file": "l",
          "readme_file": "r"}
_FLAGS = {"nolinkto": "--nolinkto", "nomd5": "--nofiledigest", "nosize": "--nosize", "nouser": "--nouser",
          "nogroup": "--nogroup", "nomtime": "--nomtime", "nomode": "--nomode", "nordev": "--nordev",
          "noconfigfiles": "--noconfig", "noghostfiles": "--noghost", "nocaps": "--nocaps"}
_PACKAGE = ("name", "epoch", "version", "release", "arch")


class _Rpmverifyfile:
    name = "rpmverifyfile"
    each_value = True
    not_told = _PACKAGE

    def limits(self, found: Object) -> list[str]:
        named: list[str] = []
        for name in _PACKAGE:
            entity = found.entities.get(name)
            if entity is not None and not (entity.operation == "pattern match" and entity.value in (".*", "^.*$")):
                named.append(f"OVAL rpmverifyfile by package {name}")
        path = found.entities.get("filepath")
        if not found.filters and (path is None or path.operation != "equals"):
            named.append("OVAL rpmverifyfile of all files without a filter")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each file that differs, or for each named file."""
        path = wanted.entity("filepath")
        if path is None:
            raise ObjectError("rpmverifyfile names no file")
        flags = " ".join(f for b, f in _FLAGS.items() if wanted.behavior(b, "false") in ("true", "1"))
        if path.literals is not None:
            asks: list[tuple[str, ...]] = [("rpmverify", "files", flags, p) for p in path.literals]
        else:
            asks = [("rpmverify", "changed", flags)]
        found: dict[str, OvalItem] = {}
        for answer in facts.get(*asks):
            if isinstance(answer, Unreadable):
                raise NotCollectedError(answer.reason)
            for marks, kind, file in answer:
                if path.matches(file):
                    found[file] = _item(marks, kind, file)
        return collected(list(found.values()))


def _item(marks: str, kind: str, file: str) -> OvalItem:
    words = {".": "pass", "?": "not performed"}
    if marks == "missing":
        told = dict.fromkeys(_MARKS, ("not performed",))
    else:
        told = {name: (words.get(mark, "fail"),) for name, mark in zip(_MARKS, marks.ljust(9, "."), strict=False)}
    flags = {name: ("true" if kind == letter else "false",) for name, letter in _KINDS.items()}
    return OvalItem({"filepath": (file,), **told, **flags})


TYPE = _Rpmverifyfile()
