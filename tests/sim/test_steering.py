"""Promises about gates: windows, soak, approvals, limits, max_down, late hosts, pause, abort, ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from patchctl.model.plan import Plan, PlannedRing
from patchctl.model.policy import Limits
from patchctl.model.rollout import Event
from patchctl.rollout.actions import RunJob
from patchctl.rollout.document import to_document
from patchctl.rollout.endings import Case
from patchctl.rollout.gates import acknowledge
from patchctl.rollout.journal import fold_all, initial
from patchctl.rollout.state import LastJob, RolloutState
from patchctl.rollout.steps import REBOOT_CAP, next_step
from tests.sim.fleet import BROKEN, LOCKED, START, make_plan
from tests.sim.runs import Run, fold_journal, problems_of
from tests.sim.simhost import Scenario, SimHost
from tests.sim.world import Controls

WIDE = Limits(errors="100%", unreachable="100%", changed="100%", host_time=3600.0)


def rollout(names: list[str], scenarios: dict[str, Scenario] | None = None, **changes: object) -> Run:
    plan = make_plan(names, 0, **{"concurrency": len(names), **changes})
    plan = replace(plan, hosts={n: replace(h, reboot="if_required") for n, h in plan.hosts.items()})
    return Run.of(plan, [SimHost(name, (scenarios or {}).get(name, Scenario())) for name in names])


def names(count: int) -> list[str]:
    return [f"h{number:02d}" for number in range(1, count + 1)]


def say(run: Run, kind: str, actor: str = "bob@desk", reason: str = "", **data: object) -> None:
    """Write an event as another process would."""
    event = Event("sim-0", len(run.journal.written) + 1, run.world.time, actor, kind, "", dict(data), reason)
    run.journal.append([event])


def states(state: RolloutState) -> dict[str, str]:
    return {name: host.state for name, host in state.hosts.items()}


def starts(run: Run) -> list[float]:
    return sorted(at for host in run.world.hosts.values() for _, at in host.installs)


def one_ring(plan: Plan, **changes: Any) -> tuple[PlannedRing, ...]:
    hosts = tuple(plan.hosts)
    return (PlannedRing("canary", (hosts[:1],)), PlannedRing("rest", (hosts[1:],), **changes))


def test_nothing_starts_outside_its_rings_window_and_work_under_way_is_not_cut_off() -> None:
    """START is 00:53 UTC: the canary goes at once, the rest waits for 22:00; slow installs run past the end."""
    run = rollout(names(6), {n: Scenario(install=1500.0) for n in names(6)[1:]}, concurrency=2)
    run.plan = replace(run.plan, rings=one_ring(run.plan, windows="daily 22:00 1h"))
    state = run.finish()
    assert not problems_of(run, state)
    assert set(states(state).values()) == {"succeeded"}
    hours = [datetime.fromtimestamp(at, UTC) for at in starts(run)[1:]]
    assert {hour.hour for hour in hours} == {22}
    assert max(hour.minute for hour in hours) < 45, "the last quarter of a window takes no host any more"
    assert len({hour.day for hour in hours}) == 2, "what did not fit waits for the next day"


def test_a_blackout_holds_for_rings_without_a_window_too() -> None:
    run = rollout(names(3))
    today = datetime.fromtimestamp(START, UTC).date().isoformat()
    run.plan = replace(run.plan, rings=one_ring(run.plan), blackout=(f"{today}/{today}",))
    state = run.finish()
    assert set(states(state).values()) == {"succeeded"}
    assert {datetime.fromtimestamp(at, UTC).date().isoformat() for at in starts(run)}.isdisjoint({today})


def test_a_retry_waits_for_the_window_too() -> None:
    run = rollout(names(2), {"h02": Scenario(install=1000.0, failures=1, failure_log=LOCKED)})
    run.plan = replace(run.plan, rings=one_ring(run.plan, windows="daily 22:00 20m"))
    state = run.finish()
    assert states(state)["h02"] == "succeeded"
    first, second = (datetime.fromtimestamp(at, UTC) for at in starts(run)[1:])
    assert (second.day - first.day) % 30 == 1
    assert second.hour == 22


def test_the_next_ring_waits_for_the_soak_but_not_when_nothing_was_changed() -> None:
    run = rollout(names(3))
    run.finish()
    opened = [event.at for event in run.journal.written if event.kind == "ring-opened"]
    finished = [event.at for event in run.journal.written if event.kind == "ring-finished"]
    assert opened[1] - finished[0] >= 120.0
    idle = rollout(names(3), {n: Scenario(done=True) for n in names(3)})
    idle.finish()
    assert idle.world.time - START < 60.0


def test_hosts_without_changes_are_not_visited() -> None:
    run = rollout(names(3))
    run.plan = replace(run.plan, hosts={n: replace(h, changes=()) for n, h in run.plan.hosts.items()})
    state = run.finish()
    assert set(states(state).values()) == {"succeeded"}
    assert not [event for event in run.journal.written if event.kind == "job-intended"]


@pytest.mark.parametrize(("approver", "opens"), [("ann@ctl", False), ("bob@desk", True)])
def test_a_second_persons_approval_is_another_persons(approver: str, opens: bool) -> None:
    run = rollout(names(3))
    run.plan = replace(run.plan, rings=one_ring(run.plan, approval="second-person"))
    state = run.control(Controls(), once=True)
    assert state is not None
    assert states(state) == {"h01": "succeeded", "h02": "pending", "h03": "pending"}
    assert [e.kind for e in run.journal.written].count("approval-requested") == 1
    say(run, "ring-approved", approver, ring="rest")
    run.world.advance(run.world.time + 7200)
    state = run.control(Controls(), once=True)
    assert state is not None
    assert (states(state)["h02"] == "succeeded") is opens


def test_a_crossed_limit_halts_and_is_said_with_its_denominator() -> None:
    """Limit 1 of 10: the second failure halts; hosts at work are followed, the others are not begun."""
    bad = Scenario(failures=-1, failure_log=BROKEN, install=10.0)
    hosts = names(10)
    run = rollout(hosts, dict.fromkeys(hosts[1:4], bad), concurrency=3, limits=replace(WIDE, errors="10%"))
    state = run.finish()
    assert (state.status, state.message) == ("halted", "errors 2/10, limit 1")
    assert not problems_of(run, state)
    halted = next(event.seq for event in run.journal.written if event.kind == "rollout-halted")
    late = [e for e in run.journal.written[halted:] if e.kind == "job-intended" and e.data["kind"] == "start"]
    assert not late
    assert "pending" in states(state).values()
    assert not any(host.active for host in state.hosts.values())


def test_after_a_resume_only_further_failures_halt_again() -> None:
    bad = Scenario(failures=-1, failure_log=BROKEN, install=10.0)
    hosts = names(8)
    run = rollout(hosts, {hosts[1]: bad, hosts[6]: bad}, concurrency=2, limits=replace(WIDE, errors="0"))
    state = run.finish()
    assert state.message == "errors 1/8, limit 0"
    say(run, "rollout-resumed", acknowledged=acknowledge(state), reason="known")
    state = run.finish()
    assert state.message == "errors 2/8, limit 0"
    assert states(state)[hosts[4]] == "succeeded"


def test_a_ring_with_one_success_has_proved_something_and_the_limits_decide() -> None:
    run = rollout(names(4), {"h01": Scenario(gone="unreachable")}, limits=WIDE)
    rings = (PlannedRing("canary", (("h01", "h02"),)), PlannedRing("rest", (("h03", "h04"),)))
    run.plan = replace(run.plan, rings=rings, hosts={
        n: replace(h, ring="canary" if n in ("h01", "h02") else "rest") for n, h in run.plan.hosts.items()})
    state = run.finish()
    assert state.status == "completed"
    assert states(state) == {"h01": "unreachable", "h02": "succeeded", "h03": "succeeded", "h04": "succeeded"}


def test_a_canary_that_proves_nothing_halts_whatever_the_limits_say() -> None:
    run = rollout(names(3), {"h01": Scenario(gone="unreachable")}, limits=WIDE)
    state = run.finish()
    assert state.status == "halted"
    assert state.message == "ring canary proved nothing: none of its hosts succeeded"
    say(run, "rollout-resumed", acknowledged=acknowledge(state))
    assert states(run.finish()) == {"h01": "unreachable", "h02": "succeeded", "h03": "succeeded"}


def test_one_resume_acknowledges_a_limit_and_the_canary_that_failed_with_it() -> None:
    bad = Scenario(failures=-1, failure_log=BROKEN, install=10.0)
    run = rollout(names(3), {"h01": bad}, limits=replace(WIDE, errors="0"))
    run.plan = replace(run.plan, rings=one_ring(run.plan))
    state = run.finish()
    assert (state.status, state.message) == ("halted", "errors 1/3, limit 0")
    say(run, "rollout-resumed", acknowledged=acknowledge(state))
    assert states(run.finish()) == {"h01": "failed", "h02": "succeeded", "h03": "succeeded"}


def test_max_down_holds_and_blocks_when_a_member_is_down_already() -> None:
    hosts = names(5)
    run = rollout(hosts, {"h03": Scenario(failures=-1, failure_log=BROKEN)})
    limited = {n: replace(h, max_down=(("db", 1),)) if n in hosts[1:] else h for n, h in run.plan.hosts.items()}
    run.plan = replace(run.plan, hosts=limited)
    state = run.finish()
    assert not problems_of(run, state)
    assert states(state) == {
        "h01": "succeeded", "h02": "succeeded", "h03": "failed", "h04": "blocked", "h05": "blocked",
    }
    assert state.hosts["h04"].message == "group db: 1 down (h03), max_down 1"
    spans = sorted((host.started_at, host.ended_at) for n, host in state.hosts.items() if n in hosts[1:3])
    assert spans[0][1] <= spans[1][0], "two members of db were down at once"


def test_members_that_another_rollout_has_down_count() -> None:
    run = rollout(names(3))
    run.plan = replace(run.plan, hosts={n: replace(h, max_down=(("db", 1),)) for n, h in run.plan.hosts.items()})
    free_at = START + 500.0

    def elsewhere() -> dict[str, set[str]]:
        return {"db": {"db9"}} if run.world.time < free_at else {}

    state = run.control(Controls(), down_elsewhere=elsewhere)
    assert state is not None
    assert set(states(state).values()) == {"succeeded"}
    assert starts(run)[0] >= free_at


def test_late_hosts_go_last_and_alone() -> None:
    run = rollout(names(5))
    run.plan = replace(run.plan, hosts={n: replace(h, late=n in ("h02", "h03")) for n, h in run.plan.hosts.items()})
    state = run.finish()
    assert not problems_of(run, state)
    others = max(state.hosts[n].ended_at or 0 for n in ("h01", "h04", "h05"))
    late = sorted((state.hosts[n].started_at, state.hosts[n].ended_at) for n in ("h02", "h03"))
    assert late[0][0] >= others
    assert late[1][0] >= late[0][1]


def test_a_host_that_its_owner_holds_is_frozen_and_no_failure() -> None:
    run = rollout(names(3), {"h02": Scenario(veto=True)}, limits=replace(WIDE, errors="0"))
    state = run.finish()
    assert (state.status, states(state)) == (
        "completed", {"h01": "succeeded", "h02": "frozen", "h03": "succeeded"})
    assert not state.hosts["h02"].counts
    assert not run.world.hosts["h02"].installs
    assert not problems_of(run, state)


@pytest.mark.parametrize(("reboots", "again"), [(REBOOT_CAP - 1, True), (REBOOT_CAP, False)])
def test_a_host_is_rebooted_five_times_in_a_rollout_at_most(reboots: int, again: bool) -> None:
    run = rollout(names(1))
    plan = replace(run.plan.hosts["h01"], reboot="if_required")
    state = fold_all(initial(run.plan), ())
    last = LastJob("j1", "verify", "ok", START, None, {"reboot_required": True, "pending": [], "broken": []})
    host = replace(state.hosts["h01"], state="verifying", boot_id="b-1", attempt="a.1", attempts=1, reboots=reboots)
    step = next_step(Case(state, plan, host, last, START, True, "", ()))
    assert isinstance(step, RunJob) is again
    if isinstance(step, RunJob):
        assert step.job.kind == "reboot"


@pytest.mark.parametrize("nth", range(2, 20))
def test_no_job_is_handed_out_whose_intent_an_abort_overtook(nth: int) -> None:
    run = rollout(names(4))
    run.control(Controls(between={nth: lambda: say(run, "rollout-aborted", reason="stop")}))
    kinds = [event.kind for event in run.journal.written]
    if "rollout-aborted" not in kinds:
        return  # it was over by then
    aborted = run.journal.written[kinds.index("rollout-aborted")].at
    late = [at for host in run.world.hosts.values() for _, at in host.installs if at > aborted]
    assert not late, "an install began after the abort"


@pytest.mark.parametrize("nth", range(2, 20))
def test_a_decision_that_a_pause_overtook_is_taken_afresh(nth: int) -> None:
    run = rollout(names(4))
    state = run.control(Controls(between={nth: lambda: say(run, "rollout-paused", reason="stop")}))
    written = run.journal.written
    kinds = [event.kind for event in written]
    if "rollout-paused" not in kinds:
        return  # it was over by then
    assert state is not None
    after = written[kinds.index("rollout-paused") + 1:]
    begun = [event for event in after if event.kind == "job-intended" and event.data["kind"] in ("stage", "start")]
    assert not begun
    assert not [event for event in after if event.kind in ("ring-opened", "rollout-started")], "nothing new is begun"


def test_a_pause_from_elsewhere_stops_starting_and_a_resume_goes_on() -> None:
    run = rollout(names(6), {n: Scenario(install=100.0) for n in names(6)}, concurrency=2)
    run.world.after(300.0, lambda: say(run, "rollout-paused", reason="lunch"))
    state = run.finish()
    assert (state.status, state.message) == ("paused", "lunch")
    assert not problems_of(run, state)
    assert not any(host.active for host in state.hosts.values())
    assert "pending" in states(state).values()
    say(run, "rollout-resumed")
    assert set(states(run.finish()).values()) == {"succeeded"}


def test_an_abort_follows_what_runs_and_leaves_nothing_behind() -> None:
    run = rollout(names(6), {n: Scenario(install=100.0) for n in names(6)}, concurrency=2)
    run.world.after(300.0, lambda: say(run, "rollout-aborted", reason="wrong month"))
    state = run.finish()
    assert state.status == "aborted"
    assert not problems_of(run, state)
    for host in run.world.hosts.values():
        assert not host.claims
        assert not host.staged


def test_ctrl_c_stops_starting_and_a_resume_finishes() -> None:
    run = rollout(names(6), {n: Scenario(install=100.0) for n in names(6)})
    state = run.control(Controls(stop_after=25))
    assert state is not None
    assert run.journal.written[-1].kind == "controller-released"
    assert state.status == "running"
    state = run.finish()
    assert set(states(state).values()) == {"succeeded"}
    assert [len(host.installs) for host in run.world.hosts.values()] == [1] * 6


def test_ticks_do_what_is_due_and_an_idle_tick_writes_nothing() -> None:
    run = rollout(names(4))
    run.plan = replace(run.plan, rings=one_ring(run.plan, windows="daily 22:00 1h"))
    state, idle = None, 0
    for _ in range(300):
        before = len(run.journal.written)
        state = run.control(Controls(), once=True)
        idle += len(run.journal.written) == before
        if state is not None and state.status == "completed":
            break
        run.world.advance(run.world.time + 300.0)
    assert state is not None
    assert state.status == "completed"
    assert not problems_of(run, state)
    assert idle > 200
    assert run.journal.written[-1].kind == "rollout-completed"


def test_a_host_beyond_its_time_is_in_doubt_counts_and_is_followed_on() -> None:
    run = rollout(names(3), {"h02": Scenario(install=4000.0), "h03": Scenario(install=90000.0)})
    state = run.finish()
    assert not problems_of(run, state)
    assert states(state) == {"h01": "succeeded", "h02": "late", "h03": "in-doubt"}
    assert state.hosts["h03"].counts == "errors"
    assert state.hosts["h02"].counts == ""
    say(run, "rollout-retried", hosts=["h03"], rings=["rest"])
    run.world.advance(START + 91000.0)
    state = run.finish()
    assert states(state)["h03"] == "succeeded"
    assert len(run.world.hosts["h03"].installs) == 1, "a retry asks about an open attempt before it begins another"


def test_a_failed_install_is_judged_by_what_is_true_on_the_host() -> None:
    """Everything in place and well is a success with a note; anything less fails for the install's own reason."""
    scenarios = {
        "h02": Scenario(failures=-1, failure_log=BROKEN, done_all_the_same=True),
        "h03": Scenario(failures=-1, failure_log=BROKEN),
        "h04": Scenario(failures=-1, failure_log=BROKEN, half_done=True),
        "h05": Scenario(failures=-1, failure_log=BROKEN, done_all_the_same=True, unhealthy=True),
        "h06": Scenario(failures=-1, failure_log=LOCKED, done_all_the_same=True, reboot_required=True),
    }
    run = rollout(names(6), scenarios)
    state = run.finish()
    assert not problems_of(run, state)
    assert states(state) == {
        "h01": "succeeded", "h02": "succeeded", "h03": "failed", "h04": "failed", "h05": "failed", "h06": "succeeded",
    }
    said = "the package manager ended with rc 100, but everything planned is in place"
    assert said in state.hosts["h02"].message
    assert run.world.hosts["h06"].reboots == 1
    for name in ("h03", "h04", "h05"):
        host = state.hosts[name]
        assert host.diagnosis is not None
        assert host.diagnosis.signature == "postinst-failed", "the cause, not its consequence"
        assert bool(host.changes) is (name != "h03"), "what changed all the same is on record"
        assert host.counts == "errors"
        kinds = [e.data["kind"] for e in run.journal.written if e.kind == "job-intended" and e.host == name]
        assert kinds.count("verify") == 1


