"""Takes snapshots: one visit, one script, one privilege escalation per host; and says what they show."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from patchctl.collect.parse import parse_output
from patchctl.collect.powershell import compile_powershell
from patchctl.collect.script import compile_script
from patchctl.connect.contract import Command, Result, Session
from patchctl.connect.fanout import visit
from patchctl.model.errors import HostFailure, PrivilegeError
from patchctl.model.evidence import UNKNOWN, Probe, Snapshot
from patchctl.model.facts import HostFacts, Update
from patchctl.model.hosts import Host
from patchctl.model.ports import Clock, Observer
from patchctl.model.text import decode, one_line
from patchctl.platforms import make_reader
from patchctl.platforms.contract import Platform
from patchctl.platforms.registry import all_platforms
from patchctl.usecases.access import Fleet

BATCH = 64
"""Snapshots stored with one commit."""
PATIENCE = 15.0
"""Seconds without a byte beyond the longest probe's own deadline."""


class Opener(Protocol):
    """What opens sessions: connect.connections.Connections."""

    def open(self, host: Host) -> Session: ...


class SnapshotStore(Protocol):
    """What a scan needs of the store."""

    def save_snapshots(self, snapshots: Sequence[Snapshot]) -> list[str]: ...

    def note_updates(self, host: str, updates: Sequence[Update], at: float) -> None: ...

    def first_seen(self) -> dict[tuple[str, str], float]: ...


class ScannedHost(Struct, frozen=True):
    """One host's snapshot and what it shows."""

    snapshot: Snapshot
    facts: HostFacts

    @property
    def host(self) -> str:
        return self.snapshot.host


def shell_of(host: Host) -> str:
    """Return the language that the host's transport ends in: sh | powershell."""
    return "powershell" if host.connection.transport == "winrm" else host.connection.options.get("shell", "sh")


def scan_probes(
    shell: str, refresh: str, extra: Sequence[Probe] = (), *, pending_only: bool = False
) -> tuple[Probe, ...]:
    """Return every probe of a scan: of all platforms that speak this shell (their guards tell which apply), and more.

    A probe that several platforms share is asked once. refresh: auto | never | always. `pending_only`: no more than
    what pending updates are read from.
    """
    chosen: dict[str, Probe] = {}
    for platform in all_platforms():
        if platform.shell == shell:
            for probe in (pending_probes(platform, refresh) if pending_only else platform.probes(refresh)):
                other = chosen.setdefault(probe.id, probe)
                if probe.when != other.when:  # a platform that tells it along with its own asks it elsewhere only
                    chosen[probe.id] = replace(other, when=" && ".join(filter(None, (other.when, probe.when))))
    return (*chosen.values(), *(p for p in extra if p.id not in chosen))


def pending_probes(platform: Platform, refresh: str) -> Sequence[Probe]:
    """Return the probes of a platform that its pending updates are read from: a way of its own, or the marked ones."""
    if ask := getattr(platform, "pending_probes", None):
        alone: Sequence[Probe] = ask(refresh)
        return alone
    return [probe for probe in platform.probes(refresh) if probe.pending]


def compile_probes(shell: str, probes: Sequence[Probe], nonce: str) -> str:
    """Return the script that asks these probes."""
    return compile_powershell(probes, nonce) if shell == "powershell" else compile_script(probes, nonce)


def collect_snapshot(
    session: Session, refresh: str, clock: Clock, extra: Sequence[Probe] = (), *, pending_only: bool = False
) -> Snapshot:
    """Visit one host over an open session. Where root is refused, collect what can be had without it.

    A refusal is kept as the snapshot's `failure` beside the evidence. Raise HostError when nothing could be run.
    """
    probes = scan_probes(shell_of(session.host), refresh, extra, pending_only=pending_only)
    return collect_probes(session, probes, clock)


def collect_probes(session: Session, probes: Sequence[Probe], clock: Clock) -> Snapshot:
    """Ask these probes with one script; otherwise as collect_snapshot."""
    host = session.host
    become = host.connection.become.method != "none"
    taken_at = clock.now()
    try:
        nonce, result = ask(session, probes, become=become)
        refused = None
    except PrivilegeError as error:
        nonce, result = ask(session, probes, become=False)
        refused = error.failure
    snapshot = parse_output(
        result.stdout, probes, nonce, host=host.name, taken_at=taken_at, as_root=result.as_root,
        seconds=result.seconds, lost=result.lost, failure=refused,
    )  # fmt: skip
    if all(e.status == UNKNOWN for e in snapshot.evidence.values()) and refused is None:
        return replace(snapshot, failure=_nothing_heard(result))
    return snapshot


