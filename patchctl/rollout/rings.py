"""Which ring each host belongs to: by pattern, count or percent, the same every time it is asked. Pure.

Who goes first is chosen so that a small ring looks like the whole: hosts are sorted into strata (same site and same
groups), ordered inside a stratum by SHA-256 of policy and host name, and then picked so that each stratum is
represented in proportion. Another policy picks other hosts; the same policy picks the same hosts every month, and a
new host moves few others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

from patchctl.model.hosts import Host
from patchctl.model.policy import RingSpec
from patchctl.model.units import resolve_share

SelectHosts = Callable[[str], Collection[str]]
"""Given a limit pattern, return the names of the inventory's hosts that it selects."""

DEFAULT_RINGS = (RingSpec("all"),)
"""What a policy without rings means."""


def spread_hosts(policy: str, hosts: Sequence[Host]) -> tuple[str, ...]:
    """Return the host names in the order in which counts and percents pick them."""
    strata: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    keys = {host.name: hashlib.sha256(f"{policy}\0{host.name}".encode()).digest() for host in hosts}
    for host in hosts:
        strata.setdefault((host.site, host.groups), []).append(host.name)
    placed: list[tuple[float, bytes, str]] = []
    for names in strata.values():
        names.sort(key=keys.__getitem__)
        placed.extend(((rank + 0.5) / len(names), keys[name], name) for rank, name in enumerate(names))
    return tuple(name for _, _, name in sorted(placed))


def assign_rings(
    policy: str, rings: Sequence[RingSpec], hosts: Sequence[Host], late: Sequence[str], select: SelectHosts
) -> dict[str, tuple[str, ...]]:
    """Return ring name -> its hosts in working order; "" -> hosts that no ring takes (only if there are any).

    Rings take hosts in the policy's order; each host goes to the first ring that takes it. A percentage counts all
    `hosts`, or those of the ring's pattern if it has one, and is rounded up. A ring without pattern and size, and
    `size: rest`, takes what is left and not named by the pattern of a later ring; a count takes such hosts only
    when there are no others. `late` hosts go to the end of the last ring, whichever ring names them.
    """
    order = spread_hosts(policy, hosts)
    apart = frozenset(late)
    left = [name for name in order if name not in apart]
    named = [frozenset(select(ring.hosts)) if ring.hosts else None for ring in rings]
    assigned: dict[str, tuple[str, ...]] = {}
    for index, ring in enumerate(rings):
        pattern = named[index]
        pool = [name for name in left if pattern is None or name in pattern]
        reserved = frozenset[str]().union(*(later for later in named[index + 1 :] if later is not None))
        if ring.size not in ("", "rest"):
            whole = len(order) if pattern is None else sum(1 for name in order if name in pattern)
            pool.sort(key=reserved.__contains__)  # stable: the spread order stays within each half
            pool = pool[: resolve_share(ring.size, whole)]
        elif pattern is None:
            pool = [name for name in pool if name not in reserved]
        taken = frozenset(pool)
        assigned[ring.name] = tuple(pool)
        left = [name for name in left if name not in taken]
    if rings and late:
        assigned[rings[-1].name] += tuple(late)
    if left:
        assigned[""] = tuple(left)
    return assigned


def ring_of(assigned: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Turn the assignment around: host -> ring."""
    return {host: ring for ring, hosts in assigned.items() for host in hosts}
