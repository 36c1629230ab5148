"""Judges a host after the change: are the planned versions in place, is nothing broken. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from patchctl.model.facts import HostFacts
from patchctl.model.fingerprint import ANY_VERSION, as_planned, list_differences
from patchctl.model.plan import Change, HostPlan
from patchctl.platforms.windows.names import CARRIER


def list_pending(plan: HostPlan, facts: HostFacts) -> list[str]:
    """Return the planned changes that are not in place, as `openssl 3.0.1 -> 3.0.2 (found 3.0.1)`; removals too.

    What takes effect with a pending reboot is not among them (list_waiting).
    """
    versions = as_planned(plan.changes, _versions(facts))
    pending, waiting = [], list_waiting(plan, facts)
    for change in plan.changes:
        if change.package in waiting:
            continue
        found = versions.get(change.package, set())
        if change.to_version not in found:
            seen = "+".join(sorted(found)) or "not installed"
            pending.append(f"{change.package} {change.from_version or 'absent'} -> {change.to_version} (found {seen})")
    pending.extend(f"{name} -> removed (still there)" for name in plan.removals if name.partition(":")[0] in versions)
    return pending


def list_waiting(plan: HostPlan, facts: HostFacts) -> list[str]:
    """Return the updates of a Windows host that it shows as installed only after the reboot it asks for.

    Neither in place nor missing: the verification after that reboot tells.
    """
    if facts.reboot.required is not True:
        return []
    found = as_planned(plan.changes, _versions(facts))
    return [
        change.package for change in plan.changes
        if change.to_version not in found.get(change.package, set())
        and (change.carrier == CARRIER or change.to_version == ANY_VERSION)
    ]


def _versions(facts: HostFacts) -> dict[str, set[str]]:
    versions: dict[str, set[str]] = {}
    for package in facts.packages or ():
        if package.status == "installed":
            versions.setdefault(package.name, set()).add(package.version)
    return versions


def all_in_place(plan: HostPlan, found: Mapping[str, set[str]]) -> bool:
    """Say whether nothing is left to change on a host with these versions by package."""
    found = as_planned(plan.changes, found)
    return all(found.get(change.package) == {change.to_version} for change in plan.changes) and not any(
        name.partition(":")[0] in found for name in plan.removals
    )


def list_changed(
    changes: Sequence[Change], output: str, *, again: bool, removals: Sequence[str] = ()
) -> list[str]:
    """Return where a host differs from what the plan starts from.

    `again`: an earlier attempt of this rollout may have put part of the changes in place, have left packages half
    installed (those are not in `output`), or both versions side by side (rpm, when cut): all are as planned then.
    `removals`: packages that are to go, there or not.
    """
    going = {name.partition(":")[0] for name in removals}
    output = "".join(f"{line}\n" for line in output.splitlines() if line.strip().partition(":")[0] not in going)
    if not again:
        return list_differences(changes, output)
    found = as_planned(changes, read_versions(output))
    output = "".join(f"{name}: {version}\n" for name, versions in found.items() for version in sorted(versions))
    both = {
        (c.package, c.from_version) for c in changes if {c.from_version, c.to_version} <= found.get(c.package, set())
    }
    output = "".join(
        f"{line}\n" for line in output.splitlines()
        if (line.strip().partition(":")[0], line.strip().partition(" ")[2].strip()) not in both
    )
    expected = [
        replace(change, from_version=change.to_version)
        if change.to_version in found[change.package] else change
        for change in changes if change.package in found
    ]
    return list_differences(expected, output)


def read_versions(output: str) -> dict[str, set[str]]:
    """Read a fingerprint probe's `package:arch version` lines into versions by package name."""
    found: dict[str, set[str]] = {}
    for line in output.splitlines():
        name, _, version = line.strip().partition(" ")
        if version:
            found.setdefault(name.partition(":")[0], set()).add(version.strip())
    return found
