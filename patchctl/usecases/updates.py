"""Lists what is pending on every host, and what a policy says about each update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec.structs import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts, Update
from patchctl.model.hosts import Inventory
from patchctl.model.policy import Policy
from patchctl.model.selection import select_hosts
from patchctl.model.units import format_duration
from patchctl.patch.approvals import decide_approval
from patchctl.platforms import make_reader
from patchctl.platforms.windows.offers import add_offers
from patchctl.usecases.scan import ScannedHost, is_held_back, judge_status

NEVER_SCANNED = {"code": "never-scanned", "message": "no snapshot of this host yet", "hint": "run patchctl scan"}

MAX_LIST_AGE = 24 * 3600.0
"""Package lists that are older than this (seconds) say nothing about what is pending."""

FirstSeen = Mapping[tuple[str, str], float]


class LatestSnapshots(Protocol):
    """What reading from stored snapshots needs of the store."""

    def iterate_latest(self, hosts: Sequence[str] | None, *, reached: bool) -> Iterator[Snapshot]: ...


def read_latest(
    store: LatestSnapshots, hosts: Sequence[str], now: float | None = None
) -> Iterator[ScannedHost]:
    """Yield what the latest snapshots of these hosts show, each read once and let go again.

    With `now` (Unix time) as it is worth today: the age of the package lists counts up to then, and what lists showed
    that are too old by then is unknown. Without it, as it was when it was taken.
    """
    read = make_reader()
    for snapshot in store.iterate_latest(hosts, reached=False):
        facts = read(snapshot)
        if now is not None:
            since = max(0.0, now - snapshot.taken_at)
            age = facts.metadata_age
            facts = replace(forget_old(facts, since), metadata_age=None if age is None else age + since)
        yield ScannedHost(snapshot, facts)


def forget_old(facts: HostFacts, since: float) -> HostFacts:
    """Make the updates unknown when the lists they were read from are too old now, `since` seconds later."""
    if facts.updates is None or facts.metadata_age is None or facts.metadata_age + since <= MAX_LIST_AGE:
        return facts
    reason = f"package lists are {format_duration(facts.metadata_age + since)} old (limit 24h): scan again"
    return replace(facts, updates=None, unknown=(*facts.unknown, ("updates", reason)))


def list_updates(
    scanned: ScannedHost, first_seen: FirstSeen, policy: Policy | None, inventory: Inventory, now: float
) -> list[dict[str, Any]]:
    """Return the `updates` items of one host: what `apt list --upgradable` would list, each with its state.

    Packages that would be newly installed to satisfy them are not updates of this host; `plan` shows those.
    Without a policy every update that nothing holds back is `pending`.
    """
    facts = scanned.facts if policy is None else add_offers(scanned.facts, policy.offers)
    return [
        _describe(scanned.host, update, first_seen, policy, inventory, now)
        for update in facts.updates or ()
        if update.state != "new"
    ]


def describe_host(scanned: ScannedHost) -> dict[str, Any]:
    """Return the host's item of `hosts`: whether its list can be trusted, and if not why."""
    status, error = judge_status(scanned)
    return {
        "host": scanned.host,
        "status": status,
        "metadata_age": scanned.facts.metadata_age,
        "pending": None if scanned.facts.updates is None else sum(
            u.state == "upgradable" for u in scanned.facts.updates
        ),
        "taken_at": scanned.snapshot.taken_at,
        "error": error,
    }  # fmt: skip


def describe_missing(host: str) -> dict[str, Any]:
    """Return the item of a host that no snapshot was ever taken of."""
    return {"host": host, "status": "error", "metadata_age": None, "pending": None, "taken_at": None,
            "error": dict(NEVER_SCANNED)}  # fmt: skip


def _describe(
    host: str, update: Update, first_seen: FirstSeen, policy: Policy | None, inventory: Inventory, now: float
) -> dict[str, Any]:
    seen = first_seen.get((update.package, update.candidate))
    if policy is not None:
        approval, reason = decide_approval(
            policy, host, update, seen, now, lambda pattern, name: name in select_hosts(inventory, pattern)
        )
    elif is_held_back(update):
        approval, reason = ("phased" if update.state == "phased" else "held"), update.reason
    else:
        approval, reason = "pending", "no policy given"
    return {
        "host": host,
        "package": update.package,
        "arch": update.arch,
        "installed": update.installed,
        "candidate": update.candidate,
        "origin": update.origin or None,
        "security": update.security,
        "advisories": list(update.advisories),
        "cves": list(update.cves),
        "severity": update.severity or None,
        "classifications": list(update.classifications),
        "known_exploited": update.known_exploited,
        "first_seen": None if seen is None else datetime.fromtimestamp(seen, UTC).isoformat(timespec="seconds"),
        "approval": approval,
        "reason": reason,
        "state": update.state,
    }
