"""Reads what zypper says is pending: patches with CVEs, packages, locks, the full upgrade, and the files behind it.

zypper's XML is read by its tags and attributes, not by an XML parser: it comes mixed with other output, from a host.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from patchctl.model.facts import Artefact, HostFacts, Update
from patchctl.model.text import one_line
from patchctl.model.versions import rpm
from patchctl.platforms.sections import Sections

_UPDATE = re.compile(r"<update ([^>]*?)/?>(.*?)(?=<update |</update-list>|\Z)", re.DOTALL)
_ATTRIBUTE = re.compile(r'([a-z-]+)="([^"]*)"')
_MEMBER = re.compile(r"(?:Conflicts\s+: |\s+)(?P<package>\S+) < (?P<version>\S+)")
_LOCK_ROW = re.compile(r"^\s*(\d+) +\| +(\S.*?) +\| +(\S+) +\| +(\S.*?) *$", re.MULTILINE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9@._+~^-]{0,240}\.rpm")
_URI = re.compile(r"(?:https?|ftp|file)://[\x21-\x7e]+")
_SEVERITIES = ("low", "moderate", "important", "critical")
REBOOT_MARK = "asks for a reboot"
"""In an update's origin: one of its patches has reboot_suggested, of which rpm knows nothing."""
_KEPT_BACK = "zypper keeps it back: its dependencies, its vendor or its repository's priority"
_TRANSACTIONAL = "the root file system is read-only: only transactional-update changes this host"
_GOOD = (0, 100, 101, 102, 103)
"""zypper's exit codes that are no failure: patches pending, a reboot or a restart of zypper suggested."""


class Patch(Struct, frozen=True):
    """One patch that is needed, with the packages it is about: (NAME or NAME.ARCH, version)."""

    name: str
    security: bool
    severity: str
    cves: tuple[str, ...]
    reboot: bool
    alias: str
    members: frozenset[tuple[str, str]] = frozenset()


