"""Builds the rollout loop from real parts: store, inventory, connections, executor, notifier; and runs it.

`apply`, `rollout resume`, `rollout retry` and `rollout tick` all come through here.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path

from patchctl.collect import fixing
from patchctl.connect.contract import Transport
from patchctl.deliver.cache import ArtefactCache
from patchctl.documents.inventories import load_inventory
from patchctl.documents.settings import Settings
from patchctl.model.errors import HostFailure
from patchctl.model.facts import Artefact
from patchctl.model.hosts import Inventory
from patchctl.model.plan import REMEDIATE, Plan
from patchctl.model.ports import Clock, Interrupt, Observer
from patchctl.model.redaction import Redactor
from patchctl.model.rollout import HostJob, JobOutcome, Signature
from patchctl.platforms.registry import all_platforms
from patchctl.rollout.gates import find_down
from patchctl.rollout.state import RolloutState
from patchctl.store.database import Store
from patchctl.usecases.access import open_connections
from patchctl.usecases.carry_out import Options, carry_out
from patchctl.usecases.executor import PoolExecutor
from patchctl.usecases.hostjobs import HostVisits
from patchctl.usecases.hostjobs_fix import FixVisits
from patchctl.usecases.notify import make_notifier
from patchctl.usecases.rollback import mark_undone
from patchctl.usecases.rollouts import load_state, released

_LOOK_ELSEWHERE = 15.0
"""Seconds for which what other rollouts have down is taken as known."""

_VISITS: Mapping[str, type[HostVisits]] = {REMEDIATE: FixVisits}
"""Kind of plan -> who carries out its jobs; HostVisits for all others."""


def _signatures(plan: Plan) -> dict[str, Sequence[Signature]]:
    """Return by platform how failures look; "" = a host whose package manager nobody knows."""
    own = fixing.SIGNATURES if plan.kind == REMEDIATE else ()
    return {"": own, **{platform.name: (*own, *platform.signatures) for platform in all_platforms()}}


def artefact_folder(settings: Settings) -> Path:
    """Return where artefacts are kept on the controller, so that a version survives its mirror."""
    return settings.project / ".patchctl" / "artefacts"


def known_artefacts(settings: Settings) -> dict[tuple[str, str, str], Artefact]:
    """Return the packages that this controller keeps, by (package, version, arch)."""
    return ArtefactCache(artefact_folder(settings)).known()


def run_rollout(
    settings: Settings,
    rollout: str,
    *,
    store: Store,
    clock: Clock,
    observer: Observer,
    interrupt: Interrupt,
    actor: str,
    command: str,
    once: bool = False,
    prompt: Callable[[str], str] | None = None,
    inventory: Inventory | None = None,
    transports: Mapping[str, Transport] | None = None,
    redactor: Redactor | None = None,
) -> RolloutState:
    """Carry a saved plan on from wherever its journal stands; return the state it got to.

    `command` is what the lock's other waiters are told; `once`: do what is due, then return (rollout tick);
    `inventory`: as already loaded, else the settings' one. Raise LockedError naming who else works on it, StoreError,
    DocumentsError for an invalid inventory.
    """
    plan = store.load_plan(rollout)
    with store.lock(f"rollout {rollout}", command):
        fleet = inventory if inventory is not None else load_inventory(settings.inventory)
        redactor = redactor or Redactor()
        store = store.redacting(redactor.clean)
        with open_connections(settings, fleet, prompt, transports, redactor) as connections:
            cache = ArtefactCache(artefact_folder(settings))
            visits = _VISITS.get(plan.kind, HostVisits)(plan, fleet, connections, cache, store, clock)
            executor = PoolExecutor(
                _perform_known(visits, fleet), settings.forks,
                site_of={name: host.site for name, host in fleet.hosts.items()},
                site_forks={name: site.forks for name, site in fleet.sites.items() if site.forks is not None},
            )
            sender = f"patchctl@{socket.gethostname()}"
            found = carry_out(
                plan, store.journal, executor, clock, observer, interrupt, actor,
                make_notifier(store, plan.notify, settings.smtp, settings.project, sender, redactor.clean),
                next_token=store.next_token,
                options=Options(
                    once=once,
                    signatures=_signatures(plan),
                    down_elsewhere=_Elsewhere(store, plan, clock),
                ),
            )
            if plan.undoes:
                mark_undone(store, found, actor, clock)
            return found


def _perform_known(visits: HostVisits, inventory: Inventory) -> Callable[[HostJob], JobOutcome]:
    """Refuse jobs for hosts that were taken out of the inventory after the plan was made: nobody can reach them."""
    def perform(job: HostJob) -> JobOutcome:
        if job.host in inventory.hosts:
            return visits.perform(job)
        failure = HostFailure(
            "not-in-inventory", f"{job.host} is no longer in the inventory", "put it back, then resume", "unreachable",
        )
        return JobOutcome(job.id, job.host, job.kind, "unreachable", job.attempt, failure)

    return perform


class _Elsewhere:
    """Asks the other rollouts of the store which members of limited groups they have down or in flight."""

    def __init__(self, store: Store, plan: Plan, clock: Clock) -> None:
        self._store, self._rollout, self._clock = store, plan.rollout, clock
        self._groups = {group for host in plan.hosts.values() for group, _ in host.max_down}
        self._known: Mapping[str, Set[str]] = {}
        self._until = float("-inf")

    def __call__(self) -> Mapping[str, Set[str]]:
        if self._groups and self._clock.now() >= self._until:
            self._known = self._ask()
            self._until = self._clock.now() + _LOOK_ELSEWHERE
        return self._known

    def _ask(self) -> dict[str, set[str]]:
        down: dict[str, set[str]] = {}
        for rollout in released(self._store):
            if rollout == self._rollout:
                continue
            for group, hosts in find_down(load_state(self._store, rollout), {}).items():
                if group in self._groups:
                    down.setdefault(group, set()).update(hosts)
        return down
