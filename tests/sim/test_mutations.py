"""The simulator's teeth: break a promise on purpose and the checks must say so."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from patchctl.rollout.actions import Action, Record, RunJob, Surroundings, Waits
from patchctl.rollout.decide import decide
from patchctl.rollout.state import RolloutState
from patchctl.rollout.steps import attempt_name
from tests.sim.fleet import make_fleet, make_plan
from tests.sim.runs import Run, outcome_of, problems_of
from tests.sim.simhost import Scenario, SimHost
from tests.sim.world import Controls, Kill

Decision = Callable[[RolloutState, float, Surroundings], Sequence[Action]]


def forgets_intents(state: RolloutState, now: float, around: Surroundings) -> Sequence[Action]:
    """Submits starts without making their intent durable."""
    return [
        RunJob(a.job, replace(a.intent, durable=False)) if isinstance(a, RunJob) and a.job.kind == "start" else a
        for a in decide(state, now, around)
    ]


def restarts_blindly(state: RolloutState, now: float, around: Surroundings) -> Sequence[Action]:
    """Takes an attempt that is in doubt for lost and begins another one instead of asking."""
    actions: list[Action] = []
    for action in decide(state, now, around):
        if isinstance(action, RunJob) and action.job.kind == "poll":
            host = state.hosts[action.job.host]
            if host.last is not None and (host.last.kind, host.last.result) == ("start", "unreachable"):
                number = host.attempts + 1
                job = replace(action.job, kind="start", attempt=attempt_name(state.rollout, host.host, number))
                data = {**action.intent.data, "kind": "start", "attempt": job.attempt, "number": number}
                action = RunJob(job, replace(action.intent, data=data, durable=True))
        actions.append(action)
    return actions


def trusts_without_looking(state: RolloutState, now: float, around: Surroundings) -> Sequence[Action]:
    """Calls a host a success as soon as its package manager ended."""
    actions: list[Action] = []
    for action in decide(state, now, around):
        if isinstance(action, RunJob) and action.job.kind == "verify":
            draft = replace(action.intent, kind="host-settled", data={"state": "succeeded"}, reason="")
            actions.append(Record((draft,)))
        else:
            actions.append(action)
    return [a for a in actions if isinstance(a, Record)] or actions


def ignores_concurrency(state: RolloutState, now: float, around: Surroundings) -> Sequence[Action]:
    wide = replace(state, plan=replace(state.plan, concurrency=99))
    return decide(wide, now, around)


def _search(faulty: Decision, step: int, wanted_word: str = "") -> list[str]:
    """Kill a small rollout at every step-th write and submit under a faulty decision; return what the checks say.

    Stops as soon as a check says `wanted_word`.
    """
    def make() -> Run:
        names = ["h01", "h02", "h03"]
        return Run.of(make_plan(names), [SimHost(name, Scenario(install=60.0)) for name in names], decide=faulty)

    whole, controls = make(), Controls()
    state = whole.control(controls)
    assert state is not None
    found, wanted = problems_of(whole, state), outcome_of(whole, state)
    for at, steps in controls.counts.items():
        for nth in range(1, steps + 1, step):
            if wanted_word and any(wanted_word in line for line in found):
                return found
            run = make()
            state = run.finish(Kill(at, nth))
            found += problems_of(run, state)
            if outcome_of(run, state) != wanted:
                found.append(f"{at}:{nth} ends otherwise")
    return found


def test_the_real_decision_passes_the_same_search() -> None:
    assert _search(decide, 5) == []


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (forgets_intents, "without a durable intent"),
        (restarts_blindly, "two installs at once"),
        (trusts_without_looking, "succeeded without verification"),
        (ignores_concurrency, "more hosts at work"),
    ],
)
def test_a_broken_promise_is_found(faulty: Decision, said: str) -> None:
    found = _search(faulty, 1, said)
    assert any(said in line for line in found), found[:5]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_remembered_between_decisions_changes_none_of_them(seed: int) -> None:
    def twice(state: RolloutState, now: float, around: Surroundings) -> Sequence[Action]:
        fresh = decide(state, now, replace(around, waits=Waits()))
        assert decide(state, now, around) == fresh
        return fresh

    plan, hosts = make_fleet(seed, 12)
    state = Run.of(plan, hosts, seed, decide=twice).finish(Kill("append-after", 40))
    assert state.status == "completed"
