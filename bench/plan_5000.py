"""Plan for 5,000 simulated hosts from stored snapshots: seconds and memory, measured in a process of its own.

    python bench/plan_5000.py [HOSTS]

The snapshots are synthesised (about 16 updates and 400 packages a host, in 12 distinct package states, every fact in
the words of apt 2.6), stored in a new SQLite store, and planned from there through the real store, the real apt
parser and the real planner, with rings by pattern, percent and rest, and approvals that depend on hosts and age.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from patchctl.model.hosts import Group, Host, Inventory, Site
from patchctl.model.policy import ApprovalRule, Limits, Policy, RingSpec, WindowSpec
from patchctl.store.database import open_store

NOW = 1_795_000_000.0
STATES = 12
LIMIT_SECONDS, LIMIT_BYTES = 5.0, 500_000_000

POLICY = Policy(
    "monthly", hosts="prod", timezone="Europe/Amsterdam", digest="d",
    approve=(ApprovalRule(known_exploited=True), ApprovalRule(security=True), ApprovalRule()),
    reject=(ApprovalRule(package="docker-ce*", hosts="db", reason="CHG-812", until="2030-01-31"),),
    rings=(
        RingSpec("canary", hosts="canary", window=WindowSpec("2nd tue +1d 20:00 4h"), soak=86400.0),
        RingSpec("early", size="10%", window=WindowSpec("2nd tue +3d 22:00 4h"), soak=86400.0),
        RingSpec("rest", window=WindowSpec("2nd tue +5d 22:00 6h")),
    ),
    limits=Limits(concurrency="10%"),
)  # fmt: skip


def make_inventory(count: int) -> Inventory:
    """Return `count` hosts in 5 sites; 20 canaries, every 40th a database of a group with max_down 2."""
    names = [f"web{i:04}.example.com" for i in range(count)]
    hosts, groups = {}, {"canary": names[:20], "db": names[::40], "prod": names}
    for index, name in enumerate(names):
        member = tuple(sorted(group for group, members in groups.items() if group == "prod" or name in members))
        hosts[name] = Host(name, groups=member, site=f"site{index % 5}")
    limits = {"db": 2}
    return Inventory(
        hosts,
        {group: Group(group, tuple(members), max_down=limits.get(group)) for group, members in groups.items()},
        {f"site{i}": Site(f"site{i}") for i in range(5)},
    )


def fill_store(url: str, inventory: Inventory) -> None:
    """Store one snapshot for each host, in STATES distinct package states."""
    from tests.rollout_plan.synthesis import Pending, make_snapshot, packages_output, pending_output

    texts = []
    for state in range(STATES):
        pending = [Pending(f"lib{n:02}", f"1.{state}-1", f"1.{state + 9}-1", security=n % 2 == 0) for n in range(14)]
        pending.append(Pending("linux-image-amd64", "6.1.1", "6.1.2", True))
        pending.append(Pending("linux-image-6.1.0-2-amd64", "", "6.1.2"))
        texts.append((pending_output(pending), packages_output(pending, 400)))
    with open_store(url) as store:
        snapshots = [
            make_snapshot(name, *texts[index % STATES], taken_at=NOW - 600)
            for index, name in enumerate(inventory.hosts)
        ]
        for start in range(0, len(snapshots), 500):
            store.save_snapshots(snapshots[start : start + 500])


def measure(url: str, count: int) -> None:
    """Plan once and print the figures as JSON: runs in a fresh process, so that its memory is the planner's."""
    from patchctl.cli.progress import FailuresOnly
    from patchctl.model.codec import to_json
    from patchctl.usecases.plan import PlanRequest, make_plan

    class FixedClock:
        def now(self) -> float:
            return NOW

    inventory = make_inventory(count)
    began, cpu = time.perf_counter(), time.process_time()
    with open_store(url, writable=False) as store:
        request = PlanRequest(POLICY, inventory, "bench@here", from_snapshots=True)
        plan = make_plan(request, store, None, FixedClock(), FailuresOnly(sys.stderr), save=False)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    document = to_json(plan)
    assert all(host.changes and not host.skip for host in plan.hosts.values()), "the bench plans real changes"
    print(json.dumps({
        "hosts": len(plan.hosts),
        "changes": sum(len(host.changes) for host in plan.hosts.values()),
        "waves": sum(len(ring.waves) for ring in plan.rings),
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "plan_mb": round(len(document) / 1e6, 1),
    }))


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory(prefix="plan-bench-") as folder:
        url = f"sqlite:///{folder}/state.db"
        fill_store(url, make_inventory(count))
        command = [sys.executable, __file__, "--measure", url, str(count)]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    figures = json.loads(ran.stdout)
    print(json.dumps(figures, indent=2))
    # One thread that waits for nothing: its CPU is its wall time on a free core (so also inventory_5000.py).
    good = figures["cpu_seconds"] < LIMIT_SECONDS and figures["rss_mb"] * 1e6 < LIMIT_BYTES
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{'ok' if good else 'TOO MUCH'}: limit {LIMIT_SECONDS:g} s of CPU, {LIMIT_BYTES / 1e6:g} MB")
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