class Pending(Struct, frozen=True):
    updates: tuple[Update, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    removals: tuple[str, ...] = ()


def message(text: str) -> str:
    """Return the first error that zypper's output names, as one line; "" when it names none."""
    found = re.search(r'<message type="error">(.*?)</message>', text, re.DOTALL) or re.search(
        r"^(?:Error|error|Problem)[: ]+(.+)$", text, re.MULTILINE
    )
    words = found[1] if found else ("" if "<" in text else text)
    return one_line(html.unescape(words))


def describe_refresh(sections: Sections) -> str | None:
    """Return None if the repositories were not refreshed, "" if all were, else what went wrong."""
    if "refresh" not in sections.by_name:
        return None
    rc = sections.rc("refresh")
    if rc == 0:
        return ""
    lines = [x for x in sections.lines("refresh")[:-1] if x.strip()]
    telling = [x for x in lines if re.search(
        r"rror|ailed|annot|could not|not valid|rejected|verification|locked|Skipping", x)]
    return one_line(" ".join(telling[:3]) or f"zypper refresh ended with {rc}")


class Lock(Struct, frozen=True):
    """One lock of the host. `name` may be a pattern; `only` says of which versions or repository, "" of all."""

    name: str
    kind: str = "package"
    only: str = ""

    def __str__(self) -> str:
        return " ".join(x for x in ("" if self.kind == "package" else self.kind, self.name, self.only) if x)


def why_no_locks(sections: Sections) -> str:
    """Return why the locks could not be read, "" if they could: a list that is not there is not one without locks."""
    text = "\n".join(sections.lines("locks"))
    rc = sections.rc("locks")
    if rc != 0:
        return message(text) or f"zypper locks ended with {rc}"
    size = re.search(r'<locks size="(\d+)"', text)
    if size and len(re.findall(r"<lock ", text)) != int(size[1]):
        return f"zypper names {size[1]} locks and does not list them"
    return "" if size or _LOCK_ROW.search(text) or "no package locks" in text else "zypper does not list the locks"


def read_locks(sections: Sections) -> tuple[Lock, ...]:
    """Return the locks that keep what they name as it is. zypper before 1.14 lists them in a table, -x or not."""
    text = "\n".join(sections.lines("locks"))
    found = []
    for _, name, kind, repo in _LOCK_ROW.findall(text):
        only = "" if repo == "(any)" else f"(from {repo})"
        found.append(Lock(one_line(name, 100), one_line(kind, 20), one_line(only, 100)))
    for body in re.findall(r"<lock [^>]*>(.*?)</lock>", text, re.DOTALL):
        bounds = [_attributes(x) for x in re.findall(r"<range ([^>]*?)/?>", body)]
        only = "".join(
            f"{x.get('flag', '')} {_plain(x.get('epoch', '0') + ':' + x.get('version', ''))}"
            f"{'-' * bool(x.get('release'))}{x.get('release', '')}" for x in bounds)
        only += "".join(f" (from {x})" for x in re.findall(r"<repo>(.*?)</repo>", body))
        kinds = re.findall(r"<type>(.*?)</type>", body) or ["package"]
        found += [
            Lock(one_line(html.unescape(name), 100), one_line(kind, 20), one_line(html.unescape(only), 100))
            for name in re.findall(r"<name>(.*?)</name>", body) for kind in kinds
        ]
    return tuple(found)


def read_patches(sections: Sections) -> list[Patch]:
    """Return the needed patches, each with its packages."""
    members: dict[str, set[tuple[str, str]]] = {}
    current = ""
    for line in sections.lines("members"):
        if match := re.match(r"Name\s+: (\S+)", line):
            current = match[1]
        elif match := _MEMBER.match(line):
            members.setdefault(current, set()).add((match["package"], _plain(match["version"])))
    found = []
    for own, body in _updates(sections, "patches"):
        if own.get("kind") == "patch":
            source = _source(body)
            found.append(Patch(
                own.get("name", ""), own.get("category") == "security", own.get("severity", ""),
                tuple(dict.fromkeys(re.findall(r'<issue type="cve" id="(CVE-[0-9-]+)"', body))),
                own.get("restart") == "true", source, frozenset(members.get(own.get("name", ""), ())),
            ))  # fmt: skip
    return found


def read_pending(sections: Sections, *, transactional: bool = False) -> Pending:
    """Return the host's updates with patches, CVEs, locks and files.

    `transactional`: / is read-only, only transactional-update can change the host.
    """
    patches = read_patches(sections)
    locks = read_locks(sections)
    listed = {(own["name"], own["arch"]): (own, body) for own, body in _packages(sections, "updates")}
    # What is locked in one repository only is in the shorter list, and not in the other.
    whole = listed | {(own["name"], own["arch"]): (own, body) for own, body in _packages(sections, "all")}
    plan, removals, failed = _read_plan(sections)
    updates: list[Update] = []
    for (name, arch), (own, body) in whole.items():
        version = _plain(own["edition"])
        state, reason = "upgradable", ""
        lock = next((one for one in locks if one.kind == "package" and _matches(one.name, name)), None)
        taken = (name, arch) in listed and (name, version) in plan and not failed
        if lock is not None and not taken:
            state, reason = "held", one_line(f"locked on the host (zypper addlock): {lock}", 200)
        elif failed:
            state, reason = "kept-back", one_line(f"zypper does not update it: {failed}")
        elif not taken:
            state, reason = "kept-back", _KEPT_BACK
        elif transactional:
            state, reason = "kept-back", _TRANSACTIONAL
        updates.append(_describe(
            Update(name, arch, _plain(own.get("edition-old", "")), version, _source(body), None, state, reason), patches
        ))  # fmt: skip
    known = {(u.package, u.candidate) for u in updates}
    updates += [
        _describe(Update(name, arch, old, version, "", None, "upgradable" if old else "new"), patches)
        for (name, version), (arch, old) in plan.items() if (name, version) not in known and not transactional
    ]
    files = () if failed or transactional else read_files(sections)
    return Pending(
        tuple(sorted(updates, key=lambda u: (u.package, u.arch))), files, () if failed else removals
    )


def read_resolution(sections: Sections) -> HostFacts:
    """Return what installing some packages would change."""
    plan, removals, failed = _read_plan(sections)
    if failed or sections.rc("plan") is None:
        return HostFacts(unknown=(("updates", failed or "zypper could not work out this change"),))
    updates = tuple(
        Update(name, arch, before, version, "", None, "upgradable") for (name, version), (arch, before) in plan.items()
    )
    return HostFacts(updates=updates, artefacts=read_files(sections), removals=removals)


def _updates(sections: Sections, name: str) -> list[tuple[dict[str, str], str]]:
    text = "\n".join(sections.lines(name))
    return [(_attributes(match[1]), match[2]) for match in _UPDATE.finditer(text)]


def _packages(sections: Sections, name: str) -> list[tuple[dict[str, str], str]]:
    return [
        (own, body) for own, body in _updates(sections, name)
        if own.get("kind") == "package" and {"name", "arch", "edition"} <= own.keys()
    ]


def _attributes(text: str) -> dict[str, str]:
    return {key: one_line(html.unescape(value), 200) for key, value in _ATTRIBUTE.findall(text)}


def _source(body: str) -> str:
    match = re.search(r'<source [^>]*alias="([^"]*)"', body)
    return one_line(html.unescape(match[1]), 80) if match else ""


def _read_plan(
    sections: Sections
) -> tuple[dict[tuple[str, str], tuple[str, str]], tuple[str, ...], str]:
    """Return ({(name, version): (arch, old version)}, removals, why there is no plan)."""
    text = "\n".join(sections.lines("plan"))
    rc = sections.rc("plan")
    if rc not in _GOOD:
        return {}, (), message(text) or f"zypper ended with {rc}"
    if re.search(r"<problem>|<resolver-problem|type=\"conflict\"", text):
        return {}, (), message(text) or "the solver found a problem"
    plan: dict[tuple[str, str], tuple[str, str]] = {}
    removals: list[str] = []
    for match in re.finditer(r"<(to-[a-z-]+|_to-[a-z-]+)>(.*?)</\1>", text, re.DOTALL):
        for solvable in re.findall(r"<solvable ([^>]*)>", match[2]):
            own = _attributes(solvable)
            if own.get("type") != "package" or "name" not in own:
                continue
            if match[1] == "to-remove":
                removals.append(own["name"])
            else:
                old, new = _plain(own.get("edition-old", "")), _plain(own.get("edition", ""))
                plan[own["name"], new] = (own.get("arch", ""), old)
    return plan, tuple(removals), ""


def _describe(update: Update, patches: Sequence[Patch]) -> Update:
    """Return the update with what its patches say. Without a patch in a repository that has none, it is unknown
    whether it is about security.
    """
    names = (update.package, f"{update.package}.{update.arch}")
    mine = [p for p in patches if any(
        name in names and rpm.compare(version, update.candidate) <= 0 for name, version in p.members)]
    security = any(p.security for p in mine) if mine else None
    if not mine and update.origin and any(p.alias == update.origin for p in patches):
        security = False
    severity = max((p.severity for p in mine if p.severity in _SEVERITIES), key=_SEVERITIES.index, default="")
    asking = [p.name for p in mine if p.reboot]
    origin = ", ".join(x for x in (update.origin, f"{asking[0]} {REBOOT_MARK}" if asking else "") if x)
    return Update(
        update.package, update.arch, update.installed, update.candidate, origin, security, update.state, update.reason,
        tuple(p.name for p in mine), tuple(dict.fromkeys(c for p in mine for c in p.cves)), severity,
    )  # fmt: skip


def read_files(sections: Sections) -> tuple[Artefact, ...]:
    """Return the files that the repositories' lists name, with address and hash."""
    bases = _bases(sections)
    found: dict[tuple[str, str, str], Artefact] = {}
    for line in sections.lines("files"):
        parts = line.split("|")
        if len(parts) != 7 or not _SHA256.fullmatch(parts[3]) or not parts[4].isdigit():
            continue
        name, version, arch, sha256, size, location, alias = parts
        filename = location.rpartition("/")[2]
        uri = f"{bases.get(alias, '')}/{location}"
        if not _FILE.fullmatch(filename) or ".." in location or not _URI.fullmatch(uri):
            continue
        found.setdefault((name, _plain(version), arch), Artefact(
            one_line(name, 200), one_line(_plain(version), 200), arch, sha256, int(size), filename, uri,
            one_line(alias, 80),
        ))  # fmt: skip
    return tuple(found.values())


def _bases(sections: Sections) -> Mapping[str, str]:
    text = "\n".join(sections.lines("repos"))
    found = {}
    for match in re.finditer(r"<repo ([^>]*)>(.*?)</repo>", text, re.DOTALL):
        url = re.search(r"<url>(.*?)</url>", match[2], re.DOTALL)
        if url:
            found[_attributes(match[1]).get("alias", "")] = html.unescape(url[1].strip()).split("?")[0].rstrip("/")
    return found


def _matches(lock: str, name: str) -> bool:
    """Say whether a lock's name, which may be a pattern, means this package."""
    return re.fullmatch(re.escape(lock).replace(r"\*", ".*").replace(r"\?", "."), name) is not None


def _plain(edition: str) -> str:
    """Return a version as zypper, rpm and dnf print it: without an epoch that is 0."""
    return edition.removeprefix("0:")
