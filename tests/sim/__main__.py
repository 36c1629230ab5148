"""Replays one simulated rollout and prints its journal: python -m tests.sim --seed 3 --kill append-after:17"""

from __future__ import annotations

import argparse
import sys

from tests.sim.fleet import START, make_fleet
from tests.sim.runs import Run, outcome_of, problems_of
from tests.sim.world import Kill


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--kill", action="append", default=[], type=Kill.parse, metavar="AT:N")
    given = parser.parse_args()
    plan, hosts = make_fleet(given.seed, given.hosts)
    run = Run.of(plan, hosts, given.seed)
    state = run.finish(*given.kill)
    for event in run.journal.written:
        what = {key: value for key, value in event.data.items() if key not in ("data", "token", "job")}
        print(f"{event.seq:5} {event.at - START:9.2f} {event.host:5} {event.kind:22} {what} {event.reason}")
    for name, value in outcome_of(run, state).items():
        print(f"{name:8} {value} {run.world.hosts[name].scenario.name if name in run.world.hosts else ''}")
    problems = problems_of(run, state)
    for problem in problems:
        print(f"PROBLEM {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
