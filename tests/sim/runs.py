"""Runs rollouts in the simulator, with kills and rivals, and checks what must hold of every run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from patchctl.model.errors import LockedError
from patchctl.model.plan import Plan
from patchctl.model.rollout import Event
from patchctl.rollout.decide import decide
from patchctl.rollout.gates import check_window
from patchctl.rollout.journal import fold, initial
from patchctl.rollout.state import RUNNING, RolloutState
from patchctl.rollout.tally import take_tally
from patchctl.usecases.carry_out import Decide, Options, carry_out
from tests.sim.fleet import SIGNATURES, START, make_fleet
from tests.sim.simhost import SimHost
from tests.sim.world import Controls, Crash, Kill, SimExecutor, SimJournal, World

GAP = 45.0
"""Seconds between a controller's death and the next one's start."""


class Silent:
    """An observer that says nothing."""

    def started(self, title: str, total: int) -> None: ...
    def step(self, host: str, step: str) -> None: ...
    def finished(self, host: str, state: str, message: str = "") -> None: ...
    def note(self, message: str) -> None: ...
    def ended(self) -> None: ...


@dataclass
class Run:
    """One rollout from its start to its end, over as many controllers as it took."""

    plan: Plan
    world: World
    journal: SimJournal = field(default_factory=SimJournal)
    decide: Decide = decide
    executor: Callable[[World, SimJournal, Controls], SimExecutor] = SimExecutor
    controllers: int = 0

    @classmethod
    def of(cls, plan: Plan, hosts: list[SimHost], seed: int = 0, **more: Any) -> Run:
        return cls(plan, World(seed, hosts, START), **more)

    def control(self, controls: Controls, **options: Any) -> RolloutState | None:
        """Run one controller until it ends, is killed (None) or is superseded (None)."""
        self.controllers += 1
        executor = self.executor(self.world, self.journal, controls)
        try:
            return carry_out(
                self.plan, self.journal.through(controls), executor, self.world, Silent(), controls,
                f"ann@ctl{self.controllers}", next_token=self.world.next_token,
                options=Options(nap=60.0, signatures={"sim": SIGNATURES}, decide=self.decide, **options),
            )
        except (Crash, LockedError):
            return None
        finally:
            executor.dead = True

    def finish(self, *kills: Kill) -> RolloutState:
        """Run to the end, killed once for each of `kills` on the way."""
        for kill in kills:
            state = self.control(Controls(kill))
            if state is not None:
                return state  # it was over before the kill could happen
            self.world.advance(self.world.time + GAP)
        state = self.control(Controls())
        assert state is not None
        return state


def outcome_of(run: Run, state: RolloutState) -> dict[str, object]:
    """Return what must be the same however often the controller died: states, installs, versions, reboots."""
    hosts = {
        name: (
            state.hosts[name].state, state.hosts[name].counts, len(host.installs), host.version, host.reboots,
            host.staged or bool(host.claims),
        )
        for name, host in run.world.hosts.items()
    }
    return {"status": state.status, **hosts}


def problems_of(run: Run, state: RolloutState) -> list[str]:
    """Return everything in a finished run that breaks a promise."""
    found = [*run.world.problems, *_journal_problems(run)]
    if _told(fold_journal(run.plan, run.journal.written)) != _told(state):
        found.append("the journal folds to another state than the one the loop ended with")
    for name, host in run.world.hosts.items():
        attempts = [attempt for attempt, _ in host.installs]
        if len(attempts) != len(set(attempts)):
            found.append(f"{name}: started twice: {attempts}")
        if host.overlaps:
            found.append(f"{name}: {host.overlaps} attempts to run two installs at once")
        progress = state.hosts[name]
        if state.status == "completed" and not progress.settled:
            found.append(f"{name}: forgotten in state {progress.state}")
        if progress.state in ("succeeded", "late") and (host.version != "2.0" or host.half_done):
            found.append(f"{name}: said to be {progress.state} at version {host.version}")
        if progress.state == "rolled-back" and (host.version != "1.0" or host.half_done):
            found.append(f"{name}: said to be rolled back at version {host.version}")
        if progress.undoing and not progress.diagnosis:
            found.append(f"{name}: rolled back, and nobody knows any more why")
        at_work = any(claim.state == "running" for claim in host.claims.values())
        if at_work and progress.settled and progress.state != "in-doubt":
            found.append(f"{name}: settled as {progress.state} while an install is running")
    return found


def _told(state: RolloutState) -> RolloutState:
    """The state without what only one controller's memory holds (how often it looked, job numbers)."""
    hosts = {name: replace(host, jobs=0) for name, host in state.hosts.items()}
    return replace(state, hosts=hosts)


