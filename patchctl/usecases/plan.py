"""Plans a rollout: look at the hosts (or at their stored snapshots), ask what a partial approval pulls in, build."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.connect.fanout import visit
from patchctl.documents.policies import load_policy
from patchctl.documents.settings import Settings
from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import HostFailure, UsageError
from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts, Update
from patchctl.model.hosts import Host, Inventory
from patchctl.model.plan import PLAN_SCHEMA, Change, Plan
from patchctl.model.policy import Approval, Policy
from patchctl.model.ports import Clock, Observer
from patchctl.model.selection import select_hosts
from patchctl.patch.approvals import judge_update
from patchctl.platforms.registry import platform_for, platform_named, read_os
from patchctl.platforms.windows.offers import ORIGIN as OFFERED
from patchctl.platforms.windows.offers import add_offers, explain_offers
from patchctl.rollout.earlier import Kept, add_ways_back
from patchctl.rollout.hostplan import Judge, Survey, choose_updates, list_unresolved
from patchctl.rollout.membership import select_members
from patchctl.rollout.plan import build_plan
from patchctl.usecases.access import Fleet, with_total
from patchctl.usecases.atomic import write_atomically
from patchctl.usecases.earlier import ask_earlier, ask_probe
from patchctl.usecases.scan import Opener, SnapshotStore, scan_hosts
from patchctl.usecases.updates import forget_old


class Known(Protocol):
    """What planning needs of a rollout that the store knows."""

    @property
    def rollout(self) -> str: ...


class PlanStore(SnapshotStore, Protocol):
    """What planning needs of the store."""

    def iterate_latest(self, hosts: Iterable[str] | None = None) -> Iterator[Snapshot]: ...

    def rollouts(self) -> Sequence[Known]: ...

    def times_seen(self) -> Mapping[str, tuple[float | None, float]]: ...


class PlanRequest(Struct, frozen=True):
    """What to plan."""

    policy: Policy
    inventory: Inventory
    actor: str
    limit: str = ""
    """A limit pattern; @FILE is expanded already."""
    refresh: str = ""
    """auto | never | always; "" = the policy's."""
    from_snapshots: bool = False
    """Touch no host: take each one's latest snapshot."""
    forks: int = 50
    timeout: float | None = None
    """Total seconds of one visit; None = each host's own."""
    controllers: tuple[str, ...] = ()
    """Names of the machine that runs this: as a host of the inventory it comes last."""
    kept: Kept = field(default_factory=dict)
    """Files of packages that this controller has: what hosts can be rolled back to."""

    @property
    def scan_refresh(self) -> str:
        return self.refresh or self.policy.refresh

    def fleet(self, names: Iterable[str]) -> Fleet:
        """Return these hosts as visits need them."""
        hosts = (self.inventory.hosts[name] for name in names)
        return Fleet(self.inventory, tuple(with_total(host, self.timeout) for host in hosts))


def make_plan(
    request: PlanRequest, store: PlanStore, connections: Opener | None, clock: Clock, observer: Observer,
    *, save: bool = True,
) -> Plan:  # fmt: skip
    """Look at the selected hosts and return the plan. The plan itself is not stored: who starts it does that.

    `connections` may be None with `from_snapshots`; `save=False` leaves no snapshot either (--check). Raises UsageError
    when nothing is selected, StoreError; hosts that fail are in the plan, with the reason.
    """
    policy, inventory = request.policy, request.inventory
    members = select_members(inventory, policy, request.limit)
    if request.from_snapshots or connections is None:
        survey = make_surveyor(clock.now())
        surveys = {snapshot.host: survey(snapshot) for snapshot in store.iterate_latest(members)}
    else:
        surveys = _look(request, members, store if save else None, connections, clock, observer)
    now = clock.now()
    if policy.offers:
        surveys = _offer_packages(policy, surveys, store if save else None, now)
    surveys |= _recall_seen(request, surveys, store, now)
    judge = make_judge(policy, inventory, store.first_seen(), now)
    live = connections if not request.from_snapshots else None
    if live is not None:
        surveys |= _resolve_partial(request, surveys, judge, live, observer)
    plan = build_plan(
        policy, inventory, surveys, judge, now=now, actor=request.actor, limit=request.limit,
        known_rollouts={row.rollout for row in store.rollouts()}, controllers=request.controllers,
    )  # fmt: skip
    if live is None and not request.kept:
        return plan
    answers = ask_earlier(
        plan.hosts, request.fleet, request.kept, live, observer, refresh=request.scan_refresh, forks=request.forks
    )
    return add_ways_back(plan, answers, request.kept)


