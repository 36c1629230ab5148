"""Finds the report formats: every module of this folder that has a FORMAT. A new one is a new file, listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import patchctl.report.compliance
from patchctl.model.errors import UsageError
from patchctl.report.compliance.values import Compliance, ReportFile


class Format(Protocol):
    """One format. `render` is pure and escapes all that came from hosts."""

    name: str
    title: str
    """One line for people: what it is for."""

    def render(self, report: Compliance) -> Sequence[ReportFile]:
        """Return the files of the report; most formats make one."""
        ...


@cache
def all_formats() -> tuple[Format, ...]:
    """Return every format, ordered by name."""
    found: list[Format] = []
    for module in pkgutil.iter_modules(patchctl.report.compliance.__path__):
        made = getattr(importlib.import_module(f"patchctl.report.compliance.{module.name}"), "FORMAT", None)
        if made is not None:
            found.append(made)
    return tuple(sorted(found, key=lambda f: f.name))


def format_named(name: str) -> Format:
    """Return one format. Raise UsageError when there is none of this name."""
    for one in all_formats():
        if one.name == name:
            return one
    names = ", ".join(f.name for f in all_formats())
    raise UsageError("report-format", f"there is no report format {name!r}", f"one of: {names}")
