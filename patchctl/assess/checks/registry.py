"""Finds the check types: every module of this folder that has a CHECK. A new one is a new file, listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

import patchctl.assess.checks
from patchctl.assess.checks.contract import CheckType


@cache
def all_checks() -> Mapping[str, CheckType]:
    """Return every check type by name, sorted."""
    found: dict[str, CheckType] = {}
    for module in pkgutil.iter_modules(patchctl.assess.checks.__path__):
        check = getattr(importlib.import_module(f"patchctl.assess.checks.{module.name}"), "CHECK", None)
        if check is not None:
            found[check.name] = check
    return dict(sorted(found.items()))
