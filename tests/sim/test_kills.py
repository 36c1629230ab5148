"""Promise: kill the controller anywhere; the rollout ends as if nothing had happened, and nothing is done twice."""

from __future__ import annotations

import os
import random

import pytest

from tests.sim.fleet import make_fleet
from tests.sim.runs import Run, explain, kill_everywhere, outcome_of, problems_of
from tests.sim.world import Controls, Kill


@pytest.mark.parametrize("seed", range(5))
def test_a_kill_at_every_write_and_every_submit_changes_nothing(seed: int) -> None:
    found = kill_everywhere(seed, 3)
    assert not found, "\n".join(found[:5])


@pytest.mark.parametrize("seed", range(100, 106))
def test_a_larger_fleet_survives_several_kills_in_one_rollout(seed: int) -> None:
    plan, hosts = make_fleet(seed, 12)
    whole = Run.of(plan, hosts, seed)
    wanted_state = whole.finish()
    wanted = outcome_of(whole, wanted_state)
    rng = random.Random(seed)
    kills = tuple(Kill(rng.choice(("append-before", "append-after", "submit-before", "submit-after")), n)
                  for n in (rng.randrange(1, 30) for _ in range(6)))
    plan, hosts = make_fleet(seed, 12)
    run = Run.of(plan, hosts, seed)
    state = run.finish(*kills)
    assert not problems_of(run, state), explain(seed, 12, kills, problems_of(run, state))
    assert outcome_of(run, state) == wanted, explain(seed, 12, kills, "another end than without the kills")


def test_the_same_seed_and_kill_give_the_same_journal() -> None:
    journals = []
    for _ in range(2):
        plan, hosts = make_fleet(7, 5)
        run = Run.of(plan, hosts, 7)
        run.finish(Kill("append-after", 20))
        journals.append(run.journal.written)
    assert journals[0] == journals[1]


def test_a_finished_rollout_that_is_run_again_does_nothing() -> None:
    plan, hosts = make_fleet(1, 4)
    run = Run.of(plan, hosts, 1)
    before = run.finish()
    installs = [len(host.installs) for host in hosts]
    again = run.control(Controls())
    assert again is not None
    assert outcome_of(run, again) == outcome_of(run, before)
    assert [len(host.installs) for host in hosts] == installs


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(1000, 1050))
def test_soak_thirty_hosts_killed_at_every_write(seed: int) -> None:
    """A sample of 25 kills a seed, some hours in all; PATCHCTL_SIM_KILLS=N takes N kills (0 = all, for days)."""
    sample = int(os.environ.get("PATCHCTL_SIM_KILLS", "25"))
    rng = random.Random(seed)
    found = kill_everywhere(seed, 30, lambda kills: rng.sample(kills, min(sample, len(kills))) if sample else kills)
    assert not found, "\n".join(found[:5])
