"""The machine-readable output is an interface: documents of every kind fit the schemas under docs/schemas/."""

import json
from pathlib import Path

import jsonschema
import pytest

from patchctl.cli import discover as discover_command
from patchctl.cli import plan as plan_command
from patchctl.cli.output import render
from patchctl.discover.reconcile import ManagedHost, reconcile
from patchctl.model.devices import Service, Sighting
from patchctl.model.errors import HostFailure
from patchctl.model.evidence import Snapshot
from patchctl.model.hosts import Inventory
from patchctl.platforms import read_facts
from patchctl.rollout.journal import fold_all, initial, to_document
from patchctl.usecases import scan, updates
from tests.platforms.cases import load_cases
from tests.sim.fleet import make_fleet
from tests.sim.runs import Run

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def check(name, data):
    jsonschema.validate(json.loads(json.dumps({"schema": f"patchctl/{name}/1", **data})),
                        json.loads((SCHEMAS / f"{name}.json").read_text()))


def scanned_hosts():
    found = [scan.ScannedHost(case.snapshot, read_facts(case.snapshot)) for case in load_cases()]
    away = Snapshot("away", 1.0, failure=HostFailure("tcp-timeout", "no answer", "look at the firewall", "unreachable"))
    return [*found, scan.ScannedHost(away, read_facts(away))]


def test_scan_and_updates_of_every_captured_host():
    hosts = scanned_hosts()
    items = [scan.describe_host(host) for host in hosts]
    check("scan", {"hosts": items, "summary": scan.summarise(items)})
    inventory = Inventory({}, {}, {})
    listed = [u for host in hosts for u in updates.list_updates(host, {}, None, inventory, 1.0)]
    assert listed
    check("updates", {"updates": listed, "hosts": [updates.describe_host(host) for host in hosts], "summary": {}})


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_and_its_rollout_at_every_event(seed):
    plan, hosts = make_fleet(seed, 6)
    check("plan", {k: v for k, v in json.loads(render(plan_command.describe_plan(plan), "json")).items()
                   if k != "schema"})
    run = Run.of(plan, hosts)
    run.finish()
    events = run.journal.written
    for count in range(0, len(events) + 1, 7):
        check("rollout", to_document(fold_all(initial(plan), events[:count])))


def test_devices_in_every_state():
    seen = [Sighting(f"192.0.2.{n}", (Service(22, "ssh", "SSH-2.0-x", "ssh-ed25519", f"SHA256:{n}"),), 1.0)
            for n in (1, 2, 3)]
    managed = [
        ManagedHost("a", frozenset({"192.0.2.1"}), 22), ManagedHost("gone", frozenset({"192.0.2.9"}), 22),
        ManagedHost("b", frozenset({"192.0.2.2"}), 22, frozenset({("ssh-ed25519", "SHA256:other")})),
    ]
    devices = reconcile(seen, managed, ["192.0.2.9"], [22])
    assert {d.state for d in devices} == {"managed", "conflicting", "unmanaged", "stale"}
    data = json.loads(render(discover_command._document(devices, whole=True), "json"))
    check("discover", {k: v for k, v in data.items() if k != "schema"})
