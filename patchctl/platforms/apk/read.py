"""Reads a snapshot of an Alpine host into HostFacts. What is missing stays None, with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import Artefact, HostFacts, Package, Update
from patchctl.model.text import one_line, strip_control
from patchctl.platforms import linux
from patchctl.platforms.sections import Sections, split_sections

_CHANGE = re.compile(r"\(\d+/\d+\) (Upgrading|Installing|Purging|Downgrading|Replacing|Reinstalling) (\S+) \((.+)\)")
_NEWER = re.compile(r"(\S+)\s+<\s+(\S+)(?: .*)?")
_PIN = re.compile(r"[a-z0-9].*?(?=[<>=~@])")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,240}\.apk")
_URI = re.compile(r"https?://[\x21-\x7e]+")
_ARCH = re.compile(r"[a-z0-9_]{1,20}")


def read_host(snapshot: Snapshot) -> HostFacts:
    """Return everything that the snapshot shows."""
    facts = linux.read_common(snapshot)
    unknown = dict(facts.unknown)
    listed = snapshot.output("apk.packages")
    if not listed:
        unknown |= dict.fromkeys(("packages", "broken"), snapshot.reason("apk.packages") or "apk lists no packages")
    else:
        packages, broken = read_packages(listed)
        facts = replace(facts, packages=packages, broken=broken)
    world = snapshot.output("apk.world")
    if world is None:
        unknown["held"] = snapshot.reason("apk.world")
    else:
        facts = replace(facts, held=tuple(read_pins(world)))
    facts, reason = _with_updates(facts, snapshot)
    if reason:
        unknown["updates"] = reason
    if facts.metadata_age is None:
        unknown["metadata_age"] = snapshot.reason("apk.lists") or "no index was ever fetched"
    reboot, reason = linux.read_module_reboot(snapshot, "apk.reboot")
    if reason:
        unknown["reboot"] = reason
    return linux.read_surroundings(replace(facts, reboot=reboot), snapshot, "apk", unknown)


def read_resolution(sections: Sections) -> HostFacts:
    """Return what upgrading some packages would change, and the files for it."""
    if problem := refresh_problem(sections):
        return HostFacts(unknown=(("updates", f"refreshing the indexes failed: {problem}"),))
    if sections.rc("upgrade") != 0:
        return HostFacts(unknown=(("updates", sections.error("upgrade") or "apk could not work out this change"),))
    arches = dict(line.partition("|")[::2] for line in sections.lines("have"))
    packages = [Package(name, "", arch) for name, arch in arches.items()]
    updates, removals = read_pending(sections, packages, ())
    files = read_files(sections)
    without = sorted({u.package for u in updates} - {a.package for a in files})
    if without:
        said = next((x for x in sections.lines("files") if x.startswith(("ERROR:", "WARNING:"))), "")
        reason = f"{one_line(without[0], 80)} could not be fetched: {one_line(said) or 'no repository has this file'}"
        return HostFacts(unknown=(("updates", reason),))
    return HostFacts(updates=tuple(updates), artefacts=files, removals=tuple(removals))


def read_files(sections: Sections, *, cached: bool = False) -> tuple[Artefact, ...]:
    """Return the files that the host hashed; those without an address, which lie in its cache, only if `cached`.

    A file's architecture is its own (noarch); indexes and apk's database name the repository's instead.
    """
    found = []
    for line in sections.lines("files"):
        parts = line.split("|")
        if len(parts) != 6 or not _SHA256.fullmatch(parts[3]) or not parts[4].isdigit():
            continue
        name, version, arch, sha256, size, uri = parts
        filename = f"{name}-{version}.apk"
        known = cached if not uri else bool(_URI.fullmatch(uri)) and uri.endswith(f"/{filename}")
        if _FILE.fullmatch(filename) and _ARCH.fullmatch(arch) and known:
            found.append(Artefact(name, version, arch, sha256, int(size), filename, uri, ""))
    return tuple(found)


def refresh_problem(sections: Sections) -> str:
    """Return what went wrong when the indexes were refreshed, "" if nothing did or they were not."""
    if "refresh" not in sections.by_name:
        return ""
    # apk update goes on with the other repositories when one is down, and says so in a warning.
    said = [x for x in sections.lines("refresh") if x.startswith(("ERROR:", "WARNING:"))]
    if said:
        return one_line(said[0])
    return "" if sections.rc("refresh") == 0 else f"apk update ended with {sections.rc('refresh')}"


def read_packages(text: str) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Given apk.packages, return (what is installed, what apk could not put in place whole)."""
    found, broken = [], []
    for line in strip_control(text).splitlines():
        parts = line.split("|")
        if len(parts) == 5 and parts[0] and parts[1]:
            found.append(Package(parts[0], parts[1], parts[2], parts[3]))
            if parts[4]:
                broken.append(f"{one_line(parts[0], 100)} (broken files or scripts: {one_line(parts[4], 20)})")
    return tuple(found), tuple(broken)


