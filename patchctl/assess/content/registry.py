"""Finds the kinds of content: every module of this folder that has a KIND. A new one is a new file, listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import patchctl.assess.content
from patchctl.assess.contract import Kind
from patchctl.model.errors import UsageError

HEAD = 4096
"""Bytes of a file that a kind may look at to recognise it."""


@cache
def all_kinds() -> tuple[Kind, ...]:
    """Return every kind, ordered by name."""
    found: list[Kind] = []
    for module in pkgutil.iter_modules(patchctl.assess.content.__path__):
        kind = getattr(importlib.import_module(f"patchctl.assess.content.{module.name}"), "KIND", None)
        if kind is not None:
            found.append(kind)
    return tuple(sorted(found, key=lambda k: k.name))


def kind_of(path: str, data: bytes) -> Kind:
    """Return the kind that reads this file. Raise UsageError when none does."""
    for kind in all_kinds():
        if kind.recognises(path, data[:HEAD]):
            return kind
    names = ", ".join(k.name for k in all_kinds())
    raise UsageError("unknown-content", f"{path}: no kind of baseline reads this file", f"known kinds: {names}")
