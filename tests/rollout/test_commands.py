"""Promises of `patchctl rollout`: what it shows, what it records, what it refuses, and with which exit code.

The plans here have nothing to change on any host, so that the real loop runs to its end without a connection.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from patchctl.cli.main import main
from patchctl.model.errors import ConfirmationError, LockedError, UsageError
from patchctl.model.plan import Plan
from patchctl.model.rollout import Event
from patchctl.store.database import Store, open_store
from patchctl.usecases import rollouts
from patchctl.usecases.clock import SystemClock
from tests.sim.fleet import START, make_plan


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/a.yaml").write_text("groups:\n  web: {hosts: [h01, h02, h03]}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def idle_plan(**changes: object) -> Plan:
    plan = make_plan(["h01", "h02", "h03"])
    return replace(plan, hosts={n: replace(h, changes=()) for n, h in plan.hosts.items()}, **changes)


def put(project: Path, plan: Plan) -> Store:
    store = open_store(f"sqlite:///{project}/state.db")
    store.save_plan(plan)
    return store


def call(project: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["rollout", *words, "--state", f"sqlite:///{project}/state.db"])


def kinds(store: Store, rollout: str = "sim-0") -> list[str]:
    return [event.kind for event in store.journal.events(rollout)]


def test_status_is_json_with_the_promised_keys(project: Path) -> None:
    put(project, make_plan(["h01", "h02"]))
    document = json.loads(call(project, "status", "-o", "json").output)
    assert document["schema"] == "patchctl/rollout/1"
    assert (document["rollout"], document["state"]) == ("sim-0", "planned")
    assert document["hosts"][0]["changes"] == [{"package": "openssl", "from": "1.0", "to": "2.0", "arch": "amd64"}]
    assert [ring["name"] for ring in document["rings"]] == ["canary", "rest"]


def test_status_as_a_table_ends_with_limits(project: Path) -> None:
    put(project, make_plan(["h01", "h02"]))
    said = call(project, "status").output
    assert "errors 0/2, limit 2" in said


def test_a_released_rollout_is_carried_out_by_ticks_and_then_left_alone(project: Path) -> None:
    store = put(project, idle_plan())
    assert call(project, "tick").exit_code == 0
    assert kinds(store) == [], "a plan nobody released is no business of a tick"
    rollouts.create(store, "sim-0", "ann@ctl", SystemClock())
    done = call(project, "tick", "-q")
    assert done.exit_code == 0, done.output
    assert kinds(store)[-1] == "rollout-completed" or kinds(store)[-2] == "rollout-completed"
    assert (project / "reports/sim-0").is_dir()
    length = len(kinds(store))
    assert call(project, "tick").exit_code == 0
    assert len(kinds(store)) == length


def test_pause_holds_ticks_off_and_resume_records_who_and_why(project: Path) -> None:
    store = put(project, idle_plan())
    rollouts.create(store, "sim-0", "ann@ctl", SystemClock())
    assert call(project, "pause", "--reason", "change freeze").exit_code == 0
    assert call(project, "tick").exit_code == 0
    assert kinds(store) == ["rollout-created", "rollout-paused"]
    assert call(project, "resume", "-q", "--reason", "over").exit_code == 0
    resumed = next(event for event in store.journal.events("sim-0") if event.kind == "rollout-resumed")
    assert resumed.reason == "over"
    assert "@" in resumed.actor
    assert rollouts.load_state(store, "sim-0").status == "completed"


def test_an_approval_opens_the_ring_that_waits_and_is_refused_where_none_does(project: Path) -> None:
    plan = idle_plan()
    rings = (plan.rings[0], replace(plan.rings[1], approval="operator"))
    hosts = {n: replace(h, reboot_expected=h.ring == "rest") for n, h in plan.hosts.items()}
    store = put(project, replace(plan, rings=rings, hosts=hosts))
    said = call(project, "approve", "--reason", "canary looked fine")
    assert said.output.startswith("sim-0: ring rest approved by ")
    again = call(project, "approve")
    assert isinstance(again.exception, UsageError)
    assert kinds(store) == ["ring-approved"]


def test_the_maker_of_a_plan_cannot_be_the_second_person(project: Path) -> None:
    plan = make_plan(["h01", "h02"])
    store = put(project, replace(plan, rings=(plan.rings[0], replace(plan.rings[1], approval="second-person"))))
    with pytest.raises(ConfirmationError):
        rollouts.approve(store, "sim-0", "ann@ctl", SystemClock())
    rollouts.approve(store, "sim-0", "bob@desk", SystemClock())
    assert kinds(store) == ["ring-approved"]


def test_abort_asks_first_and_is_for_good(project: Path) -> None:
    store = put(project, make_plan(["h01", "h02"]))
    assert isinstance(call(project, "abort").exception, ConfirmationError)
    assert call(project, "abort", "--yes", "--reason", "wrong policy").exit_code == 0
    assert isinstance(call(project, "resume").exception, UsageError)
    assert kinds(store) == ["rollout-aborted"]


def test_retry_without_a_failed_host_says_so(project: Path) -> None:
    put(project, idle_plan())
    assert call(project, "resume", "-q").exit_code == 0
    said = call(project, "retry", "--failed")
    assert isinstance(said.exception, UsageError)
    assert said.exception.code == "nothing-to-retry"


def test_retry_takes_up_what_ended_badly(project: Path) -> None:
    store = put(project, make_plan(["h01", "h02"]))
    settled = [
        Event("sim-0", seq, START, "patchctl", "host-settled", host, {"state": state, "counts": "", "changed": False})
        for seq, (host, state) in enumerate((("h01", "succeeded"), ("h02", "failed")), 1)
    ]
    store.journal.append([*settled, Event("sim-0", 3, START, "patchctl", "rollout-completed")])
    said = call(project, "retry", "--failed", "--detach", "--reason", "fixed the mirror")
    assert said.exit_code == 0
    state = rollouts.load_state(store, "sim-0")
    assert (state.status, state.hosts["h02"].state, state.hosts["h01"].state) == ("running", "pending", "succeeded")
    assert rollouts.released(store) == ["sim-0"]


def test_a_rollout_that_somebody_works_on_is_named_with_its_holder(project: Path) -> None:
    store = put(project, idle_plan())
    with store.lock("rollout sim-0", "patchctl apply in another terminal"):
        said = call(project, "resume", "sim-0")
        assert isinstance(said.exception, LockedError)
        assert "another terminal" in said.exception.message
        rollouts.create(store, "sim-0", "ann@ctl", SystemClock())
        assert call(project, "tick", "-q").exit_code == 0, "a tick for all leaves it to whoever has it"


def test_an_event_is_offered_again_when_the_controller_wrote_first(project: Path) -> None:
    store = put(project, idle_plan())
    real = store.journal.append
    collided: list[int] = []

    class Busy:
        """The journal of a store on which a controller writes just before the first append."""

        def append(self, events: list[Event]) -> None:
            if not collided:
                collided.append(1)
                real([Event("sim-0", 1, START, "patchctl", "rollout-started")])
            real(events)

        def events(self, rollout: str, after: int = 0) -> object:
            return open_store(f"sqlite:///{project}/state.db").journal.events(rollout, after)

    store.journal = Busy()  # type: ignore[assignment]  # stands in for the one moment in which two write
    rollouts.pause(store, "sim-0", "ann@ctl", SystemClock(), "lunch")
    assert kinds(store) == ["rollout-started", "rollout-paused"]


def test_watch_of_a_rollout_that_is_over_ends_at_once(project: Path) -> None:
    put(project, idle_plan())
    assert call(project, "resume", "-q").exit_code == 0
    said = CliRunner().invoke(main, ["rollout", "watch", "--state", f"sqlite:///{project}/state.db"])
    assert said.exit_code == 0
