"""Finds the transports: connect/NAME.py with a module-level TRANSPORT is transport NAME. Nothing is listed anywhere."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from patchctl.connect.context import Context
from patchctl.connect.contract import Transport
from patchctl.model.errors import UsageError

Factory = Callable[[Context], Transport]


@cache
def transport_names() -> tuple[str, ...]:
    """Return the names of all transports, sorted. Imports every module of connect/."""
    modules = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    return tuple(sorted(name for name in modules if _transport_of(name) is not None))


@cache
def transport_factory(name: str) -> Factory:
    """Return what makes the named transport from a Context. Raise UsageError for a name that none has."""
    modules = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    found = _transport_of(name) if name in modules else None
    if found is None:
        raise UsageError(
            "transport-unknown", f"there is no transport {name!r}", f"one of: {', '.join(transport_names())}")
    return found


def _transport_of(module: str) -> Factory | None:
    found: Factory | None = getattr(importlib.import_module(f"patchctl.connect.{module}"), "TRANSPORT", None)
    return found
