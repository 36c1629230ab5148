"""One policy, one rollout and one report over a real Debian host and five of the model's Windows hosts."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from patchctl.connect.connections import Connections
from patchctl.connect.credentials import Secrets
from patchctl.deliver.cache import ArtefactCache
from patchctl.model.hosts import Connection, HealthCheck, Host, Inventory
from patchctl.model.policy import ApprovalRule, Limits, PackageOffer, Policy, RingSpec
from patchctl.platforms.registry import all_platforms
from patchctl.store.database import open_store
from patchctl.usecases import rollouts
from patchctl.usecases.apply import record_rollout
from patchctl.usecases.carry_out import Options, carry_out
from patchctl.usecases.executor import PoolExecutor
from patchctl.usecases.hostjobs import HostVisits
from patchctl.usecases.plan import PlanRequest, make_plan
from patchctl.usecases.report import write_report
from tests.hostjobs.rig import TIMEOUTS
from tests.lab import Lab, LabHost
from tests.scan.test_scan import Silent
from tests.windows.model import ModelTransport, WindowsHost

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


class WallClock:
    def now(self) -> float:
        return time.time()


class NoInterrupt:
    def requested(self) -> bool:
        return False


def test_windows_and_debian_hosts_are_patched_by_one_rollout(
    tmp_path: Path, lab: Lab, fresh_hosts: Callable[[int], list[LabHost]],
    windows_hosts: Callable[[int], list[WindowsHost]], msi: dict[str, Path],
) -> None:
    (debian,) = fresh_hosts(1)
    models = {f"win{n}": one for n, one in enumerate(windows_hosts(5), 1)}
    inventory = Inventory({
        debian.name: Host(debian.name, Connection(
            address=debian.address, port=debian.port, user="ops", keys=(str(debian.key),), timeouts=TIMEOUTS)),
        **{name: Host(name, Connection(transport="fake", options={"shell": "powershell"})) for name in models},
    }, {}, {})  # fmt: skip
    data = msi["2.0.0"].read_bytes()
    offer = PackageOffer("demo-tool", "2.0.0", "http://127.0.0.1:9/demo-tool-2.0.0.msi",
                         hashlib.sha256(data).hexdigest(), len(data), "demo-tool-2.0.0.msi")
    policy = Policy(
        "mixed", approve=(ApprovalRule("lab-*"), ApprovalRule("demo-*")),
        rings=(RingSpec("canary", hosts="win1"), RingSpec("rest")), limits=Limits("100%", "0", "0", "0", 600.0),
        refresh="never", health=(HealthCheck("no_new_failed_units"),), offers=(offer,))
    cache = ArtefactCache(tmp_path / "cache")
    cache.add(offer.sha256, [data], len(data))
    clock = WallClock()
    with open_store(f"sqlite:///{tmp_path}/state.db") as store:
        connections = Connections(
            inventory, known_hosts=[lab.known_hosts], ssh_config=None, secrets=Secrets(None, None),
            transports={"fake": ModelTransport(models)})
        plan = make_plan(PlanRequest(policy, inventory, "tester@rig", forks=6), store, connections, clock, Silent())
        assert {h.skip for h in plan.hosts.values()} == {""}, plan
        assert [c.package for c in plan.hosts["win3"].changes] == ["demo-tool"]
        assert {c.package for c in plan.hosts[debian.name].changes} >= {"lab-service"}
        record_rollout(plan, store, "tester@rig")
        rollouts.create(store, plan.rollout, "tester@rig", clock)
        visits = HostVisits(plan, inventory, connections, cache, store, clock)
        state = carry_out(
            plan, store.journal, PoolExecutor(visits.perform, 6), clock, Silent(), NoInterrupt(), "tester@rig",
            next_token=store.next_token, options=Options(signatures={p.name: p.signatures for p in all_platforms()}))
        connections.close()
        assert {name: host.state for name, host in state.hosts.items()} == dict.fromkeys(inventory.hosts, "succeeded")
        report = write_report(store, plan.rollout, tmp_path / "reports", clock.now(), "tester@rig")
    assert report.problems == ()
    written = json.loads(next(f.path for f in report.files if f.format == "json").read_text())
    listed = json.dumps(written)
    for name in inventory.hosts:
        assert f'"{name}"' in listed
    for name, model in models.items():
        assert "DisplayVersion    REG_SZ    2.0.0" in model.programs(), name
        assert len(model.launched) == 1, name
    assert "lab-service" in debian.exec("dpkg-query -W lab-service")
    assert plan.hosts["win1"].ring == "canary"
