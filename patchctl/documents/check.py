"""A tree against a schema: a typed value, or a Problem with place, code and hint for every single misfit."""

from __future__ import annotations

import types
from collections.abc import Hashable, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from patchctl.documents.fields import kind_of
from patchctl.documents.loader import Document, Items, Section
from patchctl.documents.source import Findings, suggest
from patchctl.model.errors import Problem

M = TypeVar("M", bound=BaseModel)
MAX_ROUNDS = 4
"""A misfit may hide others (a section of the wrong type); after this many rounds the file is given up."""
_EXPECTED = {
    "model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list", "tuple_type": "a list",
    "string_type": "text", "model_attributes_type": "a mapping",
}


def check_document(document: Document, schema: type[M], findings: Findings) -> M | None:
    """Given a document, return it as a value of `schema`; every misfit goes to `findings`.

    What does not fit is then taken out of the tree, so that the rest can still be checked against other files in the
    same run. None: what is left is no `schema` at all.
    """
    if document.tree is None:
        return _checked({}, document, schema, findings, set())[0]
    removed: set[tuple[int, str]] = set()
    for _ in range(MAX_ROUNDS):
        value, misfits = _checked(document.tree, document, schema, findings, removed)
        if value is not None or not isinstance(document.tree, Section):
            return value
        if not _prune(document.tree, misfits, removed):
            return None
    return None


def _checked(
    tree: Any, document: Document, schema: type[M], findings: Findings, removed: set[tuple[int, str]]
) -> tuple[M | None, list[tuple[Hashable, ...]]]:
    """Return the value, or the paths of what does not fit. A key that was taken out as wrong is not told as missing."""
    try:
        return schema.model_validate(tree), []
    except ValidationError as error:
        details = error.errors(include_url=False)
    for detail in details:
        path = _path_of(detail["loc"])
        if not _follows(tree, path, missing=detail["type"] == "missing", removed=removed):
            findings.add(_problem(document, schema, detail))
    return None, [_path_of(detail["loc"])[: -1 if detail["type"] == "missing" else None] for detail in details]


def _follows(tree: Any, path: tuple[Hashable, ...], *, missing: bool, removed: set[tuple[int, str]]) -> bool:
    """Say whether a misfit comes only from what was taken out: a key that is missing now, or a section without it."""
    if missing:
        return (id(_node(tree, path[:-1])), str(path[-1])) in removed
    section = _node(tree, path)
    return section is not None and any(identity == id(section) for identity, _ in removed)


def _prune(tree: Section, misfits: list[tuple[Hashable, ...]], removed: set[tuple[int, str]]) -> bool:
    """Take the misfits out of the tree, last list items first; say whether anything was taken.

    Keys that were taken are added to `removed`, as (identity of their section, key): paths change when list items go.
    """
    taken = False
    for path in sorted(set(misfits), key=lambda p: [(isinstance(step, str), step) for step in p], reverse=True):
        node = _node(tree, path[:-1])
        if node is not None and _take_out(node, path):
            taken = True
            removed.add((id(node), str(path[-1])))
    return taken


def _node(tree: Any, path: Sequence[Hashable]) -> Any:
    """Return the section or list at a path; None where there is none."""
    node = tree
    for step in path:
        node = _child(node, step) if node is not None else None
    return node


def _child(node: Any, step: Hashable) -> Any:
    """Return the section or list below a step, or None where a single text stands for it."""
    if isinstance(node, Section):
        found = node.get(str(step))
    elif isinstance(node, Items) and isinstance(step, int) and step < len(node):
        found = node[step]
    else:
        found = None
    return found if isinstance(found, (Section, Items)) else None


def _take_out(node: Any, path: tuple[Hashable, ...]) -> bool:
    if not path:
        return False
    step = path[-1]
    if isinstance(node, Section):
        node.places.pop(str(step), None)
        return node.pop(str(step), node) is not node
    if isinstance(node, Items) and isinstance(step, int) and step < len(node):
        del node[step], node.places[step]
        return True
    return False


def _path_of(loc: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return the keys of the file in a pydantic path: union branches show there by their tag, in round brackets."""
    return tuple(step for step in loc if not _is_branch(step) and step != "[key]")


def _problem(document: Document, schema: type[BaseModel], detail: Any) -> Problem:
    path = _path_of(detail["loc"])
    code, context = detail["type"], detail.get("ctx", {})
    if code == "extra_forbidden":
        return document.problem(path, "unknown-key", f"unknown key {str(path[-1])!r}",
                                suggest(str(path[-1]), known_keys(schema, path[:-1])), key=True)
    if code == "missing":
        return document.problem(path[:-1], "missing-key", f"the key {str(path[-1])!r} is missing")
    if code in _EXPECTED:
        found = kind_of(detail["input"])
        return document.problem(path, "unexpected-type", f"expected {_EXPECTED[code]}, found {found}")
    if "message" in context and "hint" in context:
        return document.problem(path, code, str(context["message"]), str(context["hint"]),
                                key=detail["loc"][-1] == "[key]")
    return document.problem(path, "invalid-value", str(detail["msg"]))


def _is_branch(step: object) -> bool:
    return isinstance(step, str) and step.startswith("(") and step.endswith(")")


def known_keys(schema: Any, path: Sequence[Hashable]) -> list[str]:
    """Return the keys a schema knows at a path; [] where it takes any."""
    kinds = [schema]
    for step in path:
        kinds = [inner for kind in kinds for inner in _step_into(kind, step)]
    return sorted({
        field.alias or name
        for kind in kinds for part in _branches(kind) if isinstance(part, type) and issubclass(part, BaseModel)
        for name, field in part.model_fields.items()
    })


def _branches(kind: Any) -> list[Any]:
    """Return the plain types an annotation may stand for."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _branches(get_args(kind)[0])
    if origin in (Union, types.UnionType):
        return [part for arg in get_args(kind) for part in _branches(arg)]
    return [kind]


def _step_into(kind: Any, step: Hashable) -> list[Any]:
    found: list[Any] = []
    for part in _branches(kind):
        if isinstance(part, type) and issubclass(part, BaseModel):
            found += [f.annotation for name, f in part.model_fields.items() if step in (name, f.alias)]
        elif get_origin(part) is list and isinstance(step, int):
            found += get_args(part)
        elif get_origin(part) is dict:
            found += get_args(part)[1:]
    return found

