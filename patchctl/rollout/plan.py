"""From policy, inventory and what is known of each host to a Plan; and whether a plan still fits. Pure.

The plan is complete: carrying it out asks nobody for a version, a hash or an order again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from patchctl.model.errors import PlanStaleError, UsageError
from patchctl.model.facts import Artefact
from patchctl.model.hosts import Host, Inventory, place_of_host
from patchctl.model.localtime import local_date, parse_zone
from patchctl.model.memo import Memo
from patchctl.model.plan import HostPlan, Plan, PlannedRing
from patchctl.model.policy import Policy, RingSpec
from patchctl.model.rollout import BLOCKED, FROZEN, SKIPPED
from patchctl.model.selection import select_hosts
from patchctl.model.units import resolve_share
from patchctl.rollout.hostplan import HostOutline, Judge, Survey, is_frozen, outline_host
from patchctl.rollout.membership import digest_members, find_late, select_members
from patchctl.rollout.rings import DEFAULT_RINGS, assign_rings, ring_of
from patchctl.rollout.waves import build_waves

_NEVER_SEEN = Survey()


def build_plan(
    policy: Policy, inventory: Inventory, surveys: Mapping[str, Survey], judge: Judge, *, now: float, actor: str,
    limit: str = "", known_rollouts: Collection[str] = (), controllers: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """Return the plan that the policy gives at `now` (Unix time) for what the surveys know.

    `judge` answers for approvals; a selected host without a survey counts as never scanned. `known_rollouts` keeps
    the rollout's id unique; `controllers` are the names of the machine that runs this. Raises UsageError when
    nothing is selected, ValueError for a policy that validation would refuse (time zone, budgets).
    """
    zone, memo = parse_zone(policy.timezone), Memo()

    removers = [(rule.package, set(select_hosts(inventory, rule.hosts or "all"))) for rule in policy.remove]

    def outline(host: Host) -> HostOutline:
        removable = tuple(pattern for pattern, names in removers if host.name in names)
        return outline_host(host, surveys.get(host.name, _NEVER_SEEN), policy, judge, now, zone, memo, removable)

    return arrange_plan(
        policy, inventory, outline, now=now, actor=actor, limit=limit, controllers=controllers,
        rollout=name_rollout(policy, now, known_rollouts),
    )  # fmt: skip


def arrange_plan(
    policy: Policy, inventory: Inventory, outline: Callable[[Host], HostOutline], *, now: float, actor: str,
    rollout: str, limit: str = "", controllers: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """Return the plan called `rollout` that puts what `outline` says of each host into rings and waves.

    Raises as build_plan.
    """
    members = select_members(inventory, policy, limit)
    late = find_late(inventory, members, controllers)
    specs = policy.rings or DEFAULT_RINGS
    assigned = _assign(policy, specs, inventory, members, late)
    concurrency = resolve_share(policy.limits.concurrency, len(members))
    outlines = {name: outline(inventory.hosts[name]) for name in members}
    outlines |= _block_twins(inventory, outlines)
    hosts, rings = _arrange(inventory, specs, assigned, outlines, late, concurrency)
    artefacts: dict[str, Artefact] = {}
    for name in members:
        for artefact in outlines[name].artefacts:
            artefacts.setdefault(artefact.sha256, artefact)
    return Plan(
        rollout=rollout,
        policy=policy.name,
        created_at=now,
        created_by=actor,
        policy_digest=policy.digest,
        membership_digest=digest_members(members),
        timezone=policy.timezone,
        blackout=policy.blackout,
        rings=rings,
        hosts={name: hosts[name] for name in members},
        artefacts={sha256: artefacts[sha256] for sha256 in sorted(artefacts)},
        limits=policy.limits,
        concurrency=concurrency,
        on_failure=policy.on_failure,
        notify=policy.notify,
        policy_source=policy.source,
        inventory_sources=inventory.sources,
        limit=limit,
        next_due=min((o.next_due for o in outlines.values() if o.next_due is not None), default=None),
        notes=(*_list_notes(policy, assigned, late), *_note_untried(rings, assigned, outlines),
               *_note_boots(outlines)),
    )


def name_rollout(policy: Policy, now: float, known: Collection[str], name: str = "") -> str:
    """Return YYYY-MM-POLICY (or -NAME) in the policy's time zone, with -2, -3 ... if taken; [A-Za-z0-9._-] only."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name or policy.name)
    base = f"{local_date(now, parse_zone(policy.timezone)):%Y-%m}-{safe}"
    name, number = base, 1
    while name in known:
        number += 1
        name = f"{base}-{number}"
    return name


