"""textfilecontent54 (OVAL independent schema): matches of a pattern in text files."""

from __future__ import annotations

from patchctl.assess.content.xccdf.oval import paths, patterns
from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted

MAX_ITEMS = 20_000


class _TextFileContent54:
    name = "textfilecontent54"

    def limits(self, found: Object) -> list[str]:
        named = paths.limits(found)
        pattern = found.entities.get("pattern")
        if pattern is not None and pattern.operation != "pattern match":
            named.append(f"OVAL pattern with operation {pattern.operation}")
        if pattern is not None and pattern.value and (why := patterns.check(pattern.value)):
            named.append(f"pattern {why}")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each match whose instance is wanted."""
        pattern, instance = wanted.entity("pattern"), wanted.entity("instance")
        flags = 0
        if wanted.behavior("multiline", "true") in ("true", "1"):
            flags |= patterns.MULTILINE
        if wanted.behavior("singleline", "false") in ("true", "1"):
            flags |= patterns.DOTALL
        if wanted.behavior("ignore_case", "false") in ("true", "1"):
            flags |= patterns.IGNORECASE
        found: list[OvalItem] = []
        for file in paths.texts(wanted, facts):
            for one in (pattern.values if pattern is not None else ()):
                for number, (text, groups) in enumerate(patterns.matches(one, file.found, flags), 1):
                    if len(found) >= MAX_ITEMS:
                        raise ObjectError(f"more than {MAX_ITEMS} matches")
                    if instance is None or instance.matches(str(number)):
                        found.append(_item(file, one, number, text, groups))
        return collected(found)


def _item(file: paths.Named, pattern: str, number: int, text: str, groups: object) -> OvalItem:
    taking_part = tuple(g for g in groups if g is not None)  # type: ignore[attr-defined]  # a tuple of groups
    entities: dict[str, tuple[str, ...]] = {
        "filepath": (file.filepath,), "path": (file.folder,), "filename": (file.name,), "pattern": (pattern,),
        "instance": (str(number),), "text": (text,),
    }
    if taking_part:
        entities["subexpression"] = taking_part
    return OvalItem(entities)


TYPE = _TextFileContent54()
