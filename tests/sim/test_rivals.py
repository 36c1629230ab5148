"""Promise: two controllers on one rollout never both act; the older one steps back, and nothing is done twice."""

from __future__ import annotations

import os
from functools import partial

import pytest

from patchctl.model.errors import LockedError
from tests.sim.fleet import make_fleet
from tests.sim.runs import Run, outcome_of, problems_of
from tests.sim.world import Controls


def _reference(seed: int, count: int) -> tuple[dict[str, object], int]:
    plan, hosts = make_fleet(seed, count)
    run, controls = Run.of(plan, hosts, seed), Controls()
    state = run.control(controls)
    assert state is not None
    return outcome_of(run, state), controls.counts["append-before"]


@pytest.mark.parametrize("seed", [0, 3, 4])
@pytest.mark.parametrize("patience", [None, 3])
def test_a_rival_that_takes_over_at_any_write_leaves_one_in_charge(seed: int, patience: int | None) -> None:
    """The rival comes in the middle of the first controller's nth write and works to the end, or for 3 writes.

    Every third write here, every one in the long version.
    """
    wanted, writes = _reference(seed, 3)
    step = 1 if os.environ.get("PATCHCTL_SOAK") else 3
    for nth in range(1, writes + 1, step):
        plan, hosts = make_fleet(seed, 3)
        run = Run.of(plan, hosts, seed)
        first = Controls(between={nth: partial(run.control, Controls(stop_after=patience))})
        state = run.control(first)
        assert state is None or nth == 1, f"write {nth}: the first controller went on although it was superseded"
        last = run.control(Controls())
        assert last is not None
        assert not problems_of(run, last), (nth, problems_of(run, last))
        assert outcome_of(run, last) == wanted, nth


def test_the_one_who_lost_is_told_who_has_it() -> None:
    from patchctl.usecases.carry_out import Options, carry_out
    from tests.sim.runs import Silent
    from tests.sim.world import SimExecutor

    plan, hosts = make_fleet(1, 3)
    run = Run.of(plan, hosts, 1)
    controls = Controls(between={9: lambda: run.control(Controls(stop_after=2))})
    with pytest.raises(LockedError) as caught:
        carry_out(
            plan, run.journal.through(controls), SimExecutor(run.world, run.journal, controls), run.world, Silent(),
            controls, "ann@first", next_token=run.world.next_token, options=Options(nap=60.0),
        )
    assert "ann@ctl1" in caught.value.message
