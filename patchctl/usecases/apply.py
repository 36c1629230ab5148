"""Begin a rollout: check that its plan still fits, keep its artefacts, record it. Carrying it out is controller.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from patchctl.deliver.cache import ArtefactCache, ArtefactError
from patchctl.deliver.fetch import Fetcher
from patchctl.documents.inventories import load_inventory
from patchctl.documents.policies import load_policy
from patchctl.documents.settings import Settings
from patchctl.model.errors import PlanStaleError, UsageError
from patchctl.model.facts import Artefact
from patchctl.model.hosts import Inventory
from patchctl.model.plan import Plan
from patchctl.model.ports import Observer
from patchctl.report.digest import code_of_state, worst_exit
from patchctl.rollout.plan import check_fresh
from patchctl.rollout.state import ABORTED, COMPLETED
from patchctl.store.database import Store
from patchctl.usecases.rollouts import load_state

DOWNLOADS = 4
"""Artefacts fetched at once: a mirror is a shared thing."""


class PlanOutline(Struct, frozen=True):
    """What a confirmation has to say about a plan."""

    hosts: int
    changes: int
    reboots: int
    rings: tuple[tuple[str, int], ...]
    """(ring, hosts that change)"""
    left_alone: tuple[tuple[str, int], ...]
    """(state, hosts that are not touched)"""
    download: int


def outline_plan(plan: Plan) -> PlanOutline:
    """Return the figures a person confirms."""
    changing = [host for host in plan.hosts.values() if host.work and not host.skip]
    per_ring = Counter(host.ring for host in changing)
    skipped = Counter(host.skip_state for host in plan.hosts.values() if host.skip)
    return PlanOutline(
        hosts=len(changing),
        changes=sum(host.work for host in changing),
        reboots=sum(1 for host in changing if host.reboot_expected),
        rings=tuple((ring.name, per_ring[ring.name]) for ring in plan.rings if per_ring[ring.name]),
        left_alone=tuple(sorted(skipped.items())),
        download=sum(artefact.size for artefact in plan.artefacts.values()),
    )


def require_fresh(plan: Plan, settings: Settings) -> Inventory:
    """Return the inventory if policy and membership are still those of the plan. Raise PlanStaleError if not."""
    inventory = load_inventory(settings.inventory)
    if not plan.policy_source:
        return inventory
    path = Path(plan.policy_source)
    if not path.is_file():
        raise PlanStaleError(
            "plan-stale", f"plan {plan.rollout} is stale: its policy {path} is gone", "plan again with a policy"
        )
    check_fresh(plan, load_policy(path), inventory)
    return inventory


def keep_artefacts(plan: Plan, cache: ArtefactCache, observer: Observer) -> dict[str, ArtefactError]:
    """Fetch every file of the plan once, so that a version which vanishes from the mirror can still be installed.

    Return the errors by SHA-256. They stop nothing: a host may have the file or get it from its own mirror, and
    whichever host has it first gives it to the controller.
    """
    fetcher = Fetcher(cache)
    # What has no address is on a host only, in its package cache: it is taken from there when the host is staged.
    missing = [a for sha256, a in plan.artefacts.items() if not cache.has(sha256) and a.uri]
    if missing:
        observer.note(f"fetching {len(missing)} packages once, to keep them")

    def fetch(artefact: Artefact) -> tuple[str, ArtefactError | None]:
        try:
            fetcher.fetch(artefact)
        except ArtefactError as error:
            return artefact.sha256, error
        return artefact.sha256, None

    with ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="fetch") as pool:
        errors = {sha256: error for sha256, error in pool.map(fetch, missing) if error is not None}
    if errors:
        first = next(iter(errors.values()))
        observer.note(f"{len(errors)} packages could not be kept here ({first.message}); hosts fetch them themselves")
    return errors


def record_rollout(plan: Plan, store: Store, actor: str) -> None:
    """Make the plan a rollout. The same plan may be applied again: it is then the same rollout, gone on with.

    Raise UsageError when another plan has taken its name.
    """
    known = {row.rollout for row in store.rollouts()}
    if plan.rollout in known:
        if store.load_plan(plan.rollout) != plan:
            raise UsageError(
                "rollout-exists", f"rollout {plan.rollout} exists with another plan", "plan again: it gets a new name"
            )
        return
    store.save_plan(plan, actor)


def is_over(store: Store, plan: Plan) -> bool:
    """Say whether this very plan was carried out to its end already, so that applying it again can change nothing."""
    if all(row.rollout != plan.rollout for row in store.rollouts()) or store.load_plan(plan.rollout) != plan:
        return False
    return load_state(store, plan.rollout).status in (COMPLETED, ABORTED)


def exit_code_without_work(plan: Plan) -> int:
    """Return the exit code when no host changes: as of a rollout that ended with these hosts skipped."""
    if plan.hosts and all(h.failure is not None and h.failure.status == "host-key" for h in plan.hosts.values()):
        return 13
    return worst_exit(code_of_state(host.skip_state) for host in plan.hosts.values() if host.skip)


def start_detached(rollout: str, settings: Settings, folder: Path) -> Path:
    """Start a controller of its own session that carries the rollout on; return the file its output goes to.

    If it dies, `patchctl rollout tick` (the shipped timer) or `rollout resume` takes over.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = folder / f"{rollout}.log"
    command = [sys.executable, "-m", "patchctl", "rollout", "resume", rollout, "--state", settings.state]
    for path in settings.inventory:
        command += ["-i", str(path)]
    with log.open("ab") as out:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=settings.project, start_new_session=True,
            env=dict(os.environ),
        )
    return log
