"""Reads what dnf or yum would do: updates with advisories, artefacts, removals, and how old what they know is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from patchctl.model.facts import Artefact, Package, Update
from patchctl.model.text import one_line, strip_control
from patchctl.model.versions import rpm
from patchctl.platforms.dnf.common import (
    SEVERITIES,
    VERSION,
    Pending,
    file_name,
    valid_name,
)
from patchctl.platforms.dnf.tables import read_tables

_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE = "the system is an image (ostree, bootc): it is updated as a whole, not by dnf"
_STATES = ("upgradable", "new", "held", "kept-back")
_MULTIPLE = re.compile(r"kernel(\d[\d.]*)?(-(core|modules|modules-core|modules-extra|devel|uek|uek-core|rt|rt-core))?")


def read_pending(text: str) -> Pending:
    """Read the output of dnf.pending or dnf.resolve."""
    lines = strip_control(text).splitlines()
    found = read_tables(lines) if "tool dnf5" in lines[:1] else _read_rows(lines)
    if "image" not in lines:
        return found
    updates = tuple(replace(u, state="kept-back", reason=_IMAGE) for u in found.updates if u.state == "upgradable")
    others = tuple(u for u in found.updates if u.state in ("held", "kept-back"))
    return replace(found, updates=tuple(sorted((*updates, *others), key=lambda u: (u.package, u.arch))),
                   artefacts=(), removals=())


def _read_rows(lines: Sequence[str]) -> Pending:
    """Read what the programs for dnf 4 and yum print."""
    rows = [line.split("|") for line in lines]
    errors = [line[3:] for line in lines if line.startswith("E: ") and line[3:].strip()]
    failed = next((row[1] for row in rows if row[0] == "refresh" and len(row) > 1 and row[1] != "ok"), "")
    if failed:
        return Pending(error=f"refreshing the metadata failed: {one_line(failed, 300)}")
    if errors or "end" not in lines:
        return Pending(error=one_line(errors[0], 300) if errors else "dnf ended without a word")
    whys = {tuple(row[1:4]): one_line(row[4], 400) for row in rows if row[0] == "why" and len(row) == 5}
    changes = [row for row in rows if row[0] == "change" and len(row) == 15 and _valid(row)]
    if len(changes) != sum(row[0] == "change" for row in rows):
        return Pending(error="dnf named a package in a way that cannot be used")
    updates = tuple(_update(row, whys) for row in changes)
    ages = [int(row[2]) for row in rows if row[0] == "repo" and len(row) == 4 and row[2].isdigit()]
    artefacts = tuple(_artefact(row) for row in changes if _SHA256.fullmatch(row[8]))
    removed = (row[1] for row in rows if row[0] == "removed" and len(row) == 5 and row[4] != "installonly")
    return Pending(
        tuple(sorted(updates, key=lambda u: (u.package, u.arch))), artefacts,
        tuple(sorted({one_line(name, 200) for name in removed})), float(max(ages)) if ages else None,
        any(row[:2] == ["refresh", "ok"] for row in rows), "",
        tuple(sorted({row[2] for row in changes if row[13] == "reboot" and row[1] in ("upgradable", "new")})),
    )  # fmt: skip


def _valid(row: Sequence[str]) -> bool:
    return (
        row[1] in _STATES and valid_name(row[2], row[3], row[5])
        and (not row[4] or bool(VERSION.fullmatch(row[4]))) and row[7].isdigit()
    )  # fmt: skip


def _update(row: Sequence[str], whys: Mapping[tuple[str, ...], str]) -> Update:
    _, state, name, arch, old, new, repository, _, _, security, severity, advisories, cves, _, _ = row
    return Update(
        name, arch, old, new, one_line(repository, 120), {"yes": True, "no": False}.get(security), state,
        whys.get((name, arch, new), ""), tuple(_words(advisories)), tuple(_words(cves)),
        severity if severity in SEVERITIES else "",
    )  # fmt: skip


def _words(text: str) -> Iterator[str]:
    return (one_line(word, 60) for word in text.split(",") if word)


def _artefact(row: Sequence[str]) -> Artefact:
    name, arch, version = row[2], row[3], row[5]
    return Artefact(
        name, version, arch, row[8], int(row[7]), file_name(name, version, arch), one_line(row[14], 2000),
        one_line(row[6], 120),
    )  # fmt: skip


def installed_beside(name: str) -> bool:
    """Say whether a package of that name is installed beside its earlier versions, not over them."""
    return bool(_MULTIPLE.fullmatch(name))


def read_packages(text: str) -> tuple[tuple[Package, ...], tuple[str, ...], float | None]:
    """Given dnf.packages, return (packages, what is there twice and must not be, time of the last change)."""
    packages: list[Package] = []
    seen: dict[tuple[str, str], list[str]] = {}
    latest = 0
    for line in strip_control(text).splitlines():
        parts = line.split("|")
        if len(parts) != 6 or parts[0] == "gpg-pubkey":
            continue
        name, version, arch, source, installed, multiple = parts
        packages.append(Package(name, version, arch, _source_name(source)))
        latest = max(latest, int(installed) if installed.isdigit() else 0)
        if not multiple and not _MULTIPLE.fullmatch(name):
            seen.setdefault((name, arch), []).append(version)
    twice = tuple(
        one_line(f"{name}.{arch} is installed as {' and '.join(sorted(versions, key=rpm.sort_key))}", 300)
        for (name, arch), versions in sorted(seen.items()) if len(versions) > 1
    )
    return tuple(packages), twice, float(latest) if latest else None


def _source_name(text: str) -> str:
    match = re.fullmatch(r"(.+)-[^-]+-[^-]+\.(?:no)?src\.rpm", text)
    return match[1] if match else ""

