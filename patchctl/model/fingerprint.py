"""The installed versions that a host's plan starts from: hashed when planning, hashed again at preflight.

Names and versions only, no architectures: package managers keep the architectures of one package in step, and a
package may move from one architecture to `all` with an update.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from patchctl.model.plan import Change
from patchctl.model.text import one_line

ANY_VERSION = "installed"
"""Version of what has none of its own: a Windows update from a file. Whatever the host calls it, it is in place."""


def as_planned(changes: Iterable[Change], found: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the versions found by package; where a change names none of its own, any that is found is that one."""
    loose = {change.package for change in changes if change.to_version == ANY_VERSION}
    return {name: {ANY_VERSION} if name in loose and versions else versions for name, versions in found.items()}


def planned_fingerprint(changes: Iterable[Change]) -> str:
    """Return the hash over what the changes start from. Packages that are not installed yet do not count."""
    return _digest({(change.package, change.from_version) for change in changes if change.from_version})


def found_fingerprint(output: str) -> str:
    """Given the output of a platform's fingerprint_probe for the same packages, return the hash over it."""
    return _digest(_read(output))


def list_differences(changes: Iterable[Change], output: str) -> list[str]:
    """Return what differs between plan and host, as `openssl: planned 3.0.1, found 3.0.2`; sorted, safe text."""
    planned: dict[str, set[str]] = {}
    for change in changes:
        planned.setdefault(change.package, set()).update({change.from_version} - {""})
    found: dict[str, set[str]] = {}
    for package, version in _read(output):
        found.setdefault(package, set()).add(version)
    return [
        one_line(f"{package}: planned {_shown(planned.get(package))}, found {_shown(found.get(package))}")
        for package in sorted(planned.keys() | found.keys())
        if planned.get(package, set()) != found.get(package, set())
    ]


def _read(output: str) -> set[tuple[str, str]]:
    """Read `package:arch version` lines."""
    pairs = set()
    for line in output.splitlines():
        name, _, version = line.strip().partition(" ")
        if version:
            pairs.add((name.partition(":")[0], version.strip()))
    return pairs


def _digest(pairs: set[tuple[str, str]]) -> str:
    text = "".join(f"{package} {version}\n" for package, version in sorted(pairs))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _shown(versions: set[str] | None) -> str:
    return "+".join(sorted(versions)) if versions else "not installed"
