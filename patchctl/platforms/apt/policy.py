"""Reads `apt-cache policy`: which archive a version comes from, whether that is a security archive, and pins."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

_PACKAGE = re.compile(r"([a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?):")
_VERSION = re.compile(r" (?:\*\*\*|   ) (\S+) (-?\d+)(?: \(phased (\d+)%\))?")
_SOURCE = re.compile(r" {8} *(-?\d+) (\S.*)")


class Archive(Struct, frozen=True):
    """One index of a source, as its Release file names it."""

    label: str
    suite: str
    version: str = ""

    @property
    def text(self) -> str:
        """Return apt's own short form: Debian-Security:12/oldstable-security."""
        return f"{self.label}:{self.version}/{self.suite}" if self.version else f"{self.label}/{self.suite}"

    @property
    def security(self) -> bool:
        """Debian's security archive has a label of its own; Ubuntu's is a pocket (suite). Suites such as
        stable-security are not looked at: a release that has become oldstable is named oldstable-security.
        """
        return self.label == "Debian-Security" or (
            self.label in ("Ubuntu", "UbuntuESM", "UbuntuESMApps") and self.suite.endswith("-security")
        )


class Table(Struct, frozen=True):
    """What apt-cache policy says of one package: versions newest first, each with priority and sources."""

    name: str
    installed: str
    candidate: str
    versions: tuple[tuple[str, int, tuple[str, ...]], ...]
    phased: tuple[tuple[str, int], ...] = ()
    """(version, percent of hosts it is offered to) of versions that are being phased in."""

    def sources(self, version: str) -> tuple[str, ...]:
        return next((sources for v, _, sources in self.versions if v == version), ())


def read_archives(lines: Sequence[str]) -> dict[str, Archive]:
    """Given `apt-cache policy` without arguments, return index line -> Archive (local indexes have no label).

    Snapshots of earlier versions have this section; today's have the same in read_targets.
    """
    found: dict[str, Archive] = {}
    index = ""
    for line in lines:
        if line.startswith("Pinned packages:"):
            break
        words = line.strip()
        if words.startswith("release ") and index:
            fields = dict(part.partition("=")[::2] for part in words[8:].split(","))
            found[index] = Archive(fields.get("l", ""), fields.get("a", ""), fields.get("v", ""))
        elif match := re.fullmatch(r" *-?\d+ (\S.*)", line):
            index = match[1]
    return found


def read_targets(lines: Sequence[str]) -> dict[str, Archive]:
    """Given the `targets` section of apt.pending, return index line -> Archive, as read_archives does.

    apt-get indextargets leaves a field that a Release file does not have as it stands in the format: $(VERSION).
    """
    found: dict[str, Archive] = {}
    for line in lines:
        parts = ["" if part.startswith("$(") else part for part in line.split("|", 4)]
        if len(parts) == 5 and parts[4]:
            found[parts[4]] = Archive(parts[1], parts[2], parts[3])
    return found


def read_tables(lines: Sequence[str]) -> Iterator[Table]:
    """Given `apt-cache policy NAME ...`, yield one Table per package."""
    name = installed = candidate = ""
    versions: list[tuple[str, int, tuple[str, ...]]] = []
    phased: list[tuple[str, int]] = []
    for line in [*lines, "end:"]:
        if match := _PACKAGE.fullmatch(line):
            if name:
                yield Table(name, installed, candidate, tuple(versions), tuple(phased))
            name, installed, candidate, versions, phased = match[1], "", "", [], []
        elif line.startswith("  Installed: "):
            installed = line[13:].strip()
        elif line.startswith("  Candidate: "):
            candidate = line[13:].strip()
        elif match := _VERSION.match(line):
            versions.append((match[1], int(match[2]), ()))
            if match[3]:
                phased.append((match[1], int(match[3])))
        elif versions and (match := _SOURCE.fullmatch(line)):
            version, priority, sources = versions[-1]
            versions[-1] = (version, priority, (*sources, match[2]))


def origin_of(table: Table | None, version: str, archives: Mapping[str, Archive]) -> tuple[str, bool | None]:
    """Return (human form of the archives that hold the version, whether one is a security archive).

    ("", None) when no archive is known for it: whether it is a security update is then unknown, not false.
    """
    sources = table.sources(version) if table is not None else ()
    found = [archives[s] for s in sources if s in archives and archives[s].label]
    texts = dict.fromkeys(a.text for a in found)
    return ", ".join(texts), (any(a.security for a in found) if found else None)
