"""Finds the check types: every module of this folder that has a CHECK. A new one is a new file, listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

import patchctl.assess.checks
from patchctl.assess.checks.contract import CheckType


@cache
def check_names() -> frozenset[str]:
    """Return the names of the modules in this folder: each check type is in the one that bears its name."""
    return frozenset(module.name for module in pkgutil.iter_modules(patchctl.assess.checks.__path__))


@cache
def check_named(name: str) -> CheckType | None:
    """Return the check type of that name, or None. Only its own module is loaded: a start pays for what it uses."""
    if name not in check_names():
        return None
    check: CheckType | None = getattr(importlib.import_module(f"patchctl.assess.checks.{name}"), "CHECK", None)
    return check


@cache
def all_checks() -> Mapping[str, CheckType]:
    """Return every check type by name, sorted."""
    found = {name: check_named(name) for name in sorted(check_names())}
    return {name: check for name, check in found.items() if check is not None}