def ask(session: Session, probes: Sequence[Probe], *, become: bool) -> tuple[str, Result]:
    """Run the script of these probes once, with a fresh nonce; return the nonce and what came back."""
    nonce = secrets.token_hex(16)
    probes = stretch(probes, session.host)
    # A probe may work silently until its own deadline; only longer silence means that the host hangs.
    silence = max(session.host.connection.timeouts.silence, max(p.timeout for p in probes) + PATIENCE)
    command = Command(compile_probes(shell_of(session.host), probes, nonce), become=become, silence=silence)
    return nonce, session.run(command)


def stretch(probes: Sequence[Probe], host: Host) -> tuple[Probe, ...]:
    """Return the probes with the patience that the host's site asks for (timeout_factor)."""
    factor = host.connection.timeouts.factor
    return tuple(probes) if factor == 1 else tuple(replace(p, timeout=p.timeout * factor) for p in probes)


def _nothing_heard(result: Result) -> HostFailure:
    """Return why a host that took the script answered nothing."""
    said = decode(result.stderr).strip().splitlines()
    last = f": {said[-1]}" if said else ""
    if result.lost:
        timed_out = any(word in result.lost for word in ("silen", "deadline", "time"))
        return HostFailure(
            "no-answer", one_line(f"{result.lost}{last}"), "scan again; -v shows where it stops",
            "timeout" if timed_out else "unreachable",
        )  # fmt: skip
    return HostFailure(
        "no-answer", one_line(f"the script ended with {result.rc} and told nothing{last}"),
        "is the login shell able to run sh, and awk installed?",
    )  # fmt: skip


def scan_hosts(
    fleet: Fleet,
    connections: Opener,
    *,
    refresh: str,
    forks: int,
    clock: Clock,
    observer: Observer,
    store: SnapshotStore | None,
    extra: Callable[[Host], Sequence[Probe]] = lambda host: (),
    pending_only: bool = False,
) -> Iterator[ScannedHost]:
    """Visit the hosts, store what was seen, yield each host as it ends. Failures are results, never exceptions.

    With `pending_only` no snapshot is stored: what was not asked would read as unknown in the latest one. When each
    update was first seen is kept either way.
    """

    def work(host: Host) -> Snapshot:
        observer.step(host.name, "connecting")
        with closing(connections.open(host)) as session:
            observer.step(host.name, "collecting")
            return collect_snapshot(session, refresh, clock, extra(host), pending_only=pending_only)

    keeper, read = _Keeper(store, snapshots=not pending_only), make_reader()
    observer.started("scan", len(fleet.hosts))
    try:
        for host, outcome in visit(fleet.hosts, work, forks, site_forks=fleet.site_forks):
            if isinstance(outcome, HostFailure):
                outcome = Snapshot(host.name, clock.now(), failure=outcome)
            scanned = ScannedHost(outcome, read(outcome))
            keeper.keep(scanned)
            status, error = judge_status(scanned)
            observer.finished(host.name, status, error["message"] if error else "")
            yield scanned
    finally:
        keeper.flush()
        observer.ended()


class _Keeper:
    """Stores snapshots in batches, and when each update was first seen."""

    def __init__(self, store: SnapshotStore | None, *, snapshots: bool) -> None:
        self._store = store
        self._snapshots = snapshots
        self._waiting: list[ScannedHost] = []
        self._seen: set[tuple[str, str]] | None = None

    def keep(self, scanned: ScannedHost) -> None:
        self._waiting.append(scanned)
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        batch, self._waiting = self._waiting, []
        if self._store is None or not batch:
            return
        if self._snapshots:
            self._store.save_snapshots([one.snapshot for one in batch])
        if self._seen is None:
            self._seen = set(self._store.first_seen())
        for one in batch:
            new = [u for u in one.facts.updates or () if (u.package, u.candidate) not in self._seen]
            if new:
                self._store.note_updates(one.host, new, one.snapshot.taken_at)
                self._seen.update((u.package, u.candidate) for u in new)


