"""Promise: a host that failed is taken back exactly once, whatever is killed, and its failure is not forgotten."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from patchctl.model.plan import Plan
from patchctl.model.rollout import Event
from patchctl.rollout.gates import is_proven
from patchctl.rollout.hostfold import fold_host
from patchctl.rollout.state import RolloutState
from tests.sim.fleet import BROKEN, START, TURNS_BACK, make_plan
from tests.sim.runs import Run, kill_everywhere, problems_of
from tests.sim.simhost import Scenario, SimHost
from tests.sim.world import Controls

ENDS = {
    "back": "rolled-back", "back-from-half": "rolled-back", "back-second-time": "rolled-back", "back-fails": "failed",
    "back-half-way": "failed", "back-cut": "rolled-back", "back-lost": "rolled-back", "back-reboot": "rolled-back",
    "back-still-sick": "failed", "back-sshd-cut": "rolled-back", "no-way-back": "failed", "power-cut": "succeeded",
    "clean": "succeeded",
}


def one(scenario: Scenario, **changes: Any) -> tuple[Run, RolloutState]:
    """Run a rollout of a clean host, this one and a third."""
    plan = make_plan(["h01", "h02", "h03"], on_failure="rollback", concurrency=1, **changes)
    plan = replace(plan, hosts={n: replace(h, reboot="if_required") for n, h in plan.hosts.items()})
    if scenario.no_way_back:
        lost = replace(plan.hosts["h02"].undo, changes=(), why_not="openssl 1.0: no longer listed")
        plan = replace(plan, hosts={**plan.hosts, "h02": replace(plan.hosts["h02"], undo=lost)})
    hosts = [SimHost("h01", Scenario()), SimHost("h02", scenario), SimHost("h03", Scenario())]
    run = Run.of(plan, hosts)
    return run, run.finish()


@pytest.mark.parametrize("scenario", TURNS_BACK, ids=lambda s: s.name)
def test_each_way_back_ends_where_it_must(scenario: Scenario) -> None:
    run, state = one(scenario)
    assert not problems_of(run, state)
    host = state.hosts["h02"]
    assert host.state == ENDS[scenario.name], host.message
    begun = [event for event in run.journal.written if event.kind == "host-rolling-back"]
    assert len(begun) == (scenario.name.startswith("back"))
    assert (host.counts == "errors") == (host.state != "succeeded")
    assert state.hosts["h03"].state == "succeeded"


def test_the_failure_stays_the_diagnosis_and_the_way_back_is_told_in_words() -> None:
    _, state = one(Scenario(failures=-1, failure_log=BROKEN, half_done=True))
    host = state.hosts["h02"]
    assert host.diagnosis is not None
    assert (host.diagnosis.signature, host.state) == ("postinst-failed", "rolled-back")
    assert host.message.startswith("a postinst fails")
    assert "rolled back, the earlier versions are in place" in host.message
    _, state = one(Scenario(unhealthy=True, undo_failures=-1, failure_log=BROKEN))
    host = state.hosts["h02"]
    assert host.diagnosis is not None
    assert (host.diagnosis.signature, host.state) == ("health-regressed", "failed")
    assert host.message.endswith("not rolled back: a postinst fails")


def test_what_cannot_be_rolled_back_says_so_and_is_not_touched_again() -> None:
    run, state = one(Scenario(unhealthy=True, no_way_back=True))
    assert state.hosts["h02"].message.endswith("cannot be rolled back: openssl 1.0: no longer listed")
    assert len(run.world.hosts["h02"].installs) == 1


def test_a_host_on_which_nothing_changed_is_not_rolled_back() -> None:
    run, state = one(Scenario(failures=-1, failure_log=BROKEN))
    assert state.hosts["h02"].state == "failed"
    assert state.hosts["h02"].message.endswith("nothing to roll back: no planned change is in place")
    assert len(run.world.hosts["h02"].installs) == 1


def test_the_failure_counts_at_once_and_the_halt_does_not_leave_the_host_half_way() -> None:
    """Limit 0: while h02 goes back, nothing else begins; it still gets to its end."""
    plan = make_plan(["h01", "h02", "h03"])
    run, state = one(Scenario(unhealthy=True), limits=replace(plan.limits, errors="0"))
    assert (state.status, state.message) == ("halted", "errors 1/3, limit 0")
    assert {name: host.state for name, host in state.hosts.items()} == {
        "h01": "succeeded", "h02": "rolled-back", "h03": "pending",
    }
    order = [e.kind for e in run.journal.written if e.kind in ("rollout-halted", "host-rolling-back", "host-settled")]
    assert order == ["host-settled", "host-rolling-back", "rollout-halted", "host-settled"]


def test_an_abort_begins_no_way_back() -> None:
    plan: Plan = make_plan(["h01", "h02"], on_failure="rollback")
    run = Run.of(plan, [SimHost("h01", Scenario()), SimHost("h02", Scenario(unhealthy=True, install=600.0))])
    run.world.after(300.0, lambda: run.journal.append([
        Event(plan.rollout, len(run.journal.written) + 1, run.world.time, "bob@desk", "rollout-aborted", "", {}, "stop")
    ]))
    state = run.finish()
    assert (state.status, state.hosts["h02"].state) == ("aborted", "failed")
    assert state.hosts["h02"].message.endswith("not rolled back: the rollout was aborted")


def test_a_retry_after_a_rollback_goes_forward_again() -> None:
    _, state = one(Scenario(unhealthy=True))
    given = {"hosts": ["h02"], "rings": ["rest"]}
    event = Event("sim-0", 999, START, "bob@desk", "rollout-retried", "", given, "again")
    host = fold_host(state.hosts["h02"], event)
    assert (host.undoing, host.cause, host.touched, host.settled, host.previous) == (
        False, None, False, False, state.hosts["h02"].attempt,
    )


def test_what_another_rollout_took_back_is_settled_and_no_failure() -> None:
    run, state = one(Scenario())
    event = Event("sim-0", state.seq + 1, START, "bob@desk", "host-rolled-back", "h02", {"by": "x"}, "taken back by x")
    host = fold_host(state.hosts["h02"], event)
    assert (host.state, host.settled, host.counts, host.message) == ("rolled-back", True, "", "taken back by x")
    assert is_proven(host)
    assert not is_proven(replace(host, counts="errors"))
    run.journal.append([event])
    again = run.control(Controls())
    assert again is not None
    assert len(run.world.hosts["h02"].installs) == 1


@pytest.mark.parametrize("seed", [215, 223])  # cut, half-way; reboot, lost replies
def test_a_kill_at_every_write_and_every_submit_changes_nothing(seed: int) -> None:
    found = kill_everywhere(seed, 3, on_failure="rollback")
    assert not found, "\n".join(found[:5])


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(200, 230))
def test_soak_every_way_back_killed_at_every_write(seed: int) -> None:
    found = kill_everywhere(seed, 3, on_failure="rollback")
    assert not found, "\n".join(found[:5])