def check_fresh(plan: Plan, policy: Policy, inventory: Inventory) -> None:
    """Raise PlanStaleError, naming everything that moved, unless policy and membership are those of the plan.

    Compared are the policy file's digest, the selected hosts, each host's ring, and freezes put on since. What changed
    on a host itself is that host's matter (its fingerprint at preflight), not the plan's.
    """
    moved = []
    if policy.digest != plan.policy_digest:
        moved.append(f"policy {plan.policy} ({plan.policy_source or policy.source}) was edited")
    try:
        members = select_members(inventory, policy, plan.limit)
    except UsageError as error:  # a group or host that the policy names is gone
        raise PlanStaleError("plan-stale", f"plan {plan.rollout} is stale: {error}", _PLAN_AGAIN) from error
    moved += _compare_members(plan.hosts, members)
    moved += _find_new_freezes(plan, inventory, members)
    if policy.digest == plan.policy_digest and digest_members(members) == plan.membership_digest:
        moved += _compare_rings(plan, policy, inventory, members)
    if moved:
        raise PlanStaleError("plan-stale", f"plan {plan.rollout} is stale: {'; '.join(moved)}", _PLAN_AGAIN)


_PLAN_AGAIN = "make it again with `patchctl plan` and look at the difference before applying"


def _compare_members(planned: Collection[str], members: Sequence[str]) -> list[str]:
    added = [name for name in members if name not in planned]
    present = frozenset(members)
    gone = [name for name in planned if name not in present]
    return [*_tell(added, "joined"), *_tell(gone, "left")]


def _find_new_freezes(plan: Plan, inventory: Inventory, members: Sequence[str]) -> list[str]:
    zone = parse_zone(plan.timezone)
    frozen = []
    for name in members:
        freeze, planned = inventory.hosts[name].frozen, plan.hosts.get(name)
        # Asked as of planning: a freeze that held then was either planned with, or has been put on since.
        if freeze is not None and planned is not None and is_frozen(freeze, plan.created_at, zone):
            frozen += [name] if planned.skip_state != FROZEN else []
    return _tell(frozen, "frozen since")


def _tell(names: Sequence[str], word: str) -> list[str]:
    return [f"{len(names)} host{'s' if len(names) > 1 else ''} {word}: {_shorten(names)}"] if names else []


def _compare_rings(plan: Plan, policy: Policy, inventory: Inventory, members: Sequence[str]) -> list[str]:
    late = [name for name in members if plan.hosts[name].late]
    current = ring_of(_assign(policy, policy.rings or DEFAULT_RINGS, inventory, members, late))
    return [
        f"{name} moved from ring {plan.hosts[name].ring or '-'} to {current[name] or '-'}"
        for name in members
        if current[name] != plan.hosts[name].ring
    ][:10]