def test_a_failed_install_that_nobody_can_look_at_is_a_failure() -> None:
    failing = Scenario(failures=-1, failure_log=BROKEN)
    whole = rollout(names(2), {"h02": failing})
    whole.finish()
    known = next(e.at for e in whole.journal.written
                 if e.kind == "job-ended" and e.host == "h02" and e.data["result"] == "finished")
    cut = known - whole.world.hosts["h02"].installs[0][1]
    run = rollout(names(2), {"h02": replace(failing, cut=(cut, float("inf")))})
    state = run.finish()
    assert not problems_of(run, state)
    found = state.hosts["h02"].diagnosis
    assert (states(state)["h02"], found and found.signature) == ("failed", "postinst-failed")
    shown = next(host for host in to_document(state)["hosts"] if host["host"] == "h02")
    assert shown["error"]["code"] == "postinst-failed", "the cause, not that nobody could look"
    looks = [e for e in run.journal.written if e.kind == "job-intended" and e.data["kind"] == "verify"]
    assert len([e for e in looks if e.host == "h02"]) == 4


def test_a_retry_of_failed_hosts_links_new_attempts() -> None:
    run = rollout(names(3), {"h02": Scenario(failures=1, failure_log=BROKEN)})
    state = run.finish()
    assert states(state)["h02"] == "failed"
    say(run, "rollout-retried", hosts=["h02"], rings=["rest"])
    state = run.finish()
    assert state.status == "completed"
    assert states(state)["h02"] == "succeeded"
    intents = [e.data for e in run.journal.written if e.kind == "job-intended" and e.host == "h02"]
    assert intents[-1]["previous"] == intents[0]["attempt"]
    assert problems_of(run, state) == []


