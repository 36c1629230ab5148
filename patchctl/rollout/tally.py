"""Who is at work, who waits, who counts against which limit: kept beside the hosts while events are folded.

Deciding happens after every outcome. In a fleet of thousands it must not look at every host each time.
"""

from __future__ import annotations

from collections.abc import Mapping

from patchctl.model.plan import Plan
from patchctl.rollout.state import HostProgress, Tally


def take_tally(plan: Plan, hosts: Mapping[str, HostProgress]) -> Tally:
    """Return the tally of all hosts, counted from scratch."""
    table = HostTable(plan, {}, Tally(touched=sum(1 for host in plan.hosts.values() if not host.skip)))
    for host in hosts.values():
        table.put(host)
    return table.tally()


class HostTable:
    """Hosts that change, one after the other, with their tally. Made from frozen values, gives frozen values."""

    def __init__(self, plan: Plan, hosts: Mapping[str, HostProgress], tally: Tally) -> None:
        self._plan = plan
        self.hosts = dict(hosts)
        self._touched = tally.touched
        self._active, self._waiting = dict(tally.active), dict(tally.waiting)
        self._unsettled, self._counts = dict(tally.unsettled), dict(tally.counts)

    def put(self, host: HostProgress) -> None:
        """Let a host be as given from now on."""
        name, ring = host.host, self._plan.hosts[host.host].ring
        before = self.hosts.get(name)
        self.hosts[name] = host
        if before is not None:
            self._add(self._unsettled, ring, 0 if before.settled else -1)
            self._add(self._counts, before.counts, -1)
        self._add(self._unsettled, ring, 0 if host.settled else 1)
        self._add(self._counts, host.counts, 1)
        self._mark(self._active, name, host.active)
        self._mark(self._waiting, name, not host.settled and not host.active)

    def tally(self) -> Tally:
        return Tally(self._active, self._waiting, self._unsettled, self._counts, self._touched)

    @staticmethod
    def _add(counts: dict[str, int], key: str, number: int) -> None:
        number += counts.get(key, 0)
        if key and number:
            counts[key] = number
        else:
            counts.pop(key, None)

    @staticmethod
    def _mark(names: dict[str, None], name: str, there: bool) -> None:
        if there:
            names[name] = None
        else:
            names.pop(name, None)
