"""Carry out a rollout of 5,000 simulated hosts: seconds of CPU and memory, measured in a process of its own.

    python bench/rollout_5000.py [HOSTS]

The real loop, decisions and journal fold; hosts, links and time are those of tests/sim (virtual time). One host in 25
meets a trouble from tests/sim/fleet.py. The journal is in memory: what a database costs is not in the figure.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.sim.fleet import TROUBLES, make_plan
from tests.sim.runs import Run
from tests.sim.simhost import Scenario, SimHost
from tests.sim.world import Controls

LIMIT_SECONDS, LIMIT_BYTES = 120.0, 1_500_000_000


def main(count: int) -> int:
    rng = random.Random(5000)
    names = [f"h{number:05d}" for number in range(1, count + 1)]
    plan = make_plan(names, 0, concurrency=max(1, count // 10))
    plan = replace(plan, hosts={name: replace(host, reboot="if_required") for name, host in plan.hosts.items()})
    hosts = [SimHost(names[0], Scenario())]
    hosts += [SimHost(name, rng.choice(TROUBLES) if rng.random() < 0.04 else Scenario()) for name in names[1:]]
    run = Run.of(plan, hosts)
    began = time.process_time()
    state = run.control(Controls())
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert state is not None
    problems = list(run.world.problems)
    for host in hosts:
        if len({attempt for attempt, _ in host.installs}) < len(host.installs):
            problems.append(f"{host.name} was started twice")
        if not state.hosts[host.name].settled:
            problems.append(f"{host.name} was forgotten")
    good = sum(1 for host in state.hosts.values() if host.state == "succeeded")
    for problem in problems[:10]:
        print(problem)
    print(f"{count} hosts: {state.status}, {good} succeeded, {len(run.journal.written)} events")
    print(f"{seconds:.1f} s CPU (limit {LIMIT_SECONDS:.0f}), {peak / 1e6:.0f} MB (limit {LIMIT_BYTES / 1e6:.0f})")
    return 0 if state.status == "completed" and not problems and seconds <= LIMIT_SECONDS and peak <= LIMIT_BYTES else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5000))
