"""Opens SCAP 1.2/1.3 source data streams (NIST SP 800-126r3 section 3) and plain XCCDF files with their OVAL beside.

A data stream collection holds components (XCCDF, OVAL, CPE dictionary); catalogs say which component a name means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.assess.content.xccdf import xml

OVAL_SYSTEM = "http://oval.mitre.org/XMLSchema/oval-definitions-5"


class Content(Struct, frozen=True):
    """One benchmark and the documents its names lead to. Elements, not yet values: lives only while compiling."""

    benchmark: Any
    documents: Mapping[str, Any] = field(default_factory=dict)
    """Name used in the benchmark (href) -> root element of an OVAL document."""
    dictionaries: Sequence[Any] = ()
    """CPE dictionaries (cpe-list)."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Name -> why there is no document behind it."""


def open_content(root: Any, source: str, files: Mapping[str, bytes]) -> Sequence[Content]:
    """Return the benchmarks of a file in its order. `files` are documents beside a plain XCCDF file, by name."""
    if xml.name(root) == "Benchmark":
        return (_plain(root, source, files),)
    if xml.name(root) != "data-stream-collection":
        hint = "expected an XCCDF Benchmark or a SCAP data-stream-collection"
        raise xml.refuse(source, "scap-unknown-root", f"the root element is {xml.name(root)}", hint, 1)
    components = {xml.attribute(c, "id"): c for c in xml.children(root, "component")}
    found: list[Content] = []
    for stream in xml.children(root, "data-stream"):
        references = _references(stream)
        dictionaries = [_inside(components, r) for r in _dictionaries(stream)]
        for reference in xml.children(_required(stream, "checklists", source)):
            benchmark = _inside(components, reference)
            if benchmark is None or xml.name(benchmark) != "Benchmark":
                continue
            documents: dict[str, Any] = {}
            missing: dict[str, str] = {}
            for holder in [reference, *_dictionaries(stream)]:
                _catalog(holder, references, components, documents, missing)
            lists = [d for d in dictionaries if d is not None and xml.name(d) == "cpe-list"]
            found.append(Content(benchmark, documents, lists, missing))
    if not found:
        raise xml.refuse(source, "scap-no-benchmark", "no data stream holds an XCCDF benchmark", "is it a checklist?")
    return tuple(found)


def _required(stream: Any, wanted: str, source: str) -> Any:
    element = xml.child(stream, wanted)
    if element is None:
        raise xml.refuse(source, "scap-no-checklists", f"a data stream has no {wanted}", "is it a checklist?",
                         stream.sourceline)
    return element


def _dictionaries(stream: Any) -> Sequence[Any]:
    """Return the component-refs of the CPE dictionaries."""
    holder = xml.child(stream, "dictionaries")
    return () if holder is None else tuple(xml.children(holder))


def _references(stream: Any) -> Mapping[str, Any]:
    """Return the component-refs of a data stream by id."""
    return {xml.attribute(r, "id"): r for part in xml.children(stream) for r in xml.children(part, "component-ref")}


def _inside(components: Mapping[str, Any], reference: Any) -> Any:
    """Return what the component behind a component-ref holds, or None."""
    component = components.get(xml.attribute(reference, "href").removeprefix("#"))
    return None if component is None else next(xml.children(component), None)


def _catalog(
    holder: Any,
    references: Mapping[str, Any],
    components: Mapping[str, Any],
    documents: dict[str, Any],
    missing: dict[str, str],
) -> None:
    """Read one catalog (OASIS XML Catalogs: uri name -> component-ref)."""
    catalog = xml.child(holder, "catalog")
    for entry in xml.children(catalog, "uri") if catalog is not None else ():
        called, target = xml.attribute(entry, "name"), xml.attribute(entry, "uri").removeprefix("#")
        reference = references.get(target)
        document = None if reference is None else _inside(components, reference)
        if document is None:
            missing[called] = f"component {target} is not in the file"
        elif xml.name(document) == "oval_definitions":
            documents[called] = document


def _plain(root: Any, source: str, files: Mapping[str, bytes]) -> Content:
    documents: dict[str, Any] = {}
    dictionaries: list[Any] = []
    for called, data in files.items():
        document = xml.parse(data, called)
        if xml.name(document) == "oval_definitions":
            documents[called] = document
        elif xml.name(document) == "cpe-list":
            dictionaries.append(document)
    missing = {n: f"{n} was not given beside {source}" for n in named_documents(root) if n not in documents}
    return Content(root, documents, dictionaries, missing)


def named_documents(benchmark: Any) -> Sequence[str]:
    """Return the names of the OVAL documents that a benchmark's checks lead to, each once, in order."""
    found: dict[str, None] = {}
    for check in benchmark.iter("{*}check"):
        if check.get("system") == OVAL_SYSTEM:
            for reference in xml.children(check, "check-content-ref"):
                found[xml.attribute(reference, "href")] = None
    return tuple(found)
