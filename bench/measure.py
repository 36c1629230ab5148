"""Run one program and measure it: wall time, and the CPU of its whole process tree, daemons included.

The tree is a control group of its own, so nothing escapes (Ansible leaves ssh masters behind) and nothing foreign is
counted. What is still running when the program ends is ended too, so that every run starts cold.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kernel import cgroup_processes, make_cgroup, remove_cgroup
from tests.lab.slots import kill_group

LEASH = ("setpriv", "--pdeathsig", "KILL", "--")
"""Before a command: it is killed when whoever started it dies (prctl(2), PR_SET_PDEATHSIG), however that came."""
ENTER = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds; or the median of several."""

    wall: float
    cpu: float
    output: str = ""
    code: int = 0


class MeasureError(Exception):
    """The program failed or did not end, so there is nothing to compare."""


def measure(command: Sequence[object], *, env: Mapping[str, str] | None = None, cwd: Path | None = None,
            timeout: float = 300, good: Sequence[int] = (0,)) -> Cost:
    """Run a command once. MeasureError if it exits with a code that is not in `good`, or not at all."""
    name = f"patchctl-lab/bench-{os.getpid()}"
    groups = make_cgroup(name)
    words = [*LEASH, "sh", "-c", ENTER, "sh", *map(str, groups), "--", *map(str, command)]
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP", "ANSIBLE"))}
    with tempfile.TemporaryFile() as said:
        before, start = _usage(groups), time.monotonic()
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, cwd=cwd,
                                   env={**clean, **(env or {})}, start_new_session=True)
        try:
            code: int | None = running.wait(timeout)
        except subprocess.TimeoutExpired:
            code = None
        finally:  # an interrupt ends what is measured as well
            wall, cpu = time.monotonic() - start, _usage(groups) - before
            for pid in cgroup_processes(name):
                os.kill(pid, signal.SIGTERM)
            kill_group(name)
            running.wait()
            remove_cgroup(name)
        said.seek(0)
        output = said.read().decode(errors="replace")
    if code not in good:
        what = f"exit {code}" if code is not None else f"no end after {timeout:.0f} s"
        raise MeasureError(f"{' '.join(map(str, command))[:200]}: {what}: {output[-1500:]}")
    return Cost(wall, cpu, output, code or 0)


def _usage(groups: Sequence[Path]) -> float:
    """Return the CPU seconds a control group has used, members that have ended included."""
    for group in groups:
        if (old := group / "cpuacct.usage").exists():
            return int(old.read_text()) / 1e9
    for group in groups:
        for line in (group / "cpu.stat").read_text().splitlines() if (group / "cpu.stat").exists() else ():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    raise MeasureError("no control group tells CPU time")


def side_by_side(rounds: int, runs: Mapping[str, Callable[[], Cost]]) -> dict[str, Cost]:
    """Run each once per round, in turn, so that what else the machine does hits all alike; return the medians."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            costs[name].append(run())
    return {
        name: Cost(statistics.median(c.wall for c in got), statistics.median(c.cpu for c in got), got[-1].output)
        for name, got in costs.items()
    }
