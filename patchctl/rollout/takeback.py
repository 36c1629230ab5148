"""The plan that takes a rollout back: exactly what it changed, where the hosts still are as it left them. Pure.

What was changed is the rollout's plan, as far as its journal and a new look at the host agree that it is in place. A
host with another version than either is left alone and counted: somebody has been there since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.facts import Artefact, HostFacts
from patchctl.model.fingerprint import as_planned, planned_fingerprint
from patchctl.model.hosts import Inventory
from patchctl.model.localtime import parse_zone
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing, Undo
from patchctl.model.rollout import BLOCKED, FROZEN, SKIPPED, UNREACHABLE
from patchctl.rollout.earlier import ANY_ARCH
from patchctl.rollout.hostplan import describe_freeze, expect_reboot, is_frozen
from patchctl.rollout.state import HostProgress, RolloutState

CHANGED = "changed since the rollout"
"""How the reason begins for which a host is left alone that is not as the rollout left it."""

Seen = HostFacts | HostFailure | None


def find_touched(state: RolloutState) -> list[str]:
    """Return the hosts on which the rollout may have changed a package, in the plan's order."""
    return [name for name, plan in state.plan.hosts.items() if plan.changes and state.hosts[name].touched]


def as_reported(plan: HostPlan, progress: HostProgress) -> HostPlan:
    """Return a host's plan with the earlier versions that the host itself reported when it was changed.

    A package that moved to another architecture is reported as gone in the one and new in the other: it was not new.
    """
    first: dict[tuple[str, str, str], str] = {}
    gone: dict[str, str] = {}
    for row in progress.changes:
        package, before, after = (str(row.get(key) or "") for key in ("package", "from", "to"))
        first.setdefault((package, str(row.get("arch") or ""), after), before)
        if before and not after:
            gone.setdefault(package, before)
    changes = []
    for change in plan.changes:
        told = first.get((change.package, change.arch, change.to_version), change.from_version)
        changes.append(replace(change, from_version=told or gone.get(change.package, "")))
    return replace(plan, changes=tuple(changes))


def find_in_place(plan: HostPlan, progress: HostProgress, seen: Seen) -> HostPlan:
    """Return the part of a host's plan that is in place there now; `skip` says why nothing of it may be taken back."""
    plan = replace(plan, skip="", skip_state="", failure=None, notes=(), not_approved=(), undo=None)
    if isinstance(seen, HostFailure):
        return replace(plan, skip=f"{seen.code}: {seen.message}", skip_state=UNREACHABLE, failure=seen, changes=())
    if seen is None or seen.packages is None:
        why = (seen.why_unknown("packages") if seen is not None else "never looked at") or "not collected"
        return replace(plan, skip=f"installed versions unknown: {why}", skip_state=BLOCKED, changes=())
    plan = replace(plan, boot_id=seen.boot_id, metadata_age=seen.metadata_age)
    if progress.open_attempt:
        why = f"attempt {progress.attempt} may still be at work: resume the rollout first"
        return replace(plan, skip=why, skip_state=BLOCKED, changes=())
    here, strange = [], []
    for change in plan.changes:
        found = as_planned([change], {change.package: _versions(seen, change)})[change.package]
        if found == {change.to_version}:
            here.append(change)
        elif found != ({change.from_version} if change.from_version else set()):
            now = "+".join(sorted(found)) or "not installed"
            strange.append(f"{change.package} is {now}, the rollout had {change.to_version}")
    if strange:
        return replace(plan, skip=f"{CHANGED}: {'; '.join(strange[:5])}", skip_state=SKIPPED, changes=())
    running = [c.package for c in here if not c.from_version and seen.kernel and c.package.endswith(seen.kernel)]
    if running:
        why = f"it runs the kernel of {running[0]}: boot an earlier one first"
        return replace(plan, skip=why, skip_state=BLOCKED, changes=())
    return replace(plan, changes=tuple(here), removals=())


def turn_back(plan: HostPlan, undo: Undo, seen: HostFacts) -> HostPlan:
    """Return the plan that takes back what find_in_place gave, by the way that was found for it."""
    if undo.why_not:
        why = f"cannot be rolled back: {undo.why_not}"
        return replace(plan, changes=(), removals=(), skip=why, skip_state=BLOCKED)
    back = replace(plan, undo=undo).backwards()
    expected, reason = expect_reboot(seen, back.changes, plan.reboot)
    return replace(
        back, undo=None, reboot_expected=expected, reboot_reason=reason, fingerprint=planned_fingerprint(back.changes)
    )


def build_takeback(
    plan: Plan, inventory: Inventory, backs: Mapping[str, HostPlan], artefacts: Mapping[str, Artefact], *,
    rollout: str, now: float, actor: str,
) -> Plan:  # fmt: skip
    """Return the plan named `rollout` that takes `plan` back on the hosts of `backs`: its rings and waves, in order.

    Windows, soaks and approvals of the rollout do not hold for taking it back; its limits, max_down and health checks
    do. Hosts that are frozen by now are left alone.
    """
    zone = parse_zone(plan.timezone)
    hosts: dict[str, HostPlan] = {}
    for name, back in backs.items():
        freeze = inventory.hosts[name].frozen
        if not back.skip and freeze is not None and is_frozen(freeze, now, zone):
            back = replace(back, skip=describe_freeze(freeze), skip_state=FROZEN, changes=(), removals=())
        size = sum(artefacts[c.sha256].size for c in back.changes if c.sha256 in artefacts)
        hosts[name] = replace(back, download_bytes=size)
    rings = tuple(
        PlannedRing(ring.name, _keep(ring.waves, [name for name, host in hosts.items() if not host.skip]))
        for ring in plan.rings if any(host.ring == ring.name for host in hosts.values())
    )
    wave = {name: n for ring in rings for n, names in enumerate(ring.waves, 1) for name in names}
    used = {sha for host in hosts.values() for c in host.changes for sha in (c.sha256, c.replaces) if sha}
    return replace(
        plan, rollout=rollout, created_at=now, created_by=actor, rings=rings, blackout=(), on_failure="halt",
        hosts={name: replace(host, wave=wave.get(name, 0)) for name, host in hosts.items()}, undoes=plan.rollout,
        artefacts={sha256: artefacts[sha256] for sha256 in sorted(used)}, next_due=None, limit="",
        notes=(f"takes back {plan.rollout}: its windows, soaks and approvals do not hold for that",),
    )


def count_changed(plan: Plan) -> int:
    """Return how many hosts are left alone because they are not as the rollout left them."""
    return sum(1 for host in plan.hosts.values() if host.skip.startswith(CHANGED))


def name_takeback(rollout: str, known: Collection[str]) -> str:
    """Return ROLLOUT-rollback, with -2, -3 ... where that is taken."""
    name, number = f"{rollout}-rollback", 1
    while name in known:
        number += 1
        name = f"{rollout}-rollback-{number}"
    return name


def _versions(seen: HostFacts, change: Change) -> set[str]:
    """Return the versions of the package that are there, half-configured ones included: those are taken back too."""
    found = [p for p in seen.packages or () if p.name == change.package and p.status != "config-files"]
    same = [p for p in found if p.arch == change.arch]
    return {p.version for p in same or [p for p in found if p.arch in ANY_ARCH or not change.arch]}


def _keep(waves: Sequence[Sequence[str]], names: Collection[str]) -> tuple[tuple[str, ...], ...]:
    wanted = frozenset(names)
    kept = (tuple(name for name in wave if name in wanted) for wave in waves)
    return tuple(wave for wave in kept if wave)
