"""Waves: the hosts of a ring that are at work together, within the concurrency and each group's max_down. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

GroupLimits = Mapping[str, Sequence[tuple[str, int]]]
"""host -> (group, max_down) of every limited group that it is in."""


def build_waves(
    hosts: Sequence[str], concurrency: int, limits: GroupLimits, alone: Sequence[str] = ()
) -> tuple[tuple[str, ...], ...]:
    """Return waves in order: at most `concurrency` hosts and `max_down` members of a limited group in each.

    Each host goes into the first wave that has room for it, so the order of `hosts` is kept as far as the limits
    allow. Hosts of `alone` follow after all others, one in each wave. A max_down below 1 counts as 1: that nothing
    of a group may go down is for the planner to refuse.
    """
    single = frozenset(alone)
    waves: list[list[str]] = []
    used: list[Counter[str]] = []
    first_with_room = 0
    for host in hosts:
        if host in single:
            continue
        index = first_with_room
        while index < len(waves) and not _has_room(waves[index], used[index], limits.get(host, ()), concurrency):
            index += 1
        if index == len(waves):
            waves.append([])
            used.append(Counter())
        waves[index].append(host)
        used[index].update(group for group, _ in limits.get(host, ()))
        while first_with_room < len(waves) and len(waves[first_with_room]) >= max(1, concurrency):
            first_with_room += 1
    return (*(tuple(wave) for wave in waves), *((host,) for host in hosts if host in single))


def _has_room(wave: list[str], used: Counter[str], limits: Sequence[tuple[str, int]], concurrency: int) -> bool:
    if len(wave) >= max(1, concurrency):
        return False
    return all(used[group] < max(1, limit) for group, limit in limits)
