"""Promise: what a remedy asks for is what reaches the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from patchctl.connect.contract import Command, Result
from patchctl.deliver.cache import ArtefactCache
from patchctl.model.evidence import Snapshot
from patchctl.model.facts import Artefact
from patchctl.model.hosts import Host, Inventory
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing
from patchctl.model.policy import Limits
from patchctl.model.rollout import HostJob
from patchctl.rollout.remedies import CATALOGUE, adjustments_for
from patchctl.usecases.hostjobs import HostVisits

SHA = "ab" * 32
HOST = Host("h1")
PLAN = Plan(
    "r1", "test", 0.0, "ann@ctl", "", "", "UTC", (), (PlannedRing("all", (("h1",),)),),
    {"h1": HostPlan("h1", "all", 0, "apt", (Change("tool", "all", "1", "2", SHA),))},
    {SHA: Artefact("tool", "2", "all", SHA, 10, "tool_2_all.deb", "http://127.0.0.1/tool_2_all.deb")}, Limits(), 1,
)


class Listening:
    """Opens sessions that keep what they are told and answer nothing."""

    def __init__(self) -> None:
        self.host, self.heard = HOST, ""

    def open(self, host: Host) -> Listening:
        return self

    def run(self, command: Command) -> Result:
        self.heard += command.script
        return Result(None, b"", b"", 0.0, lost="link dropped")

    def close(self) -> None: ...


class Store:
    store_id, epoch = "store-a", 1

    def save_snapshot(self, snapshot: Snapshot) -> str:
        raise AssertionError("a start takes none")

    def save_snapshots(self, snapshots: Sequence[Snapshot], kind: str = "scan") -> list[str]:
        raise AssertionError("a start takes none")


class Clock:
    def now(self) -> float:
        return 0.0


def start(folder: Path, *adjustments: str) -> str:
    """Return the script of a start with these adjustments."""
    session = Listening()
    visits = HostVisits(PLAN, Inventory({"h1": HOST}, {}, {}), session, ArtefactCache(folder), Store(), Clock())
    outcome = visits.perform(HostJob("j1", "r1", "h1", "start", "r1.0a1b2c3d.1", 1, adjustments=adjustments))
    assert outcome.result == "unreachable", "nobody knows whether it began"
    return session.heard


@pytest.mark.parametrize(("steps", "seconds"), [(0, 120), (1, 1200), (2, 2400)])
def test_every_step_of_waiting_for_the_lock_has_more_patience(tmp_path: Path, steps: int, seconds: int) -> None:
    names = [step.adjustment for step in CATALOGUE["wait-for-lock"].steps[:steps]]
    script = start(tmp_path, *adjustments_for("start", names))
    assert f"pc_wait_for_lock {seconds} || exit 100" in script
    assert script.count("pc_wait_for_lock ") == 1, "no shorter wait before it gives up first"
    assert f"DPkg::Lock::Timeout={seconds} " in script


def test_a_repair_runs_before_the_install(tmp_path: Path) -> None:
    script = start(tmp_path, "dpkg-configure-a", "fix-broken")
    repair, install = script.index("--configure -a"), script.index("patchctl: step install")
    assert repair < script.index("-f install") < install
