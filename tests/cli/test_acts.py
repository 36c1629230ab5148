"""Every command has machine-readable output, those that act too: one document that fits its schema, key for key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from patchctl.cli.main import main
from patchctl.cli.output import FORMATS
from patchctl.model.rollout import Event
from patchctl.store.database import Store, open_store
from patchctl.usecases import rollouts
from patchctl.usecases.clock import SystemClock
from tests.assess.test_output_schemas import fits
from tests.sim.fleet import START, make_plan

WITHOUT = ("completion",)
"""Prints a script for a shell: that is what is read by machines there."""


def commands(found: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    if isinstance(found, click.Group):
        for name in found.list_commands(click.Context(found)):
            inner = found.get_command(click.Context(found), name)
            assert inner is not None
            yield from commands(inner, (*path, name))
    else:
        yield " ".join(path), found


def test_every_command_takes_every_format() -> None:
    without = []
    for name, found in commands(main):
        options = [p for p in found.params if "-o" in p.opts and isinstance(p.type, click.Choice)]
        if not options or not set(FORMATS) <= set(options[0].type.choices):  # type: ignore[attr-defined]
            without.append(name)
    assert without == list(WITHOUT)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/a.yaml").write_text("groups:\n  web: {hosts: [h01, h02]}\n  all-web: {groups: [web]}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATCHCTL_STATE", f"sqlite:///{tmp_path}/state.db")
    with open_store(f"sqlite:///{tmp_path}/state.db") as store:
        yield store


def ask(*words: str, code: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, [*words, "-o", "json"])
    assert done.exit_code == code, (done.output, done.exception)
    return fits(json.loads(done.stdout))


def put(store: Store, *, idle: bool = False, approval: str = "") -> None:
    plan = make_plan(["h01", "h02"])
    if idle:
        plan = replace(plan, hosts={n: replace(h, changes=()) for n, h in plan.hosts.items()})
    store.save_plan(replace(plan, rings=(plan.rings[0], replace(plan.rings[1], approval=approval))))


def test_steering_a_rollout(store: Store) -> None:
    put(store, approval="operator")
    rollouts.create(store, "sim-0", "ann@ctl", SystemClock())
    assert ask("rollout", "pause", "--reason", "x") == {
        "schema": "patchctl/rollout-action/1", "rollout": "sim-0", "action": "pause", "state": "paused", "at_work": 0,
        "ring": None, "next": "patchctl rollout resume sim-0"}
    assert ask("rollout", "resume", "--detach")["next"] == "patchctl rollout tick sim-0"
    assert ask("rollout", "approve")["ring"] == "rest"
    ended = ask("rollout", "abort", "--yes", "--reason", "x")
    assert (ended["action"], ended["state"], ended["next"]) == ("abort", "aborted", None)
    lines = CliRunner().invoke(main, ["rollout", "status", "-o", "csv"]).stdout.splitlines()
    assert lines[0].startswith("host,")


def test_retry_that_only_records(store: Store) -> None:
    put(store)
    settled = [
        Event("sim-0", seq, START, "patchctl", "host-settled", host, {"state": state, "counts": "", "changed": False})
        for seq, (host, state) in enumerate((("h01", "succeeded"), ("h02", "failed")), 1)
    ]
    store.journal.append([*settled, Event("sim-0", 3, START, "patchctl", "rollout-completed")])
    assert ask("rollout", "retry", "--failed", "--detach")["action"] == "retry"


def test_what_carries_a_rollout_on_tells_where_it_stands(store: Store) -> None:
    put(store, idle=True)
    rollouts.create(store, "sim-0", "ann@ctl", SystemClock())
    with store.lock("rollout sim-0", "patchctl apply in another terminal"):
        busy = ask("rollout", "tick")["rollouts"][0]
        assert "another terminal" in busy["note"]
        assert busy["state"] == "planned"
    done = ask("rollout", "tick")
    assert done["rollouts"] == [{"rollout": "sim-0", "state": "completed", "exit_code": 0, "note": None}]
    assert ask("rollout", "tick")["rollouts"] == []
    watched = json.loads(CliRunner().invoke(main, ["rollout", "watch", "-o", "json"]).stdout)
    assert (watched["schema"], watched["state"]) == ("patchctl/rollout/1", "completed")


def test_resume_gives_the_rollout_as_status_does(store: Store) -> None:
    put(store, idle=True)
    done = CliRunner().invoke(main, ["rollout", "resume", "-o", "json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["schema"], document["state"]) == ("patchctl/rollout/1", "completed")


def test_keeping_the_store(store: Store, tmp_path: Path) -> None:
    assert ask("state", "upgrade")["passed"] == []
    assert ask("state", "prune", "--check") == {"schema": "patchctl/state-prune/1", "check": True, "snapshots": 0}
    assert ask("state", "prune")["freed_bytes"] == 0
    saved = ask("state", "backup", "copy.db")
    assert saved["bytes"] == (tmp_path / "copy.db").stat().st_size
    store.close()
    (tmp_path / "state.db").rename(tmp_path / "lost.db")
    restored = ask("state", "restore", "copy.db", "--reason", "disk died")
    assert (restored["ok"], restored["epoch"] > 1) == (True, True)


def test_a_project_and_its_groups(store: Store) -> None:
    made = ask("init", "sub", "--host", "w[1:2]")
    assert "inventories/hosts.yaml" in made["made"]
    assert ask("init", "sub")["kept"]
    groups = {one["group"]: one for one in ask("inventory", "graph", "--limit", "h01")["groups"]}
    assert groups["all-web"] == {"group": "all-web", "children": ["web"], "hosts": ["h01"]}


def test_a_row_for_spreadsheets_and_a_sentence_for_people(store: Store) -> None:
    put(store)
    rollouts.create(store, "sim-0", "ann@ctl", SystemClock())
    row = CliRunner().invoke(main, ["rollout", "pause", "--reason", "x", "-o", "csv"]).stdout.splitlines()
    assert row[0].startswith("rollout,action,state")
    assert row[1].startswith("sim-0,pause,paused")
    said = CliRunner().invoke(main, ["rollout", "abort", "--yes"]).stdout
    assert said == "sim-0 aborted; hosts still at work: 0\n"
