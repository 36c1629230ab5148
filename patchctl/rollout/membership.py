"""Who takes part in a rollout: digests over it, and the hosts that the run itself depends on. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from patchctl.model.errors import UsageError
from patchctl.model.hosts import Host, Inventory
from patchctl.model.policy import Policy
from patchctl.model.selection import select_hosts


def select_members(inventory: Inventory, policy: Policy, limit: str = "") -> tuple[str, ...]:
    """Return the hosts that the policy and the limit pattern both select, in inventory order.

    Raises UsageError when a term matches nothing, or nothing is left.
    """
    members = select_hosts(inventory, policy.hosts)
    if limit:
        wanted = frozenset(select_hosts(inventory, limit))
        members = tuple(name for name in members if name in wanted)
    if not members:
        narrowed = f" within --limit {limit}" if limit else ""
        raise UsageError("nothing-matched", f"policy {policy.name} selects no host{narrowed}: hosts: {policy.hosts}")
    return members


def digest_members(hosts: Iterable[str]) -> str:
    """Return the SHA-256 over the sorted host names."""
    return hashlib.sha256("".join(f"{host}\n" for host in sorted(hosts)).encode()).hexdigest()


def find_late(inventory: Inventory, selected: Sequence[str], controllers: Sequence[str] = ()) -> tuple[str, ...]:
    """Return those of the selected hosts that the run depends on, in the order in which they may be touched.

    These are jump hosts and relays of selected hosts, hosts reached by the transport `local`, and hosts named in
    `controllers` (the names of the machine that runs this). A host on which more of the way depends comes later;
    the controller comes last.
    """
    chosen = frozenset(selected)
    known = _index_names(inventory, chosen)
    needed_for: dict[str, set[str]] = {}
    for name in selected:
        way = [known[hop] for hop in _find_way(inventory, inventory.hosts[name]) if hop in known]
        for nearer, farther in pairwise([*way, name]):
            if nearer != farther:
                needed_for.setdefault(nearer, set()).add(farther)
        site = inventory.sites.get(inventory.hosts[name].site)
        for relay in site.relays if site else ():
            if known.get(relay, name) != name:
                needed_for.setdefault(known[relay], set()).add(name)
    own = {known[name] for name in controllers if name in known}
    own |= {name for name in selected if inventory.hosts[name].connection.transport == "local"}
    ranked = {name: _measure_depth(name, needed_for, frozenset()) for name in needed_for if name not in own}
    return (*sorted(ranked, key=lambda name: (ranked[name], name)), *sorted(own))


def _index_names(inventory: Inventory, chosen: frozenset[str]) -> dict[str, str]:
    """Return the ways in which the chosen hosts can be written -> host name. Names win over addresses."""
    names = {inventory.hosts[name].connection.address: name for name in sorted(chosen, reverse=True)}
    names.pop("", None)
    return names | {name: name for name in chosen}


def _find_way(inventory: Inventory, host: Host) -> list[str]:
    """Return a host's jump hosts by name, nearest first; those of its site when it has none of its own."""
    site = inventory.sites.get(host.site)
    hops = host.connection.jump or (site.jump if site else ())
    return [_strip_hop(hop) for hop in hops if _strip_hop(hop) != host.name]


def _strip_hop(hop: str) -> str:
    """Given [user@]host[:port], with brackets around an IPv6 address if need be, return the host."""
    rest = hop.rpartition("@")[2]
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest.partition(":")[0] if rest.count(":") == 1 else rest


def _measure_depth(name: str, needed_for: Mapping[str, set[str]], seen: frozenset[str]) -> int:
    """Return how many late hosts hang on this one in a row; a loop in the inventory ends the count."""
    behind = [other for other in needed_for.get(name, ()) if other in needed_for and other not in seen | {name}]
    return 1 + max((_measure_depth(other, needed_for, seen | {name}) for other in behind), default=0)