def _offer_packages(
    policy: Policy, surveys: Mapping[str, Survey], store: SnapshotStore | None, now: float
) -> dict[str, Survey]:
    """Return the surveys with the policy's own packages among the updates of hosts that they would change."""
    found = dict(surveys)
    for name, survey in surveys.items():
        if isinstance(survey.facts, HostFacts):
            facts = add_offers(survey.facts, policy.offers)
            found[name] = replace(survey, facts=facts, notes=explain_offers(survey.facts, policy.offers))
            if store is not None and facts is not survey.facts:
                store.note_updates(name, [u for u in facts.updates or () if u.origin == OFFERED], now)
    return found


def _recall_seen(
    request: PlanRequest, surveys: Mapping[str, Survey], store: PlanStore, now: float
) -> dict[str, Survey]:
    """Return the surveys of intermittent hosts, completed with when each was last reached."""
    marked = [name for name in surveys if request.inventory.hosts[name].intermittent is not None]
    times = store.times_seen() if marked else {}
    found = {}
    for name in marked:
        here = not request.from_snapshots and isinstance(surveys[name].facts, HostFacts)
        found[name] = replace(surveys[name], seen_at=now if here else times.get(name, (None, now))[0])
    return found


def find_policy(name: str, settings: Settings) -> Policy:
    """Given a policy's file, or its name below the policies folder, return it. Raise UsageError or DocumentsError."""
    candidates = [Path(name), settings.policies / f"{name}.yaml", settings.policies / f"{name}.yml"]
    for path in candidates:
        if path.is_file():
            return load_policy(path)
    known = sorted(path.stem for path in settings.policies.glob("*.y*ml"))
    hint = f"policies there: {', '.join(known)}" if known else f"there is none in {settings.policies}"
    raise UsageError("no-policy", f"there is no policy {name!r}", hint)


def write_plan_file(path: Path, plan: Plan) -> None:
    """Write the plan as a file that `load_plan_file` reads. Raise StoreError."""
    write_atomically(path, to_json(plan, indent=2) + b"\n")


