"""xmlfilecontent (OVAL independent schema): values that an XPath expression finds in XML files."""

from __future__ import annotations

from typing import Any

from lxml import etree

from patchctl.assess.content.xccdf import xml
from patchctl.assess.content.xccdf.oval import paths
from patchctl.assess.content.xccdf.oval.facts import Facts
from patchctl.assess.content.xccdf.oval.model import Collected, Object, OvalItem, collected
from patchctl.assess.content.xccdf.oval.wanted import ObjectError, Wanted
from patchctl.model.errors import DocumentsError

MAX_BYTES = 4 * 1024 * 1024


class _Xmlfilecontent:
    name = "xmlfilecontent"

    def limits(self, found: Object) -> list[str]:
        named = paths.limits(found)
        query = found.entities.get("xpath")
        if query is None or query.operation != "equals":
            named.append("OVAL xmlfilecontent without a literal xpath")
        elif query.value:
            try:
                etree.XPath(query.value)
            except etree.XPathSyntaxError as error:
                named.append(f"xpath {query.value!r}: {error}")
        return named

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return one item for each file in which the expression finds something. Raise ObjectError for broken XML."""
        query = wanted.entity("xpath")
        if query is None or query.literals is None:
            raise ObjectError("xmlfilecontent names no xpath")
        found: list[OvalItem] = []
        for file in paths.texts(wanted, facts):
            for one in query.literals:
                values = _values(file.found, one, file.filepath)
                if values is not None:
                    entities = {"filepath": (file.filepath,), "path": (file.folder,), "filename": (file.name,),
                                "xpath": (one,)}
                    found.append(OvalItem({**entities, **({"value_of": values} if values else {})}))
        return collected(found)


def _values(text: str, query: str, source: str) -> tuple[str, ...] | None:
    """Return the values, or None when the expression selects nothing. Names count without their namespaces."""
    try:
        root = xml.parse(text.encode(), source, limit=MAX_BYTES)
        for element in root.iter():
            element.tag = xml.name(element)
        etree.cleanup_namespaces(root)
        result: Any = root.getroottree().xpath(query)
    except (DocumentsError, etree.XPathError, ValueError) as error:
        raise ObjectError(f"{source}: {error}") from error
    if isinstance(result, bool):
        return ("true" if result else "false",)
    if isinstance(result, float):
        return (str(int(result)),)
    if isinstance(result, str):
        return (result,)
    if not result:
        return None
    return tuple(str(node) for node in result if isinstance(node, str))


TYPE = _Xmlfilecontent()
