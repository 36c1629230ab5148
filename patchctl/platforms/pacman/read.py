"""Reads a snapshot of an Arch host into HostFacts. What is missing stays None, with its reason."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import Artefact, HostFacts, Package, Update
from patchctl.model.text import one_line, strip_control
from patchctl.model.versions import pacman
from patchctl.platforms import linux
from patchctl.platforms.sections import Sections, split_sections

_UPGRADE = re.compile(r"(\S+) (\S+) -> (\S+)( \[ignored\])?")
_FILE = re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+:~-]{0,240}\.pkg\.tar(?:\.[a-z0-9]+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_URI = re.compile(r"(?:https?|file)://[\x21-\x7e]+")
_CONFLICT = re.compile(r"([^<>=]+)(?:([<>]=?|=)(.+))?")
MAX_SIGNATURE = 8192


class Listed(Struct, frozen=True):
    """One line of the full upgrade that pacman would make."""

    repository: str
    name: str
    version: str
    size: int
    uri: str
    arch: str = ""
    filename: str = ""
    sha256: str = ""
    signature: str = ""
    replaces: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    """As pacman writes them: NAME, or NAME<VERSION with one of < <= = >= >."""


def read_host(snapshot: Snapshot) -> HostFacts:
    """Return everything that the snapshot shows."""
    facts = linux.read_common(snapshot)
    unknown = dict(facts.unknown)
    listed = snapshot.output("pacman.packages")
    if not listed:
        unknown["packages"] = snapshot.reason("pacman.packages") or "pacman's database lists no packages"
    else:
        facts = replace(facts, packages=tuple(read_packages(listed)))
    holds = snapshot.output("pacman.holds")
    if holds is None:
        unknown["held"] = snapshot.reason("pacman.holds")
    else:
        facts = replace(facts, held=tuple(one_line(x, 100) for x in holds.splitlines() if x.strip()))
    audit = snapshot.output("pacman.audit")
    if audit is None or facts.packages is None:
        unknown["broken"] = snapshot.reason("pacman.audit") or unknown.get("packages", "")
    else:
        facts = replace(facts, broken=read_audit(audit, facts.packages))
    facts, reason = _with_updates(facts, snapshot)
    if reason:
        unknown["updates"] = reason
    if facts.metadata_age is None:
        unknown["metadata_age"] = snapshot.reason("pacman.lists") or "no package databases"
    reboot, reason = linux.read_module_reboot(snapshot, "pacman.reboot")
    if reason:
        unknown["reboot"] = reason
    return linux.read_surroundings(replace(facts, reboot=reboot), snapshot, "pacman", unknown)


def read_packages(text: str) -> list[Package]:
    """Given pacman.packages, return what is installed."""
    found = []
    for line in strip_control(text).splitlines():
        parts = line.split("|")
        if len(parts) == 4 and parts[0] and parts[1]:
            found.append(Package(parts[0], parts[1], parts[2], parts[3]))
    return found


def read_audit(text: str, packages: Sequence[Package]) -> tuple[str, ...]:
    """Return what is broken: unmet dependencies, entries cut off in the middle, a lock that nobody holds."""
    found: list[str] = []
    for line in strip_control(text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "stale":
            found.append(f"an earlier pacman was interrupted: its lock {one_line(rest, 100)} is left, held by nobody")
        elif word == "no-desc":
            found.append(f"the database entry of {one_line(rest, 100).rstrip('/')} is damaged")
        elif word == "check" and rest.startswith("error:"):
            found.append(one_line(rest))
    names = [p.name for p in packages]
    found += [f"{name} has more than one database entry" for name in sorted({n for n in names if names.count(n) > 1})]
    return tuple(found)


def _with_updates(facts: HostFacts, snapshot: Snapshot) -> tuple[HostFacts, str]:
    """Return the facts with updates and the age of the databases, and why updates are unknown ("" = known)."""
    facts = linux.read_lists_age(facts, snapshot.output("pacman.lists"))
    output = snapshot.output("pacman.pending")
    if output is None:
        return facts, snapshot.reason("pacman.pending")
    sections = split_sections(output)
    problem = refresh_problem(sections)
    if problem == "":
        facts = replace(facts, metadata_age=0.0)
    elif problem:
        return facts, f"refreshing the package databases failed: {problem}"
    states = [x for x in sections.lines("repos") if x.startswith(("present ", "missing "))]
    if not states:
        return facts, "no repository is configured"
    if missing := [x[8:] for x in states if x.startswith("missing ")]:
        return facts, f"repository {one_line(missing[0], 80)} was never refreshed"
    if why := linux.why_stale(facts.metadata_age, "the package databases"):
        return facts, why
    if sections.rc("upgrades") not in (0, 1):
        return facts, sections.error("upgrades") or "pacman could not list upgrades"
    if facts.packages is None:
        return facts, "the installed packages are unknown"
    updates, artefacts, removals = read_pending(sections, facts.packages)
    return replace(facts, updates=updates, artefacts=artefacts, removals=removals), ""


def refresh_problem(sections: Sections) -> str | None:
    """Return None if the databases were not refreshed, "" if they were, else what went wrong."""
    if "refresh" not in sections.by_name:
        return None
    rc = sections.rc("refresh")
    errors = [x for x in sections.lines("refresh") if x.startswith("error:")]
    if rc == 0 and not errors:
        return ""
    return one_line(errors[0]) if errors else f"pacman -Sy ended with {rc}"


def read_pending(
    sections: Sections, packages: Sequence[Package]
) -> tuple[tuple[Update, ...], tuple[Artefact, ...], tuple[str, ...]]:
    """Return (updates, artefacts, removals) of the full upgrade. Whether one is about security pacman does not know."""
    installed = {p.name: p for p in packages}
    listed = {one.name: one for one in read_plan(sections)}
    failed = sections.rc("plan") != 0
    why = sections.error("plan") or "the full upgrade leaves it out"
    updates: list[Update] = []
    for line in sections.lines("upgrades"):
        match = _UPGRADE.fullmatch(line)
        if match is None:
            continue
        name, old, new = match[1], match[2], match[3]
        one = listed.get(name)
        arch = (one.arch if one else "") or (installed[name].arch if name in installed else "")
        if match[4]:
            state, reason = "held", "ignored on the host (IgnorePkg or IgnoreGroup in pacman.conf)"
        elif failed or one is None:
            state, reason = "kept-back", one_line(f"pacman does not upgrade it: {why}")
        else:
            state, reason = "upgradable", ""
        updates.append(Update(name, arch, old, new, one.repository if one else "", None, state, reason))
    known = {u.package for u in updates}
    if not failed:
        for one in listed.values():
            if one.name not in known:
                old = installed[one.name].version if one.name in installed else ""
                state = "upgradable" if old else "new"
                updates.append(Update(one.name, one.arch, old, one.version, one.repository, None, state))
    return (
        tuple(sorted(updates, key=lambda u: u.package)), () if failed else _artefacts(sections, listed),
        () if failed else _removed(listed, {name: package.version for name, package in installed.items()}),
    )  # fmt: skip


def read_resolution(sections: Sections) -> HostFacts:
    """Return what installing some packages would change, from the answer to resolve_command."""
    if sections.rc("plan") != 0:
        reason = sections.error("plan") or refresh_problem(sections) or "pacman could not work out this change"
        return HostFacts(unknown=(("updates", reason),))
    listed = {one.name: one for one in read_plan(sections)}
    files = _artefacts(sections, listed)
    if bare := sorted(listed.keys() - {a.package for a in files}):
        reason = f"no hash or no signature is known for {one_line(bare[0], 80)}, and this host demands signed packages"
        return HostFacts(unknown=(("updates", reason),))
    updates = tuple(
        Update(o.name, o.arch, "", o.version, o.repository, None, "upgradable") for o in listed.values()
    )
    have = dict(line.partition(" ")[::2] for line in sections.lines("have"))
    return HostFacts(updates=updates, artefacts=files, removals=_removed(listed, have))


def read_plan(sections: Sections) -> list[Listed]:
    """Return the lines of the `plan` section, completed by what the databases and `sigs` say of each."""
    described: dict[tuple[str, str], list[str]] = {}
    for line in sections.lines("db"):
        parts = line.split("|")
        if len(parts) in (8, 9):  # older snapshots know nothing of conflicts
            described[parts[0], parts[1]] = [*parts, ""][:9]
    beside = dict(line.partition(" ")[::2] for line in sections.lines("sigs"))
    found = []
    for line in sections.lines("plan"):
        parts = line.split("|")
        if len(parts) != 5 or not parts[3].isdigit():
            continue
        repository, name, version, size, uri = parts
        more = described.get((name, version), [""] * 9)
        replaces = tuple(re.split(r"[<>=]", word)[0] for word in more[7].split())
        signature = more[6] or beside.get(name, "")
        found.append(Listed(
            one_line(repository, 80), name, version, int(more[4] or size) if (more[4] or size).isdigit() else int(size),
            uri, one_line(more[2], 40), more[3], more[5], signature, replaces,
            tuple(more[8].split()),
        ))  # fmt: skip
    return found


def _artefacts(sections: Sections, listed: Mapping[str, Listed]) -> tuple[Artefact, ...]:
    """Return the files, as far as their hash is known, and their signature wherever the host demands one."""
    levels = dict(x[6:].partition(" ")[::2] for x in sections.lines("repos") if x.startswith("level "))
    found = []
    for one in listed.values():
        needs_signature = levels.get(one.repository, "PackageRequired") == "PackageRequired"
        if not (_FILE.fullmatch(one.filename) and _SHA256.fullmatch(one.sha256) and _URI.fullmatch(one.uri)):
            continue
        if not is_signature(one.signature) and (one.signature or needs_signature):
            continue
        found.append(Artefact(
            one.name, one.version, one.arch, one.sha256, one.size, one.filename, one.uri, one.repository, one.signature
        ))  # fmt: skip
    return tuple(found)


def is_signature(text: str) -> bool:
    """Say whether this is base64 of something that can be a detached signature."""
    try:
        return 0 < len(base64.b64decode(text, validate=True)) <= MAX_SIGNATURE
    except (binascii.Error, ValueError):
        return False


def _removed(listed: Mapping[str, Listed], installed: Mapping[str, str]) -> tuple[str, ...]:
    """Return the installed packages that have to go: a new one replaces them, or does not live beside them.

    `installed` is name -> version. Conflicts with what packages provide are left to pacman, which then refuses.
    """
    gone = {old for one in listed.values() for old in one.replaces if old in installed and old != one.name}
    after = {**installed, **{name: one.version for name, one in listed.items()}}
    for one in listed.values():
        for word in one.conflicts:
            match = _CONFLICT.fullmatch(word)
            name = match[1] if match else ""
            if match and name in installed and name != one.name and _holds(after[name], match[2], match[3]):
                gone.add(name)
    return tuple(sorted(gone))


def _holds(version: str, sign: str | None, wanted: str | None) -> bool:
    """Say whether a version is as a dependency has it (alpm: a dependency without a release means any release)."""
    if not sign or not wanted:
        return True
    order = pacman.compare(version, wanted)
    return {0: "=", -1: "<", 1: ">"}[order] in sign
