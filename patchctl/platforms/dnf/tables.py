"""Reads what dnf 5 says it would do (the lines of dnf5.py): updates with advisories, artefacts, removals."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from msgspec import Struct, field

from patchctl.model.facts import Artefact, Update
from patchctl.model.text import one_line
from patchctl.model.versions import rpm
from patchctl.platforms.dnf.common import Pending, file_name, read_advisories, valid_name, worst_severity

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CVE = re.compile(r"CVE-\d{4}-\d{4,19}")
_Key = tuple[str, str, str]
"""(name, arch, version without an epoch of 0)"""


class _Lines(Struct):
    """The lines by their kind, each with a well-formed package in it."""

    rows: list[list[str]] = field(default_factory=list)
    removed: list[list[str]] = field(default_factory=list)
    skipped: list[_Key] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    installed: dict[tuple[str, str], str] = field(default_factory=dict)
    files: dict[_Key, list[str]] = field(default_factory=dict)
    sums: dict[_Key, str] = field(default_factory=dict)
    free: list[_Key] = field(default_factory=list)
    offered: list[_Key] = field(default_factory=list)
    locks: set[str] = field(default_factory=set)
    advisories: list[str] = field(default_factory=list)
    cves: list[str] = field(default_factory=list)
    repositories: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """id -> (age in seconds, whether it has advisories)"""
    strange: bool = False


def read_tables(lines: Sequence[str]) -> Pending:
    """Given the lines of dnf5.py, return what is pending; of a simulated install too (no `free` lines then)."""
    failed = next((x[8:] for x in lines if x.startswith("refresh|") and x != "refresh|ok"), "")
    if failed:
        return Pending(error=f"refreshing the metadata failed: {one_line(failed, 300)}")
    errors = [x[3:] for x in lines if x.startswith("E: ")]
    if errors or "end" not in lines:
        return Pending(error=one_line(errors[0], 300) if errors else "dnf ended without a word")
    found = _sort(lines)
    if found.strange:
        return Pending(error="dnf named a package in a way that cannot be used")
    ages = [age for age, _ in found.repositories.values()]
    if not ages or min(ages) < 0:
        return Pending(error="no metadata: no repository is enabled, or one was never refreshed")
    updates = sorted(_updates(found), key=lambda u: (u.package, u.arch))
    return Pending(
        tuple(updates), tuple(_artefacts(found, updates)),
        tuple(sorted({row[0] for row in found.removed if row[3] != "installonly"})), float(max(ages)),
        "refresh|ok" in lines,
    )  # fmt: skip


def _sort(lines: Sequence[str]) -> _Lines:
    found = _Lines()
    for line in lines:
        kind, _, rest = line.partition("|")
        row = rest.split("|")
        if kind == "row" and len(row) == 6 and valid_name(row[1], row[2], row[4]):
            found.rows.append(row)
        elif kind == "removed" and len(row) == 4 and valid_name(*row[:3]):
            found.removed.append(row)
        elif kind == "skipped" and len(row) == 4 and valid_name(*row[:3]):
            found.skipped.append((row[0], row[1], row[2]))
        elif kind in ("row", "removed", "skipped"):
            found.strange = True
        elif kind == "inst" and len(row) == 3:
            key = (row[0], row[1])
            if key not in found.installed or rpm.compare(row[2], found.installed[key]) > 0:
                found.installed[key] = row[2]
        elif kind == "file" and len(row) >= 6 and row[4].isdigit():
            found.files[row[0], row[1], row[2].removeprefix("0:")] = [*row[3:5], "|".join(row[5:])]
        elif kind == "sum" and len(row) == 4 and _SHA256.fullmatch(row[3]):
            found.sums[row[0], row[1], row[2].removeprefix("0:")] = row[3]
        elif kind == "repo" and len(row) == 3 and re.fullmatch(r"-?\d+", row[1]):
            found.repositories[row[0]] = (int(row[1]), row[2] == "updateinfo")
        else:
            _sort_words(found, line)
    return found


def _sort_words(found: _Lines, line: str) -> None:
    """Sort a line whose kind ends at a space."""
    kind, _, rest = line.partition(" ")
    row = rest.split("|")
    if kind in ("free", "all") and len(row) == 3 and valid_name(*row):
        (found.free if kind == "free" else found.offered).append((row[0], row[1], row[2].removeprefix("0:")))
    elif kind in ("free", "all"):
        found.strange = True
    elif kind == "said":
        found.said.append(rest)
    elif kind == "lock":
        found.locks.add(rest.strip())
    elif kind == "advisory":
        found.advisories.append(rest)
    elif kind == "cve":
        found.cves.append(rest)


def _updates(found: _Lines) -> Iterator[Update]:
    advisories = list(read_advisories(found.advisories))
    # A line that could not be read (a narrow terminal cuts `security` to `secu`): then "no" would be a guess.
    unclear = [line for line in found.advisories if not list(read_advisories([line]))]
    # A list with CVEs has a row for each CVE in the place of the advisory's name.
    cves = [row for row in read_advisories(found.cves) if _CVE.fullmatch(row[0])]
    names = {name for name, _ in found.installed}

    def make(key: _Key, old: str, state: str, repository: str, reason: str = "") -> Update:
        name, arch, version = key
        mine = [a for a in advisories if _between(a, key, old)]
        known = found.repositories.get(repository, (0, False))[1]
        known = known and not any(name in line for line in unclear)
        security = True if any(a[2] for a in mine) else (False if known else None)
        return Update(
            name, arch, old, version, one_line(repository, 120), security, state, reason,
            tuple(dict.fromkeys(one_line(a[0], 60) for a in mine)),
            tuple(sorted({a[0] for a in cves if _between(a, key, old)})),
            worst_severity(a[1] for a in mine if a[2]),
        )  # fmt: skip

    told: set[tuple[str, str]] = set()
    for state, name, arch, old, version, repository in found.rows:
        key = (name, arch, version)
        known = state in ("up", "down", "re") or name in names
        yield make(key, old or _installed(found, name, arch), "upgradable" if known else "new", repository)
        told.add((name, arch))
    free = {key[:2] for key in found.free}
    for key in (*found.skipped, *found.offered):
        if key[:2] in told:
            continue
        told.add((key[0], key[1]))
        held = key not in found.skipped and key[:2] not in free
        yield make(key, _installed(found, key[0], key[1]), "held" if held else "kept-back",
                   found.files.get(key, [""])[0], _why(found, key, held=held))


def _why(found: _Lines, key: _Key, *, held: bool) -> str:
    if held:
        lock = next((one for one in sorted(found.locks) if fnmatchcase(key[0], one)), "")
        return one_line(f"held by versionlock: {lock}", 200) if lock else "excluded by the host's configuration"
    words = [x.strip(" -") for x in found.said if key[0] in x]
    return one_line(words[0] if words else "dnf keeps it back", 400)


def _between(advisory: tuple[str, str, bool, str, str, str], key: _Key, old: str) -> bool:
    """Say whether an advisory's package lies after the installed version, up to and including the candidate."""
    return advisory[3:5] == key[:2] and rpm.compare(advisory[5], key[2]) <= 0 and (
        rpm.compare(advisory[5], old) > 0 if old else advisory[5] == key[2])


def _installed(found: _Lines, name: str, arch: str) -> str:
    exact = found.installed.get((name, arch)) or found.installed.get((name, "noarch"))
    return exact or next((v for (n, _), v in sorted(found.installed.items()) if n == name and arch == "noarch"), "")


def _artefacts(found: _Lines, updates: Sequence[Update]) -> Iterator[Artefact]:
    for update in updates:
        key = (update.package, update.arch, update.candidate)
        if key in found.files and key in found.sums:
            repository, size, url = found.files[key]
            yield Artefact(*_names(key), found.sums[key], int(size), file_name(key[0], key[2], key[1]),
                           one_line(url, 2000), one_line(repository, 120))


def read_files(lines: Sequence[str], origin: str) -> Iterator[Artefact]:
    """Given `file|` and `sum|` lines, yield each file of which the hash is known."""
    found = _sort(lines)
    for (name, arch, version), (_, size, url) in found.files.items():
        if valid_name(name, arch, version) and (digest := found.sums.get((name, arch, version))):
            yield Artefact(name, version, arch, digest, int(size), file_name(name, version, arch),
                           one_line(url, 2000), origin)


def _names(key: _Key) -> tuple[str, str, str]:
    return key[0], key[2], key[1]