def test_what_is_sent_after_a_halt_is_sent_again_if_nobody_knows_that_it_was() -> None:
    sent: list[str] = []
    run = rollout(names(2))
    run.finish()
    from patchctl.usecases.carry_out import Options, carry_out
    from tests.sim.runs import Silent
    from tests.sim.world import SimExecutor

    def tell(event: Event) -> str:
        sent.append(event.kind)
        return ""

    for _ in range(2):
        controls = Controls()
        carry_out(
            run.plan, run.journal, SimExecutor(run.world, run.journal, controls), run.world, Silent(), controls, "ann",
            tell, next_token=run.world.next_token, options=Options(nap=60.0),
        )
    assert sent == ["rollout-completed"]
    assert fold_journal(run.plan, run.journal.written).unsent == ()


@pytest.mark.parametrize(
    ("away_for", "state", "counted"), [(14 * 86400.0, "skipped", ""), (60.0, "unreachable", "unreachable")]
)
def test_a_host_that_may_be_away_is_skipped_only_for_as_long_as_it_may(
    away_for: float, state: str, counted: str
) -> None:
    run = rollout(names(3), {"h02": Scenario(gone="unreachable"), "h03": Scenario(gone="host-key")})
    hosts = {n: replace(h, away_until=START + away_for) for n, h in run.plan.hosts.items()}
    run.plan = replace(run.plan, hosts=hosts, limits=replace(WIDE, unreachable="100%"))
    ended = run.finish()
    assert (ended.hosts["h02"].state, ended.hosts["h02"].counts) == (state, counted)
    assert ended.hosts["h03"].state == "unreachable", "a host that shows another key is not away"
    assert "away, as it may be" in ended.hosts["h02"].message or counted
