"""Reads XML of unknown origin: no entities, no network, no document types, bounded in size and depth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

from patchctl.model.errors import DocumentsError, Problem

MAX_BYTES = 128 * 1024 * 1024
"""The largest data stream of the SCAP Security Guide has 24 MB."""


_DOCTYPE = re.compile(rb"(\xef\xbb\xbf)?\s*(<\?.*?\?>\s*)?(<!--.*?-->\s*)*<!DOCTYPE", re.DOTALL)


def parse(data: bytes, source: str, *, limit: int = MAX_BYTES) -> Any:
    """Return the root element. Raise DocumentsError for what is no XML, too large or brings a document type."""
    if len(data) > limit:
        raise refuse(source, "xml-too-large", f"the file has {len(data)} bytes, more than {limit}", "split the content")
    if _DOCTYPE.match(data[:65536]):  # before the parser looks for what it names
        raise refuse(source, "xml-doctype", "the file declares a document type", "SCAP content has none: remove it", 1)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True, collect_ids=False,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        line, column = getattr(error, "position", (0, 0)) or (0, 0)
        raise refuse(source, "xml-syntax", str(error), "is the file complete?", line, column) from error
    if root.getroottree().docinfo.doctype:
        raise refuse(source, "xml-doctype", "the file declares a document type", "SCAP content has none: remove it", 1)
    return root


def refuse(source: str, code: str, message: str, hint: str, line: int = 0, column: int = 0) -> DocumentsError:
    """Return the error for one problem in a content file."""
    return DocumentsError((Problem(source, line or 0, column or 0, code, message, hint),))


def name(element: Any) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def namespace(element: Any) -> str:
    """Return an element's namespace ("" for none)."""
    return str(element.tag)[1:].partition("}")[0] if str(element.tag).startswith("{") else ""


def children(element: Any, *names: str) -> Iterator[Any]:
    """Yield the child elements, only those of the given local names if there are any."""
    for child in element:
        if isinstance(child.tag, str) and (not names or name(child) in names):
            yield child


def child(element: Any, wanted: str) -> Any:
    """Return the first child of a local name, or None."""
    return next(children(element, wanted), None)


def text(element: Any) -> str:
    """Return an element's own text as written ("" for none)."""
    return str(element.text) if element is not None and element.text else ""


def flat(element: Any, limit: int = 4000) -> str:
    """Return all text below an element on one line: descriptions with markup in them."""
    return "" if element is None else " ".join("".join(element.itertext()).split())[:limit]


def attribute(element: Any, wanted: str, default: str = "") -> str:
    """Return an attribute by its local name, whatever its namespace."""
    value = element.get(wanted)
    if value is not None:
        return str(value)
    for key, found in element.attrib.items():
        if str(key).rpartition("}")[2] == wanted:
            return str(found)
    return default


def is_true(value: str | None) -> bool:
    """Read an xs:boolean."""
    return value is not None and value.strip() in ("true", "1")
