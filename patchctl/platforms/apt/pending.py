"""Reads what apt would do: upgrades, new packages, removals, kept back and phased ones, with artefacts and reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from msgspec import Struct, field

from patchctl.model.facts import Artefact, Package, Update
from patchctl.model.text import one_line, strip_control
from patchctl.platforms.apt.policy import Archive, origin_of, read_archives, read_tables, read_targets

_HEADINGS = {
    "The following packages have been kept back:": "kept-back",
    "The following upgrades have been deferred due to phasing:": "phased",
    "The following packages will be upgraded:": "upgradable",
    "The following NEW packages will be installed:": "new",
    "The following packages will be REMOVED:": "removed",
    "The following packages will be DOWNGRADED:": "upgradable",
    "The following held packages will be changed:": "",
}
_CHANGED = re.compile(r"   (\S+) \((\S+) => (\S+)\)")
_ONE = re.compile(r"   (\S+?)\*?(?: \((\S+)\))?")
_URI = re.compile(r"'([^' ]+)' (\S+) (\d+) SHA256:([0-9a-f]{64})")
_FILE = re.compile(r"([a-z0-9][a-z0-9+.-]*)_([A-Za-z0-9.+:~%-]+)_([a-z0-9-]+)\.deb")
_DEPENDS = re.compile(r"(?:Depends|PreDepends|Conflicts|Breaks): (.+)")
_REFRESH_FAILED = re.compile(
    r"E: |Err:|W: (Failed to fetch|Some index files failed|GPG error|An error occurred during the signature"
    r"|The repository .* (is not signed|does not have))"
)
_NOT_A_PIN = (1, 100)
"""Priorities of archives that ask to be left alone (NotAutomatic: experimental, backports): no preference."""


class Sections(Struct, frozen=True):
    """The output of apt.pending by section."""

    by_name: Mapping[str, tuple[str, ...]]

    def lines(self, name: str) -> tuple[str, ...]:
        return self.by_name.get(name, ())

    def rc(self, name: str) -> int | None:
        """Return the exit code that ends the section, or None when the section is not there or has none."""
        last = self.lines(name)[-1:] or ("",)
        match = re.fullmatch(r"rc (\d+)", last[0])
        return int(match[1]) if match else None

    def error(self, name: str) -> str:
        """Return apt's first error in the section, or ""."""
        return next((one_line(x) for x in self.lines(name) if x.startswith("E: ")), "")


