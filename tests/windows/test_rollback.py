"""Taking back on Windows by the real command line over WinRM: programs by Wine's msiexec, updates by the model.

The packages themselves log each run of an installer; the registry's Uninstall keys say what is there.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.proof.project import Project
from tests.windows.model import Offer
from tests.windows.wine import why_not
from tests.winrm.fleet import NEW, OLD, WindowsFleet, windows_fleet
from tests.winrm.project import windows_project

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=f"Wine test left out: {why_not()}"), pytest.mark.timeout(1800),
]
KB, ID = "KB5031364", "11111111-2222-4333-8444-555555555555"
POLICY = """
policy: back
approve: [{package: "demo-*"}, {package: "KB*"}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 0, host_time: 10m, retries: 0}
refresh: never
reboot: if_required
"""
Make = Callable[[int, int], tuple[Project, WindowsFleet]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """make(count, slot): a project with so many hosts, and the fleet."""
    with ExitStack() as stack:
        def begin(count: int, slot: int) -> tuple[Project, WindowsFleet]:
            fleet = stack.enter_context(windows_fleet(tmp_path / "fleet", count, slot=slot))
            return stack.enter_context(windows_project(tmp_path / "project", fleet)), fleet

        yield begin


def ways(done: Any) -> dict[str, Any]:
    return {host["host"]: host["rollback"] for host in done.json()["hosts"]}


def test_programs_and_updates_are_taken_back_once_though_the_controller_is_killed(make: Make) -> None:
    project, fleet = make(2, 71)
    one, two = fleet.hosts["win1"].model, fleet.hosts["win2"].model
    one.offers, two.offers = [Offer(KB, ID)], [Offer(KB, ID, uninstallable=False)]
    project.policy(POLICY + fleet.offers())
    planned = ways(project.run("plan", "--policy", "back", "-o", "json").expect(0))
    assert [(c["package"], c["to"], c["source"]) for c in planned["win1"]["changes"]] == [
        ("demo-tool", OLD, "in Windows Installer's package cache")]
    assert (planned["win1"]["feasible"], planned["win1"]["removals"]) == (True, [KB])
    assert planned["win2"]["feasible"] is False
    assert planned["win2"]["reason"] == f"{KB}: Windows Update says that it cannot be uninstalled"
    project.run("apply", "--policy", "back", "--yes", "-v").expect(0)
    assert [fleet.installed(name)["demo-tool"] for name in fleet.hosts] == [NEW, NEW]
    # The package cache has the new version now; the old one's file was kept by the controller before the change.
    two.offers[0].servicing = "permanent"
    killed = project.run("rollback", "--yes", env={"PATCHCTL_FAILPOINT": "start.submit.after"})
    assert killed.code == -signal.SIGKILL, str(killed)
    done = project.run("rollout", "resume", "-v").expect(4)
    assert f"cannot be rolled back: {KB}: Windows calls it permanent: it cannot be uninstalled" in done.out
    hosts = {host["host"]: host for host in project.status()["hosts"]}
    assert (hosts["win1"]["state"], hosts["win1"]["attempts"]) == ("rolled-back", 1)
    assert hosts["win2"]["state"] == "blocked"
    assert fleet.installed("win1") == {"demo-tool": OLD}
    assert fleet.runs("win1") == [f"demo-tool {OLD}", f"demo-tool {NEW}", f"demo-tool {OLD}"]
    assert (one.removed, one.offers[0].installed) == ([KB], False)
    assert (two.removed, fleet.runs("win2")) == ([], [f"demo-tool {OLD}", f"demo-tool {NEW}"])
    project.audit()
    fleet.assert_quiet()


@pytest.mark.soak
def test_a_host_that_fails_goes_back_by_itself(make: Make) -> None:
    """on_failure: the program is in place when the update after it fails; dism's refusal on the way back is told."""
    project, fleet = make(2, 72)
    other = ID.replace("1", "2")
    for name, host in fleet.hosts.items():
        host.model.offers = [Offer(KB, ID, reboot=name == "win2"), Offer("KB5040000", other, fails="0x80070070")]
    fleet.hosts["win2"].model.offers[0].fails_removal = 0x800F0825
    project.policy(POLICY + "on_failure: rollback\n" + fleet.offers())
    done = project.run("apply", "--policy", "back", "--yes", "-v").expect(5)
    hosts = {host["host"]: host for host in project.status()["hosts"]}
    assert (hosts["win1"]["state"], hosts["win1"]["diagnosis"]["signature"]) == ("rolled-back", "no-space")
    assert fleet.installed("win1") == {"demo-tool": OLD}
    assert fleet.hosts["win1"].model.removed == [KB]
    assert hosts["win2"]["state"] == "failed"
    assert hosts["win2"]["message"] == (
        "no space left for the update (0x80070070); not rolled back: "
        f"{KB}: Windows does not uninstall this update (it is permanent)")
    assert f"{hosts['win2']['message']}" in done.err
    assert fleet.runs("win1") == [f"demo-tool {OLD}", f"demo-tool {NEW}", f"demo-tool {OLD}"]