def read_pins(world: str) -> list[str]:
    """Given /etc/apk/world, return the packages that it holds at a version or takes from a tagged repository."""
    found = (_PIN.match(line.strip()) for line in strip_control(world).splitlines())
    return [one_line(match[0], 100) for match in found if match]


def read_pending(
    sections: Sections, packages: Sequence[Package], pins: Sequence[str]
) -> tuple[list[Update], list[str]]:
    """Return (updates, removals). Whether one is about security apk does not know: unknown."""
    whole: Mapping[str, Package] = {f"{p.name}-{p.version}": p for p in packages}
    arches = {p.name: p.arch for p in packages}
    updates: dict[str, Update] = {}
    removals: list[str] = []
    for line in sections.lines("upgrade"):
        match = _CHANGE.fullmatch(line.strip())
        if match is None:
            continue
        verb, name, versions = match[1], match[2].partition("@")[0], match[3]
        old, arrow, new = versions.partition(" -> ")
        if verb == "Purging":
            removals.append(name)
        elif verb == "Installing":
            updates[name] = Update(name, "", "", versions, state="new")
        elif arrow and old != new:
            updates[name] = Update(name, arches.get(name, ""), old, new)
    for line in sections.lines("newer"):
        match = _NEWER.fullmatch(line.strip())
        package = whole.get(match[1]) if match else None
        if match is None or package is None or package.name in updates:
            continue
        state, reason = "kept-back", "apk upgrade leaves it at its version"
        if package.name in pins:
            state, reason = "held", "pinned in /etc/apk/world"
        updates[package.name] = Update(
            package.name, package.arch, package.version, match[2], "", None, state, reason)
    return sorted(updates.values(), key=lambda u: u.package), removals


def _with_updates(facts: HostFacts, snapshot: Snapshot) -> tuple[HostFacts, str]:
    facts = linux.read_lists_age(facts, snapshot.output("apk.lists"))
    output = snapshot.output("apk.pending")
    if output is None:
        return facts, snapshot.reason("apk.pending")
    sections = split_sections(output)
    if problem := refresh_problem(sections):
        return facts, f"refreshing the indexes failed: {problem}"
    if "refresh" in sections.by_name:
        facts = replace(facts, metadata_age=0.0)
    if facts.metadata_age is None:
        return facts, "no index was ever fetched: use --refresh always"
    if why := linux.why_stale(facts.metadata_age, "the indexes"):
        return facts, why
    for part in ("newer", "upgrade"):
        if sections.rc(part) != 0:
            return facts, sections.error(part) or f"apk could not list {part}"
    if facts.packages is None or facts.held is None:
        return facts, "the installed packages or /etc/apk/world are unknown"
    updates, removals = read_pending(sections, facts.packages, facts.held)
    return replace(facts, updates=tuple(updates), removals=tuple(removals)), ""
