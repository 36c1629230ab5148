"""What happens to Windows hosts in the middle of `apply`: a link that is lost, an installer that is busy, reboots.

By the real command line over WinRM; Wine's msiexec installs, and the packages themselves log each run. Exit codes that
Wine's msiexec never gives are put in its place by the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.windows.model import Offer
from tests.windows.wine import why_not
from tests.winrm.fleet import NEW, OLD, FleetHost, WindowsFleet, windows_fleet
from tests.winrm.project import windows_project

pytestmark = [
    pytest.mark.soak, pytest.mark.timeout(2400),
    pytest.mark.skipif(bool(why_not()), reason=f"Wine test left out: {why_not()}"),
]
POLICY = """
policy: midway
approve: [{package: "demo-*"}, {package: "KB*"}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 100%, unreachable: 0, changed: 0, host_time: HOSTTIME, retries: 1}
refresh: never
reboot: if_required
"""
ID = "11111111-2222-4333-8444-555555555555"


def cut_the_link(host: FleetHost) -> None:
    """Lose the answer that the installation has begun, and some of the questions after it."""
    host.peer.inject("drop-after", "Receive")
    host.peer.inject("drop-before", "Create", times=3)


def test_lost_links_busy_installers_and_reboots(tmp_path: Path) -> None:
    with windows_fleet(tmp_path / "fleet", 5, slot=77) as fleet, windows_project(tmp_path / "p", fleet) as project:
        cut, busy, fatal, wants, restarts = fleet.hosts.values()
        cut.model.when_started = lambda: cut_the_link(cut)
        busy.model.msi_codes = {"/i": [1618]}
        fatal.model.msi_codes = {"/i": [1603]}
        wants.model.msi_codes = {"/i": [3010]}
        restarts.model.msi_codes = {"/i": [1641]}
        project.policy(POLICY.replace("HOSTTIME", "20m") + fleet.offers())
        done = project.run("apply", "--policy", "midway", "--yes", "-v", patience=1500).expect(5)
        found = {host["host"]: host for host in project.status()["hosts"]}
        assert {name: host["state"] for name, host in found.items()} == {
            cut.name: "succeeded", busy.name: "succeeded", fatal.name: "failed", wants.name: "succeeded",
            restarts.name: "succeeded"}, str(done)
        for host in (cut, busy, wants, restarts):
            assert fleet.runs(host.name) == [f"demo-tool {OLD}", f"demo-tool {NEW}"], host.name
            assert fleet.installed(host.name) == {"demo-tool": NEW}
        assert (len(cut.model.launched), found[cut.name]["attempts"]) == (1, 1)
        assert (len(busy.model.launched), found[busy.name]["attempts"]) == (2, 2)
        assert "another installation is in progress" in done.out + done.err
        assert _told(found[fatal.name]) == ("msi-fatal", "patch", "")
        assert (len(fatal.model.launched), fleet.installed(fatal.name)) == (1, {"demo-tool": OLD})
        assert [host.model.reboots for host in (cut, busy, fatal, wants, restarts)] == [0, 0, 0, 1, 1]
        project.audit()
        # Back again, and what is to be taken off is gone already: that is as wanted.
        for host, code in ((cut, 1605), (busy, 1614)):
            host.model.when_started = None
            host.model.msi_codes = {"/x": [code]}
        project.run("rollback", "--yes", "-v", patience=900).expect(0)
        for host in (cut, busy):
            assert fleet.installed(host.name) == {"demo-tool": OLD}
            assert fleet.runs(host.name)[-2:] == [f"demo-tool {NEW}", f"demo-tool {OLD}"]
        fleet.assert_quiet()


def test_a_reboot_that_never_ends_is_told_and_gone_on_with_once_the_host_is_back(tmp_path: Path) -> None:
    with windows_fleet(tmp_path / "fleet", 1, slot=78) as fleet, windows_project(tmp_path / "p", fleet) as project:
        (host,) = fleet.hosts.values()
        host.model.offers = [Offer("KB5040000", ID, reboot=True)]
        host.model.when_rebooted = lambda: _vanish(host)
        project.policy(POLICY.replace("HOSTTIME", "90s"))
        done = project.run("apply", "--policy", "midway", "--yes", "-v", patience=900)
        assert done.code in (4, 5), str(done)
        (found,) = project.status()["hosts"]
        assert found["state"] in ("late", "unreachable", "in-doubt"), str(done)
        assert "last known at boot" in found["message"]
        assert "host unchanged" not in done.out, "it installed something"
        host.peer.faults.clear()
        host.model.when_rebooted = None
        gone_on = project.run("rollout", "retry", "--failed", "-v", patience=600)
        (found,) = project.status()["hosts"]
        assert found["state"] == "succeeded", f"{found}\n{gone_on}"
        assert (host.model.agent_installs, host.model.reboots) == (["KB5040000"], 1)
        assert _no_double(fleet)
        project.audit()


def _vanish(host: FleetHost) -> None:
    host.peer.inject("drop-before", "*", times=1_000_000)


def _no_double(fleet: WindowsFleet) -> bool:
    return all(len(host.model.launched) == len(set(host.model.launched)) for host in fleet.hosts.values())


def _told(host: dict[str, Any]) -> tuple[str, str, str]:
    found = host["diagnosis"] or {}
    return found.get("signature", ""), found.get("class", ""), found.get("remedy", "")
