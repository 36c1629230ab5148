"""The way back of every host in a plan: from where each earlier version would come, or why one cannot be had. Pure.

All or nothing: a host of which one earlier version is missing is not rolled back at all. Nothing is guessed: a version
counts only with the SHA-256 of its file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.facts import Artefact
from patchctl.model.plan import Change, HostPlan, Plan, Undo
from patchctl.platforms.contract import TakesOff
from patchctl.platforms.registry import platform_named

KEPT = "kept on the controller"
Kept = Mapping[tuple[str, str, str], Artefact]
"""(package, version, arch) -> a file that the controller has; arch "" where the package manager names none."""
ANY_ARCH = ("all", "noarch", "any", "")
"""Architectures of files that fit every host; a package may change from or to one of these between versions."""


class Offered(Struct, frozen=True):
    """What a host of a platform answered that takes off what is there first (platforms/contract.py, TakesOff)."""

    files: tuple[Artefact, ...] = ()
    removable: tuple[tuple[str, str], ...] = ()
    """(package, why it would stay, "" = it can be removed) of what is installed anew."""


Earlier = Sequence[Artefact] | Offered | HostFailure | str
"""What a host answered when asked for earlier versions, why it gave no answer, or why there is no way back on its
platform, whatever is kept."""
NOT_ASKED = HostFailure("not-asked", "the host was not asked for its earlier versions")


def add_ways_back(plan: Plan, answers: Mapping[str, Earlier], kept: Kept) -> Plan:
    """Return the plan with the way back of every host that it changes, and with the files for it.

    Hosts without an answer whose earlier versions are not all kept have no known way back, and say so.
    """
    hosts, files = dict(plan.hosts), dict(plan.artefacts)
    known: dict[tuple[int, object], tuple[Undo, tuple[Artefact, ...]]] = {}
    for name, host in plan.hosts.items():
        if host.skip or not host.changes:
            continue
        answer = answers.get(name, NOT_ASKED)
        said = answer if isinstance(answer, str | HostFailure | Offered) else tuple(answer)
        key = (id(host.changes), said)
        if key not in known:
            known[key] = find_way_back(host, answer, kept, plan.artefacts)
        undo, wanted = known[key]
        hosts[name] = replace(host, undo=undo)
        for artefact in wanted:
            files.setdefault(artefact.sha256, artefact)
    return replace(plan, hosts=hosts, artefacts={sha256: files[sha256] for sha256 in sorted(files)})


def find_way_back(
    host: HostPlan, answer: Earlier, kept: Kept, own: Mapping[str, Artefact] | None = None
) -> tuple[Undo, tuple[Artefact, ...]]:
    """Return one host's way back and the files that it takes. `own` has the files of the plan's changes by SHA-256."""
    if isinstance(answer, str):
        return Undo(why_not=answer), ()
    platform = platform_named(host.platform)
    taking_off = cast(TakesOff, platform) if hasattr(platform, "why_stays") else None
    said = () if isinstance(answer, HostFailure) else answer.files if isinstance(answer, Offered) else tuple(answer)
    removable = dict(answer.removable) if isinstance(answer, Offered) else {}
    offered = {(a.package, a.version, a.arch): a for a in reversed(said)}
    why_none = answer.message if isinstance(answer, HostFailure) else ""
    names = Counter(change.package for change in host.changes)
    changes: list[Change] = []
    removals: list[str] = []
    files: list[Artefact] = []
    missing: list[str] = []
    never: list[str] = []
    for change in host.changes:
        if change.carrier and (change.from_version or taking_off is None):
            never.append(f"{change.package}: {change.carrier} gives no earlier version")
        elif not change.from_version and names[change.package] > 1:
            never.append(f"{change.package}: installed anew in one of several architectures")
        elif not change.from_version and taking_off is not None:
            there = (own or {}).get(change.sha256)
            why = removable.get(change.package)  # the host's own word counts before the policy's
            if why is None:
                why = taking_off.why_stays(there) if there else why_none or "not known whether it can be removed again"
            removals.append(change.package)
            never += [f"{change.package}: {why}"] if why else []
        elif not change.from_version:
            removals.append(change.package)
        elif file := find_file(change, offered, kept):
            there = (own or {}).get(change.sha256) if taking_off is not None else None
            if taking_off is not None and (why := taking_off.why_stays(there) if there else "its file is not known"):
                never.append(f"{change.package}: {why}")
            file = apart(file, there)
            files += [file, there] if there is not None else [file]
            changes.append(replace(_backwards(change, file), replaces=there.sha256 if there is not None else ""))
        else:
            missing.append(f"{change.package} {change.from_version}")
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        why = why_none or "not listed by its repositories any more, not in its package cache, not kept here"
        never.insert(0, f"{', '.join(missing[:5])}{more}: {why}")
    never += [f"{name}: it goes, and is not put back" for name in host.removals]
    if never:
        return Undo(why_not="; ".join(never[:3])), ()
    return Undo(tuple(changes), tuple(removals)), tuple(files)


def apart(file: Artefact, there: Artefact | None) -> Artefact:
    """Return the file under another name, where the one that is staged beside it has the same."""
    if there is None or file.filename.lower() != there.filename.lower():
        return file
    return replace(file, filename=f"earlier-{file.sha256[:8]}-{file.filename}")


def find_file(change: Change, offered: Kept, kept: Kept) -> Artefact | None:
    """Return the file of the version that a change starts from: kept on the controller, else as the host offers it.

    Its architecture is the change's own, or that of files for all; a package may have become one for all since.
    """
    names = [
        (change.package, change.from_version, arch) for arch in dict.fromkeys((change.arch, *ANY_ARCH))
    ]
    for files in (kept, offered):
        found = next((files[name] for name in names if name in files), None)
        if found is None and change.arch in ANY_ARCH:
            found = next((file for name, file in files.items() if name[:2] == names[0][:2]), None)
        if found is not None:
            return replace(found, origin=KEPT) if files is kept else found
    return None


def _backwards(change: Change, file: Artefact) -> Change:
    return Change(
        change.package, change.arch, change.to_version, change.from_version, sha256=file.sha256, origin=file.origin,
        reason="takes back a change of this rollout",
    )  # fmt: skip