class Resolution(Struct, frozen=True):
    """What one run of apt would change."""

    updates: tuple[Update, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    removals: tuple[str, ...] = ()


class _Listing(Struct):
    """(name, from, to) under each heading."""

    entries: dict[str, list[tuple[str, str, str]]] = field(default_factory=dict)

    def of(self, kind: str) -> list[tuple[str, str, str]]:
        return self.entries.get(kind, [])


def split_sections(output: str) -> Sections:
    """Split the output of apt.pending at its `@@ NAME` lines."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in strip_control(output).splitlines():
        if line.startswith("@@ "):
            current = found.setdefault(line[3:], [])
        else:
            current.append(line)
    return Sections({name: tuple(lines) for name, lines in found.items()})


def refresh_problem(sections: Sections) -> str | None:
    """Return None if lists were not refreshed, "" if they were, else what went wrong.

    apt-get update exits 0 when a source is down and old lists are used instead: its words count, not its exit code.
    """
    if "refresh" not in sections.by_name:
        return None
    failed = [one_line(x) for x in sections.lines("refresh") if _REFRESH_FAILED.match(x)]
    if failed:
        return failed[0]
    rc = sections.rc("refresh")
    return "" if rc == 0 else f"apt-get update ended with {rc}"


def missing_lists(sections: Sections) -> tuple[str, ...]:
    """Return the lists that a configured source should have given but that are not there."""
    missing = (x.removeprefix("missing ") for x in sections.lines("targets") if x.startswith("missing "))
    return tuple(x.partition("|")[0] for x in missing)


def read_resolution(sections: Sections, installed: Sequence[Package] = (), held: Sequence[str] = ()) -> Resolution:
    """Return what the `upgrade` section would change, with origins, artefacts and the reasons of what stays behind."""
    listing = _read_listing(sections.lines("upgrade"))
    artefacts = read_artefacts(sections.lines("upgrade"))
    archives = {**read_archives(sections.lines("sources")), **read_targets(sections.lines("targets"))}
    tables = {t.name: t for t in read_tables(sections.lines("versions"))}
    arches = _Arches(installed, artefacts, [n for kind in listing.entries.values() for n, _, _ in kind])
    updates: list[Update] = []
    for kind in ("upgradable", "new", "phased", "kept-back"):
        for name, old, new in listing.of(kind):
            origin, security = origin_of(tables.get(name), new, archives)
            state, reason = _why(name, kind, sections, held)
            table = tables.get(name)
            percent = dict(table.phased).get(new) if table is not None else None
            if percent is not None and state == "kept-back":  # older apt names no cause for these
                state, reason = "phased", f"offered to {percent}% of hosts so far, not to this one"
            plain, arch = name.partition(":")[0], arches.of(name, new)
            updates.append(Update(plain, arch, old, new, origin, security, state, reason))
    updates += _pinned(sections, archives, arches, {u.package for u in updates})
    removals = tuple(name for name, _, _ in listing.of("removed"))
    origins = {(u.package, u.candidate): u.origin for u in updates}
    known = tuple(_with_origin(a, origins) for a in artefacts)
    return Resolution(tuple(sorted(updates, key=lambda u: (u.package, u.arch))), known, removals)


class _Arches:
    """Finds the architecture of a name as apt writes it: only foreign ones are spelled out (libc6:i386)."""

    def __init__(self, installed: Sequence[Package], artefacts: Sequence[Artefact], names: Sequence[str]) -> None:
        spelled = {name for name in names if ":" in name}
        self._files = {
            (a.package, a.version): a.arch for a in artefacts if f"{a.package}:{a.arch}" not in spelled
        }  # fmt: skip
        native = next((p.arch for p in installed if p.name == "dpkg"), "")
        self._installed = {p.name: p.arch for p in installed if p.arch not in (native, "all")}
        self._installed |= {p.name: p.arch for p in installed if p.arch in (native, "all")}

    def of(self, name: str, version: str) -> str:
        """Return the architecture that the new version has, else that of the installed one, else ""."""
        plain, _, arch = name.partition(":")
        return arch or self._files.get((plain, version), "") or self._installed.get(plain, "")


def _with_origin(artefact: Artefact, origins: Mapping[tuple[str, str], str]) -> Artefact:
    origin = origins.get((artefact.package, artefact.version), "")
    return Artefact(
        artefact.package, artefact.version, artefact.arch, artefact.sha256, artefact.size, artefact.filename,
        artefact.uri, origin,
    )  # fmt: skip


def _read_listing(lines: Sequence[str]) -> _Listing:
    listing = _Listing()
    kind = ""
    for line in lines:
        if not line.startswith("   "):
            kind = _HEADINGS.get(line.strip(), "")
        elif kind and (match := _CHANGED.fullmatch(line)):
            listing.entries.setdefault(kind, []).append((match[1], match[2], match[3]))
        elif kind and (match := _ONE.fullmatch(line)):
            version = match[2] or ""  # apt shows none for what would be removed
            entry = (match[1], version, "") if kind == "removed" else (match[1], "", version)
            listing.entries.setdefault(kind, []).append(entry)
    return listing


def read_artefacts(lines: Sequence[str]) -> tuple[Artefact, ...]:
    """Read --print-uris lines. The base name is taken apart and checked; an epoch in it is written as %3a."""
    found: list[Artefact] = []
    for line in lines:
        match = _URI.fullmatch(line)
        parts = _FILE.fullmatch(match[2]) if match else None
        if match and parts:
            version = unquote(parts[2])
            found.append(Artefact(parts[1], version, parts[3], match[4], int(match[3]), match[2], match[1]))
    return tuple(found)


def _why(name: str, kind: str, sections: Sections, held: Sequence[str]) -> tuple[str, str]:
    """Return (state, reason) of an update: for a kept-back one, down to the cause."""
    if kind == "phased":
        return "phased", "its distributor rolls it out in phases, and this host's turn has not come"
    if kind != "kept-back":
        return kind, ""
    if name in held or name.partition(":")[0] in held:
        return "held", "held on the host (apt-mark hold)"
    return "kept-back", _root_cause(name, sections, held, ()) or "apt keeps it back and names no reason"


def _root_cause(name: str, sections: Sections, held: Sequence[str], above: tuple[str, ...]) -> str:
    """Return what a kept-back package would need, followed to a held package or a removal; "" if apt names nothing."""
    lines = sections.lines(f"why {name}")
    for line in lines:
        if match := _DEPENDS.search(line):
            needs = one_line(match[1], 160)
            other = needs.partition(" ")[0].partition(":")[0]
            if other in held:
                return f"needs {needs}; {other} is held"
            deeper = "" if other in above else _root_cause(other, sections, held, (*above, name))
            return f"needs {needs}" + (f"; {other} {deeper}" if deeper else "")
    listing = _read_listing(lines)
    if removed := [n for n, _, _ in listing.of("removed")]:
        return f"would remove {', '.join(removed[:8])}"
    if changed := [n for n, _, _ in listing.of("upgradable") if n in held]:
        return f"needs a newer {changed[0]}, which is held"
    new = [n for n, _, _ in listing.of("new")]
    return f"would install {', '.join(new[:8])}" if new else ""


def _pinned(
    sections: Sections, archives: Mapping[str, Archive], arches: _Arches, known: set[str]
) -> list[Update]:
    """Return the versions that a preference keeps away from installed packages."""
    found: list[Update] = []
    for table in read_tables(sections.lines("pinned")):
        newest, priority, sources = table.versions[0] if table.versions else ("", 0, ())
        plain = table.name.partition(":")[0]
        if plain in known or newest in ("", table.installed) or priority in _NOT_A_PIN or not sources:
            continue
        own = next((p for v, p, _ in table.versions if v == table.installed), 0)
        origin, security = origin_of(table, newest, archives)
        reason = f"a preference keeps {table.installed} (priority {own}, newest has {priority})"
        arch = arches.of(table.name, newest)
        found.append(Update(plain, arch, table.installed, newest, origin, security, "pinned", reason))
    return found
