"""Asks hosts from where the versions can be had that a plan's changes start from. Reads only."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from typing import cast

from patchctl.collect.parse import parse_output
from patchctl.connect.contract import Command
from patchctl.connect.fanout import visit
from patchctl.model.errors import HostFailure
from patchctl.model.evidence import Probe
from patchctl.model.hosts import Host
from patchctl.model.plan import HostPlan
from patchctl.model.ports import Observer
from patchctl.platforms.contract import TakesOff, WayBack
from patchctl.platforms.registry import platform_named
from patchctl.rollout.earlier import Earlier, Kept, Offered, find_file
from patchctl.usecases.access import Fleet
from patchctl.usecases.scan import Opener, compile_probes, shell_of, stretch


def ask_earlier(
    plans: Mapping[str, HostPlan], fleet_of: Callable[[Iterable[str]], Fleet], kept: Kept, connections: Opener | None,
    observer: Observer, *, refresh: str, forks: int,
) -> dict[str, Earlier]:  # fmt: skip
    """Return per host that changes what it offers, or why nothing is known. Hosts of which all is kept are left alone.

    `connections` may be None: then nobody is asked.
    """
    answers: dict[str, Earlier] = {}
    asked: dict[str, WayBack] = {}
    for name, plan in plans.items():
        if plan.skip or not plan.changes:
            continue
        platform = platform_named(plan.platform)
        if not hasattr(platform, "earlier_probe"):  # platforms/contract.py, WayBack: not all have it
            answers[name] = f"patchctl cannot restore earlier versions with {plan.platform} yet"
        elif connections is not None and _has_to_be_asked(plan, kept, hasattr(platform, "read_removable")):
            asked[name] = cast(WayBack, platform)
    if connections is None or not asked:
        return answers

    def work(host: Host) -> Earlier:
        observer.step(host.name, "way back")
        platform, changes = asked[host.name], plans[host.name].changes
        output = ask_probe(host, platform.earlier_probe(changes, refresh), connections)
        if isinstance(output, HostFailure):
            return output
        files = platform.read_earlier(changes, output)
        if not hasattr(platform, "read_removable"):  # platforms/contract.py, TakesOff: not all have it
            return files
        return Offered(files, tuple(cast(TakesOff, platform).read_removable(changes, output).items()))

    fleet = fleet_of(asked)
    observer.started("way back", len(fleet.hosts))
    try:
        for host, answer in visit(fleet.hosts, work, forks, site_forks=fleet.site_forks):
            answers[host.name] = answer
            failure = answer if isinstance(answer, HostFailure) else None
            observer.finished(host.name, failure.status if failure else "ok", failure.message if failure else "")
    finally:
        observer.ended()
    return answers


def _has_to_be_asked(plan: HostPlan, kept: Kept, removals: bool) -> bool:
    """Whether a file is wanted that nobody keeps; with `removals` also whether something is to be removed again."""
    return any(not find_file(c, {}, kept) if c.from_version else removals for c in plan.changes)


def ask_probe(host: Host, probe: Probe, connections: Opener) -> str | HostFailure:
    """Put one probe to one host; return its output, or why there is none. Raise HostError."""
    (probe,) = stretch([probe], host)
    nonce = secrets.token_hex(16)
    become = host.connection.become.method != "none"
    with closing(connections.open(host)) as session:
        script = compile_probes(shell_of(host), [probe], nonce)
        result = session.run(Command(script, become=become, silence=probe.timeout + 30.0))
    snapshot = parse_output(
        result.stdout, [probe], nonce, host=host.name, taken_at=0.0, as_root=result.as_root, seconds=result.seconds,
        lost=result.lost,
    )
    output = snapshot.output(probe.id)
    if output is None:
        return HostFailure("resolve-failed", snapshot.reason(probe.id) or "no answer", "plan again")
    return output