def load_plan_file(path: Path) -> Plan:
    """Read a plan file. Raise UsageError if it cannot be read or is not a plan of this version."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UsageError("no-plan", f"cannot read {path}: {error.strerror}", "make one: patchctl plan --out") from error
    try:
        plan = from_json(Plan, text)
    except UsageError as error:
        raise UsageError("not-a-plan", f"{path} is not a plan file: {error.message}", error.hint) from error
    if plan.schema != PLAN_SCHEMA:
        raise UsageError("not-a-plan", f"{path} has schema {plan.schema!r}, known is {PLAN_SCHEMA!r}", "plan again")
    return plan


def controller_names() -> tuple[str, ...]:
    """Return the names by which an inventory may call this machine."""
    name = socket.gethostname()
    return tuple(dict.fromkeys((name, name.partition(".")[0])))


def make_judge(
    policy: Policy, inventory: Inventory, first_seen: Mapping[tuple[str, str], float], now: float
) -> Judge:
    """Return what decides about approvals, with patterns resolved once and equal cases decided once.

    `first_seen`: (package, candidate) -> Unix time. Raises UsageError if a rule's pattern names nothing.
    """
    patterns = dict.fromkeys(rule.hosts for rule in (*policy.approve, *policy.reject) if rule.hosts)
    members = {pattern: frozenset(select_hosts(inventory, pattern)) for pattern in patterns}
    decided: dict[tuple[tuple[bool, ...], Update], Approval] = {}

    def judge(host: Host, update: Update) -> Approval:
        key = (tuple(host.name in names for names in members.values()), update)
        found = decided.get(key)
        if found is None:
            seen = first_seen.get((update.package, update.candidate))
            found = judge_update(policy, host.name, update, seen, now, lambda pattern, name: name in members[pattern])
            decided[key] = found
        return found

    return judge


def make_surveyor(now: float) -> Callable[[Snapshot], Survey]:
    """Return what tells a snapshot's meaning for the planner at `now`: for one pass over many snapshots.

    Package lists that are too old by then make the pending updates unknown.
    """
    readers: dict[str, Callable[[Snapshot], HostFacts]] = {}

    def survey(snapshot: Snapshot) -> Survey:
        if snapshot.failure is not None:
            return Survey(snapshot.failure)
        platform = platform_for(snapshot)
        if platform is None:
            return Survey(HostFacts(os=read_os(snapshot)))
        if platform.name not in readers:
            make_reader = getattr(platform, "reader", None)  # platforms/contract.py, FleetReader: not all have it
            readers[platform.name] = make_reader() if make_reader else platform.read
        facts = readers[platform.name](snapshot)
        return Survey(forget_old(facts, max(0.0, now - snapshot.taken_at)), platform.name)

    return survey


def _look(
    request: PlanRequest, members: Sequence[str], store: SnapshotStore | None, connections: Opener, clock: Clock,
    observer: Observer,
) -> dict[str, Survey]:  # fmt: skip
    """Visit the selected hosts once and store what they show."""
    scanned = scan_hosts(
        request.fleet(members), connections, refresh=request.scan_refresh, forks=request.forks, clock=clock,
        observer=observer, store=store,
    )  # fmt: skip
    surveys = {}
    for one in scanned:
        platform = platform_for(one.snapshot)
        facts = one.snapshot.failure or one.facts
        surveys[one.host] = Survey(facts, platform.name if platform is not None else "")
    return surveys


def _resolve_partial(
    request: PlanRequest, surveys: Mapping[str, Survey], judge: Judge, connections: Opener, observer: Observer
) -> dict[str, Survey]:
    """Ask those hosts whose approved updates are only part of what is pending; return their completed surveys."""
    unresolved: dict[str, tuple[Change, ...]] = {}
    for name, survey in surveys.items():
        if isinstance(survey.facts, HostFacts) and survey.platform:
            host = request.inventory.hosts[name]
            changes = list_unresolved(choose_updates(host, survey.facts, judge), survey.facts)
            if changes:
                unresolved[name] = changes
    if not unresolved:
        return {}

    def work(host: Host) -> HostFacts | HostFailure:
        observer.step(host.name, "resolving")
        platform = surveys[host.name].platform
        return resolve_changes(host, platform, unresolved[host.name], request.scan_refresh, connections)

    fleet = request.fleet(unresolved)
    answers: dict[str, Survey] = {}
    observer.started("resolve", len(fleet.hosts))
    try:
        for host, answer in visit(fleet.hosts, work, request.forks, site_forks=fleet.site_forks):
            answers[host.name] = replace(surveys[host.name], resolution=answer)
            failure = answer if isinstance(answer, HostFailure) else None
            observer.finished(host.name, failure.status if failure else "ok", failure.message if failure else "")
    finally:
        observer.ended()
    return answers


def resolve_changes(
    host: Host, platform_name: str, changes: Sequence[Change], refresh: str, connections: Opener
) -> HostFacts | HostFailure:
    """Ask a host what installing just these changes would do to it. Nothing is installed. Raise HostError."""
    platform = platform_named(platform_name)
    output = ask_probe(host, platform.resolve_probe(changes, refresh), connections)
    return output if isinstance(output, HostFailure) else platform.read_resolution(output)


