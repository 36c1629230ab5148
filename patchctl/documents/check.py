"""A tree against a schema: a typed value, or a Problem with place, code and hint for every single misfit."""

from __future__ import annotations

import types
from collections.abc import Hashable, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from patchctl.documents.fields import kind_of
from patchctl.documents.loader import Document
from patchctl.documents.source import Findings, suggest
from patchctl.model.errors import Problem

M = TypeVar("M", bound=BaseModel)
_EXPECTED = {
    "model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list", "tuple_type": "a list",
    "string_type": "text", "model_attributes_type": "a mapping",
}


def check_document(document: Document, schema: type[M], findings: Findings) -> M | None:
    """Given a document, return it as a value of `schema`; add all misfits to `findings` and return None if any."""
    tree = document.tree if document.tree is not None else {}
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            findings.add(_problem(document, schema, detail))
    return None


def _problem(document: Document, schema: type[BaseModel], detail: Any) -> Problem:
    # Union branches show up in the path under their tag, written in brackets: they are no keys of the file.
    path: tuple[Hashable, ...] = tuple(step for step in detail["loc"] if not _is_branch(step))
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
        on_key = path and path[-1] == "[key]"
        return document.problem(path[:-1] if on_key else path, code, str(context["message"]), str(context["hint"]),
                                key=bool(on_key))
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

