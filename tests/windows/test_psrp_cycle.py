"""A cycle over PowerShell remoting by the real command line: a simulated host without command shells, patched once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.proof.project import Running
from tests.windows.wine import why_not
from tests.winrm.fleet import NEW, OLD, windows_fleet

POLICY = """
policy: remoting
approve: [{package: "demo-*"}]
rings: [{name: all}]
limits: {concurrency: 100%, errors: 0, unreachable: 0, changed: 0, host_time: 20m}
"""


# Wine once answered 9009 for msiexec on a busy machine, not again in nine runs. Its cmd sets 9009 for all that
# CreateProcess refuses, not only for programs that are not found: which it was cannot be told any more.
@pytest.mark.soak
@pytest.mark.skipif(bool(why_not()), reason=f"Wine test left out: {why_not()}")
def test_a_host_that_allows_only_remoting_is_scanned_and_patched(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    for part in ("inventories", "policies", "home"):
        (folder / part).mkdir(parents=True)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PATCHCTL_", "PYTEST_"))} | {
        "HOME": str(folder / "home"), "COLUMNS": "200", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    count = iter(range(100))

    def run(*words: str) -> Any:
        return Running(words, folder, env, next(count)).wait().expect(0)

    with windows_fleet(tmp_path / "fleet", 1, slot=64) as fleet:
        inventory = fleet.inventory_yaml().replace("winrm: {ca:", "winrm: {client: psrp, ca:")
        (folder / "inventories" / "windows.yaml").write_text(inventory)
        (folder / "policies" / "remoting.yaml").write_text(POLICY + fleet.offers())
        (folder / "patchctl.yaml").write_text("{}\n")
        for host in fleet.hosts.values():
            host.peer.host.allow_command_shells = False
        scanned = run("scan", "-o", "json").json()
        assert [(host["status"], host["os"]["id"]) for host in scanned["hosts"]] == [("ok", "windows")]
        done = run("apply", "--policy", "remoting", "--yes", "-v")
        assert "COMPLETED  1/1 verified" in done.out
        assert "never run on Windows" in done.err
        for name in fleet.hosts:
            assert fleet.installed(name)["demo-tool"] == NEW
            assert fleet.runs(name) == [f"demo-tool {OLD}", f"demo-tool {NEW}"]
        fleet.assert_quiet()
