"""SCAP on the host: what our probes cost there, against oscap evaluating the same profile without reports.

CPU and wall time with measure(), memory as the largest sum of the proportional set sizes of all processes, sampled in
runs of its own. Prints a table; exit code 1 if ours is not cheaper, or takes more than a quarter of oscap's memory.
Also what the controller's CPU spends on one host's verdicts for the largest profile; exit code 1 above half a second.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from bench.measure import ENTER, LEASH, MeasureError, measure, side_by_side
from patchctl.assess.contract import MAX_TRIPS
from patchctl.collect.script import compile_script
from patchctl.model.evidence import Probe
from tests.lab import LabHost, why_not
from tests.lab.kernel import cgroup_processes, make_cgroup, remove_cgroup
from tests.lab.programs import say
from tests.lab.slots import kill_group
from tests.scap import oracle

SYSTEM, PROFILE = "ubuntu2204", "cis_level2_workstation"
ROUNDS = 3
SHARE = 0.25
"""The part of oscap's memory that ours may take."""


LARGEST = ("rhel9", "stig")
"""The profile with most rules of all 234 in the 31 streams: 496."""
JUDGED = 0.5
"""Seconds of CPU that judging one host by it may take."""


@dataclass(frozen=True)
class Figures:
    cpu: float
    wall: float
    mebibytes: float


def peak(command: Sequence[str]) -> float:
    """Run a command and return the largest sum of its processes' Pss in MiB. Raise MeasureError if none was seen."""
    name = f"patchctl-lab/bench-memory-{os.getpid()}"
    groups = make_cgroup(name)
    words = [*LEASH, "sh", "-c", ENTER, "sh", *map(str, groups), "--", *command]
    most = 0
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as one:
        while one.poll() is None:
            most = max(most, sum(map(_pss, cgroup_processes(name))))
            time.sleep(0.005)
    kill_group(name)
    remove_cgroup(name)
    if not most:
        raise MeasureError("no process was seen")
    return most / 1024


def _pss(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def ours(host: LabHost, scripts: Sequence[Sequence[Probe]]) -> list[str]:
    """Put the scripts of all round trips into the host and return the command that runs them one after another."""
    names = []
    for number, probes in enumerate(scripts):
        (host.root / f"root/bench-{number}").write_text(compile_script(probes, "0123456789abcdef"))
        names.append(f"sh /root/bench-{number} >/root/bench-{number}.out")
    return host.exec_argv("; ".join(names))


def largest(host: LabHost) -> float:
    """Return the CPU seconds of the first evaluation of one host's snapshot by the largest profile.

    Its platforms are left out, or all rules would be not applicable at once: every rule is judged, whatever the host.
    """
    baseline = replace(oracle.compiled(*LARGEST), applicability={})
    snapshot = oracle.visit(host, baseline).snapshot
    started = time.process_time()
    findings = baseline.evaluate(snapshot)
    spent = time.process_time() - started
    judged = sum(f.verdict in ("PASS", "FAIL") for f in findings)
    say(f"{LARGEST[1]} of {LARGEST[0]}: {len(findings)} rules, {judged} of them pass or fail, {spent:.2f} s of CPU")
    return spent


def compare() -> tuple[dict[str, Figures], float]:
    """Boot a host and measure both, and the largest profile."""
    with oracle.ScapLab.session(say) as lab:
        host = lab.dressed(SYSTEM)
        baseline = oracle.compiled(SYSTEM, PROFILE)
        scripts, snapshot = [baseline.probes()], oracle.ask(host, baseline.probes())
        while len(scripts) < MAX_TRIPS and (more := baseline.follow_up(snapshot)):
            scripts.append(more)
            later = oracle.ask(host, more)
            snapshot = type(snapshot)(snapshot.host, snapshot.taken_at, {**snapshot.evidence, **later.evidence})
        started = time.process_time()
        baseline.evaluate(snapshot)
        say(f"evaluated on the controller in {time.process_time() - started:.2f} s of CPU; {len(scripts)} round trips, "
            f"{sum(len(e.output) for e in snapshot.evidence.values()) // 1024} KiB")
        commands = {
            "patchctl": ours(host, scripts),
            "oscap": host.exec_argv(f"oscap xccdf eval --profile {PROFILE} /opt/scap/{SYSTEM}.xml >/dev/null 2>&1"),
        }
        costs = side_by_side(
            ROUNDS, {n: partial(measure, c, timeout=900, good=(0, 2)) for n, c in commands.items()})
        figures = {n: Figures(costs[n].cpu, costs[n].wall, peak(c)) for n, c in commands.items()}
        return figures, largest(host)


def main() -> int:
    if reason := why_not():
        say(f"bench: left out scap: {reason}")
        return 0
    figures, judged = compare()
    print(f"{PROFILE} of {SYSTEM}, on the host")
    for name, one in figures.items():
        print(f"  {name:10} cpu {one.cpu:6.2f} s   wall {one.wall:6.2f} s   memory {one.mebibytes:6.1f} MiB")
    mine, theirs = figures["patchctl"], figures["oscap"]
    good = mine.cpu < theirs.cpu and mine.wall < theirs.wall and mine.mebibytes < SHARE * theirs.mebibytes
    print(f"  cpu {mine.cpu / theirs.cpu:.2f}, wall {mine.wall / theirs.wall:.2f}, "
          f"memory {mine.mebibytes / theirs.mebibytes:.2f} of oscap's: {'ok' if good else 'TOO MUCH'}")
    quick = judged < JUDGED
    print(f"  largest profile ({LARGEST[1]} of {LARGEST[0]}): {judged:.2f} s of the controller's CPU for a host: "
          f"{'ok' if quick else 'TOO MUCH'}")
    return 0 if good and quick else 1


if __name__ == "__main__":
    sys.exit(main())