def fold_journal(plan: Plan, events: list[Event]) -> RolloutState:
    state = initial(plan)
    for event in events:
        state = fold(state, event)
    return state


def _journal_problems(run: Run) -> list[str]:
    """Walk the journal: nothing may be begun that the state before it did not allow."""
    found, state = [], initial(run.plan)
    for event in run.journal.written:
        if event.kind == "job-intended":
            found.extend(_intent_problems(state, event))
        state = fold(state, event)
        if len(state.tally.active) > run.plan.concurrency:
            found.append(f"event {event.seq}: more hosts at work than {run.plan.concurrency}")
        if state.tally != take_tally(run.plan, state.hosts):
            found.append(f"event {event.seq}: the tally went wrong")
        if event.kind == "host-settled" and event.data["state"] in ("succeeded", "late", "reboot-pending"):
            host = state.hosts[event.host]
            if host.open_attempt or (host.changes and not host.verified):
                found.append(f"event {event.seq}: {event.host} succeeded without verification")
    return found


def _intent_problems(state: RolloutState, event: Event) -> list[str]:
    kind, host = event.data["kind"], state.hosts[event.host]
    found = []
    if host.job:
        found.append(f"event {event.seq}: {event.host} gets {kind} while {host.job_kind} is out")
    if kind in ("preflight", "stage", "start") and not (kind == "stage" and host.staged) and not host.undoing:
        if state.status != RUNNING:
            found.append(f"event {event.seq}: {kind} of {event.host} while the rollout is {state.status}")
        ring = [ring.name for ring in state.plan.rings].index(state.plan.hosts[event.host].ring)
        if state.rings[ring].opened_at is None:
            found.append(f"event {event.seq}: {kind} of {event.host} before its ring opened")
        if any(earlier.finished_at is None for earlier in state.rings[:ring]):
            found.append(f"event {event.seq}: {kind} of {event.host} before the ring before it finished")
        if kind == "start" and not check_window(state, ring, event.at).open:
            found.append(f"event {event.seq}: {event.host} started outside its window")
    if kind == "start" and host.open_attempt:
        found.append(f"event {event.seq}: {event.host} gets a start while {host.attempt} may be at work")
    return found


def kill_everywhere(
    seed: int, count: int, pick: Callable[[list[Kill]], Iterable[Kill]] = iter, **changes: object
) -> list[str]:
    """Run a seed's rollout once without and then once with each kill; return what differs or breaks a promise."""
    plan, hosts = make_fleet(seed, count, **changes)
    whole = Run.of(plan, hosts, seed)
    controls = Controls()
    state = whole.control(controls)
    assert state is not None
    found = [explain(seed, count, (), problem) for problem in problems_of(whole, state)]
    wanted = outcome_of(whole, state)
    kills = [Kill(at, nth) for at, steps in controls.counts.items() for nth in range(1, steps + 1)]
    for kill in pick(kills):
        plan, hosts = make_fleet(seed, count, **changes)
        run = Run.of(plan, hosts, seed)
        state = run.finish(kill)
        said: list[object] = [*problems_of(run, state)]
        if outcome_of(run, state) != wanted:
            got = outcome_of(run, state)
            said.append({name: (wanted[name], got[name]) for name in wanted if wanted[name] != got[name]})
        found.extend(explain(seed, count, (kill,), problem) for problem in said)
    return found


def explain(seed: int, hosts: int, kills: tuple[Kill, ...], said: object) -> str:
    """Return the message of a failing run: what is wrong, and the command that replays it."""
    replay = f"python -m tests.sim --seed {seed} --hosts {hosts}" + "".join(f" --kill {kill}" for kill in kills)
    return f"{said}\nreplay: {replay}"
