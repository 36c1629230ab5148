"""Measuring leaves nothing behind, however it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.kernel import cgroup_processes, remove_cgroup

pytestmark = pytest.mark.lab  # control groups need root

ROOT = Path(__file__).parents[2]
MEASURE = "from bench.measure import measure; measure(['sleep', '600'])"


def wait_for(group: str, *, some: bool) -> None:
    deadline = time.monotonic() + 60
    while bool(cgroup_processes(group)) != some:
        assert time.monotonic() < deadline, f"after a minute {cgroup_processes(group)} are in {group}"
        time.sleep(0.05)


def test_what_is_measured_dies_with_a_killed_bench() -> None:
    bench = subprocess.Popen([sys.executable, "-c", MEASURE], cwd=ROOT)
    group = f"patchctl-lab/bench-{bench.pid}"
    try:
        wait_for(group, some=True)
        bench.kill()
        bench.wait()
        wait_for(group, some=False)
    finally:
        bench.kill()
        remove_cgroup(group)
