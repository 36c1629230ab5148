"""Finds the platforms: every module of this folder that has a PLATFORM. A new one is a new file, listed nowhere."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import patchctl.platforms
from patchctl.model.errors import UsageError
from patchctl.model.evidence import Snapshot
from patchctl.model.facts import OsRelease
from patchctl.platforms import linux, windows
from patchctl.platforms.contract import Platform


@cache
def all_platforms() -> tuple[Platform, ...]:
    """Return every platform, ordered by name."""
    found: list[Platform] = []
    for module in pkgutil.iter_modules(patchctl.platforms.__path__):
        platform = getattr(importlib.import_module(f"patchctl.platforms.{module.name}"), "PLATFORM", None)
        if platform is not None:
            found.append(platform)
    return tuple(sorted(found, key=lambda p: p.name))


def platform_named(name: str) -> Platform:
    """Return the platform of that name. Raise UsageError naming those there are."""
    for platform in all_platforms():
        if platform.name == name:
            return platform
    names = ", ".join(p.name for p in all_platforms())
    raise UsageError("unknown-platform", f"there is no platform {name!r}", f"one of {names}")


def read_os(snapshot: Snapshot) -> OsRelease:
    """Return the operating system a snapshot shows; empty when it shows none."""
    return windows.read_os(snapshot) if "windows.os" in snapshot.evidence else linux.read_os(snapshot)


def platform_for(snapshot: Snapshot) -> Platform | None:
    """Return the platform that reads this snapshot, or None when the system is unknown or not supported."""
    os = read_os(snapshot)
    return next((p for p in all_platforms() if p.matches(os)), None)
