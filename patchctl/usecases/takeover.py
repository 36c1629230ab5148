"""Give hosts to this store and epoch: after a backup was restored, or when their controller is gone for good.

Hosts refuse a foreign store and an older epoch, so that two controllers never work on one host. Only a person can
overrule that, knowing that the other one is really gone; who did it, and why, is recorded before any host is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing

from msgspec import Struct

from patchctl.collect.runner import Controller, Takeover
from patchctl.connect.fanout import visit
from patchctl.model.errors import HostError, HostFailure
from patchctl.model.hosts import Host
from patchctl.model.text import one_line
from patchctl.store.database import Store
from patchctl.usecases.access import Fleet
from patchctl.usecases.hostjobs_visit import Opener, Visit


class Taken(Struct, frozen=True):
    """What became of one host."""

    host: str
    before: str
    """Whose it was, as its fence said; "" = nobody's, or not known."""
    failure: HostFailure | None = None


class RefusedTakeoverError(HostError):
    """The host answered, and the answer is no (its lock is held, or its disk is full)."""


def take_over_hosts(
    fleet: Fleet, connections: Opener, store: Store, actor: str, reason: str, forks: int
) -> Sequence[Taken]:
    """Ask every host of the fleet to accept this store from now on; return what each said, in order.

    Recorded in the audit trail: the intent before, the outcome after. Raise StoreError when that is impossible.
    """
    names = [host.name for host in fleet.hosts]
    token = store.next_token()
    store.record(actor, "takeover-intended", {"hosts": names, "epoch": store.epoch, "token": token}, reason)
    name = re.sub(r"[^A-Za-z0-9._@:-]", "-", actor).lstrip("-._@:")[:100] or "patchctl"
    controller = Controller(store.store_id, store.epoch, token, name)

    def work(host: Host) -> str:
        with closing(connections.open(host)) as session:
            reply = Visit(session, controller).ask(Takeover())
        if reply.state != "taken":
            raise RefusedTakeoverError("takeover-refused", one_line(reply.get("reason") or reply.state), "")
        return one_line(reply.get("fence"))

    found: dict[str, Taken] = {}
    for host, answer in visit(fleet.hosts, work, forks, site_forks=fleet.site_forks):
        if isinstance(answer, HostFailure):
            found[host.name] = Taken(host.name, "", answer)
        else:
            found[host.name] = Taken(host.name, answer)
    taken = [found[name] for name in names]
    outcome = {"taken": [t.host for t in taken if not t.failure], "refused": [t.host for t in taken if t.failure]}
    store.record(actor, "takeover-ended", outcome, reason)
    return taken