def _assign(
    policy: Policy, specs: Sequence[RingSpec], inventory: Inventory, members: Sequence[str], late: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    hosts = [inventory.hosts[name] for name in members]
    return assign_rings(policy.name, specs, hosts, late, partial(select_hosts, inventory))


def _arrange(
    inventory: Inventory, specs: Sequence[RingSpec], assigned: Mapping[str, Sequence[str]],
    outlines: Mapping[str, HostOutline], late: Sequence[str], concurrency: int,
) -> tuple[dict[str, HostPlan], tuple[PlannedRing, ...]]:  # fmt: skip
    """Put the hosts into rings and waves; those that the plan leaves alone have a ring but no wave (0)."""
    limits = _find_limits(inventory, assigned)
    apart = frozenset(late)
    hosts: dict[str, HostPlan] = {}
    rings = []
    for spec in specs:
        plans = {}
        for name in assigned[spec.name]:
            plan = outlines[name].plan
            none_down = [group for group, limit in limits.get(name, ()) if limit < 1]
            if none_down and not plan.skip:
                plan = replace(plan, skip=f"group {none_down[0]} lets no host go down (max_down 0)", skip_state=BLOCKED)
            plans[name] = plan
        # Hosts where nothing is to be done are only looked at: they come last and delay no one.
        active = sorted((n for n, plan in plans.items() if not plan.skip), key=lambda n: not outlines[n].works)
        waves = build_waves(active, concurrency, limits, late)
        number = {name: index for index, wave in enumerate(waves, 1) for name in wave}
        for name, plan in plans.items():
            hosts[name] = replace(
                plan, ring=spec.name, wave=number.get(name, 0), late=name in apart, max_down=limits.get(name, ())
            )
        window = spec.window.text if spec.window is not None else ""
        rings.append(PlannedRing(spec.name, waves, window, spec.soak, spec.approval))
    for name in assigned.get("", ()):
        plan = outlines[name].plan
        none = "no ring of the policy takes this host"
        hosts[name] = plan if plan.skip else replace(plan, skip=none, skip_state=SKIPPED)
    return hosts, tuple(rings)


def _find_limits(
    inventory: Inventory, assigned: Mapping[str, Sequence[str]]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """Return host -> (group, max_down) of the limited groups that it is in."""
    limited = {name: group.max_down for name, group in inventory.groups.items() if group.max_down is not None}
    found = {}
    for names in assigned.values():
        for name in names:
            limits = tuple((group, limited[group]) for group in inventory.hosts[name].groups if group in limited)
            if limits:
                found[name] = limits
    return found


def _block_twins(inventory: Inventory, outlines: Mapping[str, HostOutline]) -> dict[str, HostOutline]:
    """Return the hosts that are the machine of an earlier host under another name: one machine is patched once."""
    first: dict[tuple[object, ...], str] = {}
    twins = {}
    for name, outline in outlines.items():
        place = place_of_host(inventory.hosts[name])
        if place is None or outline.plan.skip:
            continue
        other = first.setdefault(place, name)
        if other != name:
            why = f"the same address as {other}: one machine is patched once, keep one name"
            plan = replace(outline.plan, skip=why, skip_state=BLOCKED, changes=(), removals=(), reboot_expected=False)
            twins[name] = HostOutline(plan)
    return twins


def _note_boots(outlines: Mapping[str, HostOutline]) -> list[str]:
    """Tell of hosts at different addresses that are one boot of one kernel, and so perhaps one machine."""
    booted: dict[str, list[str]] = {}
    for name, outline in outlines.items():
        if outline.plan.boot_id and not outline.plan.skip:
            booted.setdefault(outline.plan.boot_id, []).append(name)
    return [
        f"{_shorten(names)} have the same boot id: one machine under several names, or containers on one kernel"
        for names in booted.values() if len(names) > 1
    ]


def _note_untried(
    rings: Sequence[PlannedRing], assigned: Mapping[str, Sequence[str]], outlines: Mapping[str, HostOutline]
) -> list[str]:
    """Tell of rings that try nothing out for the rings behind them, because nothing is done on any of their hosts."""
    works = {ring.name: any(outlines[name].works for wave in ring.waves for name in wave) for ring in rings}
    return [
        f"ring {ring.name}: nothing is done on {_shorten(assigned[ring.name])}, so the next ring is changed first"
        for number, ring in enumerate(rings, 1)
        if assigned[ring.name] and not works[ring.name] and any(works[later.name] for later in rings[number:])
    ]


def _list_notes(policy: Policy, assigned: Mapping[str, Sequence[str]], late: Sequence[str]) -> tuple[str, ...]:
    notes = [f"policy key {key!r} has no effect yet" for key, _ in policy.extra]
    if assigned.get(""):
        notes.append(f"no ring takes {len(assigned[''])} hosts: {_shorten(assigned[''])}; add a ring with size: rest")
    if late:
        notes.append(f"the run depends on {_shorten(late)}: last and alone")
    return tuple(notes)


def _shorten(names: Iterable[str]) -> str:
    found = list(names)
    return ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
