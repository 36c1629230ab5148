"""Finds the OVAL test types (tests/, one file each) and the sources of facts (sources/). Nothing is listed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol

import patchctl.assess.content.xccdf.oval.sources as source_modules
import patchctl.assess.content.xccdf.oval.tests as test_modules
from patchctl.assess.content.xccdf.oval.facts import Facts, Source
from patchctl.assess.content.xccdf.oval.model import Collected, Object
from patchctl.assess.content.xccdf.oval.wanted import Wanted


class Type(Protocol):
    """One OVAL test type: what its objects ask of a host and which items the answers make."""

    name: str
    """textfilecontent54, file ..."""

    def limits(self, found: Object) -> list[str]:
        """Name the constructs of an object that are not interpreted."""
        ...

    def collect(self, wanted: Wanted, facts: Facts) -> Collected:
        """Return the items. Facts that are not there yet are noted by `facts` and make it NOT_COLLECTED."""
        ...


@cache
def all_types() -> Mapping[str, Type]:
    """Return every test type by name."""
    return _found(test_modules.__path__, test_modules.__name__, "TYPE")


@cache
def all_sources() -> Mapping[str, Source]:
    """Return every source of facts by name."""
    return _found(source_modules.__path__, source_modules.__name__, "SOURCE")


def _found(path: Iterable[str], package: str, attribute: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(path):
        one = getattr(importlib.import_module(f"{package}.{module.name}"), attribute, None)
        if one is not None:
            found[one.name] = one
    return found