def judge_status(scanned: ScannedHost) -> tuple[str, dict[str, Any] | None]:
    """Return (status, error) of one host as the machine-readable output has them."""
    failure = scanned.snapshot.failure
    if failure is not None:
        return failure.status, {"code": failure.code, "message": failure.message, "hint": failure.hint or None}
    missing = [(e.probe, e.reason) for e in scanned.snapshot.evidence.values() if e.status == UNKNOWN]
    if not scanned.snapshot.complete:
        probe, reason = missing[0] if missing else ("", "the end of the script was not seen")
        return "partial", {"code": "incomplete", "message": f"{probe}: {reason}".strip(": "), "hint": None}
    if missing:
        needs_root = [probe for probe, reason in missing if reason == "needs root"]
        if len(needs_root) == len(missing):
            message = f"{len(missing)} of {len(scanned.snapshot.evidence)} probes need root: {', '.join(needs_root)}"
            return "partial", {"code": "needs-root", "message": message, "hint": "set become: for this host"}
        return "partial", {"code": "probe-failed", "message": f"{missing[0][0]}: {missing[0][1]}", "hint": None}
    reason = scanned.facts.why_unknown("updates")
    if scanned.facts.updates is None:
        return "partial", {"code": "updates-unknown", "message": reason, "hint": None}
    return "ok", None


def describe_host(scanned: ScannedHost) -> dict[str, Any]:
    """Return one item of `hosts` in the output of `scan`. null means unknown, never none."""
    facts, snapshot = scanned.facts, scanned.snapshot
    status, error = judge_status(scanned)
    pending = None if facts.updates is None else [u for u in facts.updates if u.state == "upgradable"]
    return {
        "host": scanned.host,
        "status": status,
        "os": {"id": facts.os.id or None, "version": facts.os.version or None, "family": facts.os.family or None},
        "kernel": facts.kernel or None,
        "boot_id": facts.boot_id or None,
        "reboot_required": facts.reboot.required,
        "reasons": list(facts.reboot.reasons),
        "packages": None if facts.packages is None else len(facts.packages),
        "pending": None if pending is None else len(pending),
        "security": count_security(pending),
        "metadata_age": facts.metadata_age,
        "error": error,
        "seconds": round(snapshot.seconds, 2),
        "held_back": None if facts.updates is None else sum(is_held_back(u) for u in facts.updates),
        "held": _list(facts.held),
        "broken": _list(facts.broken),
        "restarts": _list(facts.restarts),
        "failed_units": _list(facts.failed_units),
        "other_updaters": _list(facts.other_updaters),
        "file_systems": None if facts.file_systems is None else [
            {"mount": f.mount, "total": f.total, "available": f.available} for f in facts.file_systems
        ],
        "clock_skew": facts.clock_skew,
        "last_activity": facts.last_activity,
        "taken_at": snapshot.taken_at,
        "round_trips": snapshot.round_trips,
        "unknown": dict(facts.unknown) if snapshot.evidence else {},
    }  # fmt: skip


def is_held_back(update: Update) -> bool:
    """Say whether something keeps the update from being installed now: a hold, phasing, a pin, dependencies."""
    return update.state not in ("upgradable", "new")


def count_security(pending: Sequence[Update] | None) -> int | None:
    """Return how many are security updates; None when that is unknown for any of them."""
    if pending is None or any(u.security is None for u in pending):
        return None
    return sum(bool(u.security) for u in pending)


def summarise(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the `summary` of `scan`. Sums are over hosts whose number is known; `unknown` counts the others."""
    statuses: dict[str, int] = {}
    for item in items:
        statuses[item["status"]] = statuses.get(item["status"], 0) + 1
    known = [item for item in items if item["pending"] is not None]
    return {
        "hosts": len(items),
        "status": statuses,
        "pending": sum(item["pending"] for item in known) if known else None,
        "security": sum(item["security"] for item in known) if known and all(
            item["security"] is not None for item in known
        ) else None,
        "unknown": len(items) - len(known),
        "reboot_required": sum(item["reboot_required"] is True for item in items),
        "reboot_unknown": sum(item["reboot_required"] is None for item in items),
    }  # fmt: skip


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
