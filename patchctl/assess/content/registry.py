"""Finds the kinds of content: every module of this folder that has a KIND. A new one is a new file, listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
import re
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
    raise UsageError("unknown-content", f"{path}: no kind of baseline reads this file{_looks_like(data[:HEAD])}",
                     f"known kinds: {names}")


_SIGNS = (
    (rb"^%PDF", "a PDF document"), (rb"^PK\x03\x04", "a ZIP archive: unpack it"),
    (rb"^\x1f\x8b", "a file compressed by gzip"), (rb"^BZh", "a file compressed by bzip2"),
    (rb"^\xfd7zXZ", "a file compressed by xz"), (rb"<\s*!DOCTYPE html|<\s*html", "a web page"),
    (rb"<(\w+:)?oval_results\b", "OVAL results: what a scanner found, not what to check"),
    (rb"<(\w+:)?oval_definitions\b", "OVAL definitions: name the XCCDF file or data stream that uses them"),
    (rb"<(\w+:)?(asset-report-collection|TestResult)\b", "a scanner's report, not what to check"),
    (rb"<(\w+:)?Tailoring\b", "a tailoring file: give it with --tailoring, beside the benchmark that it changes"),
    (rb"\A\s*\Z", "empty"),
)


def _looks_like(head: bytes) -> str:
    """Return what a file that nobody reads seems to be, as far as its beginning tells."""
    return next((f"; it looks like {what}" if what != "empty" else "; it is empty"
                 for sign, what in _SIGNS if re.search(sign, head)), "")
