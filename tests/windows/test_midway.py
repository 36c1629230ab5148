"""What happens to Windows hosts in the middle of `apply`: a link that is lost, an installer that is busy, reboots.

By the real command line over WinRM; Wine's msiexec installs, and the packages themselves log each run. Exit codes that
Wine's msiexec never gives are put in its place by the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.windows.wine import why_not
from tests.winrm.fleet import NEW, OLD, FleetHost, windows_fleet
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


def _told(host: dict[str, Any]) -> tuple[str, str, str]:
    found = host["diagnosis"] or {}
    return found.get("signature", ""), found.get("class", ""), found.get("remedy", "")
