"""1,000 recorded hosts judged by 250 rules of our own: CPU seconds and memory, in a process of its own, and linearity.

    python bench/assess_1000.py [HOSTS]

The rules ask packages, files and kernel settings. This machine answers their script once; each simulated host has these
answers with some of them taken away at random, so that no two hosts answer alike. The snapshots are stored, and read,
judged, scored and counted as `patchctl assess --from-snapshot` does.
"""

from __future__ import annotations

import json
import os
import random
import resource
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.evidence import Snapshot
from patchctl.model.hosts import Host, Inventory
from patchctl.store.database import open_store

LIMIT_SECONDS, LIMIT_BYTES = 60.0, 1_000_000_000
FILES = ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/fstab", "/etc/profile")
SETTINGS = ("kernel.randomize_va_space", "kernel.dmesg_restrict", "net.ipv4.ip_forward", "fs.suid_dumpable")


def rules() -> list[str]:
    """Return 250 rules: 100 packages, 100 files, 50 kernel settings."""
    checks = [f"{{package: {{name: lib{n}, state: absent}}}}" for n in range(60)]
    checks += [f"{{package: {{name: {name}}}}}" for name in ("bash", "dpkg", "apt", "tar") for _ in range(10)]
    checks += [f'{{file: {{path: {FILES[n % 5]}, owner: root, group: root, mode: "0644"}}}}' for n in range(50)]
    checks += [f'{{file: {{path: /etc/none{n}, owner: root, mode: "0600"}}}}' for n in range(50)]
    checks += [f'{{sysctl: {{key: {SETTINGS[n % 4]}, equals: "{n % 3}"}}}}' for n in range(50)]
    return checks


def write_baseline(path: Path) -> None:
    lines = ["baseline: bench", "title: Bench", "rules:"]
    for number, check in enumerate(rules()):
        lines += [f"  - id: rule-{number}", "    title: A rule of the bench", f"    check: {check}"]
    path.write_text("\n".join(lines) + "\n")


def ask_here(baseline: object) -> Snapshot:
    """Return what this machine answers to the baseline's whole script."""
    from patchctl.usecases.assess import assessment_probes

    found = Snapshot("here", 0.0)
    probes = assessment_probes("sh", [baseline])  # type: ignore[list-item]
    while probes:
        nonce = secrets.token_hex(16)
        said = subprocess.run(["sh"], input=compile_script(probes, nonce).encode(), capture_output=True, check=True)
        more = parse_output(said.stdout, probes, nonce, host="here", taken_at=1.0, as_root=os.geteuid() == 0,
                            seconds=0.0, lost="")
        found = replace(more, evidence={**found.evidence, **more.evidence})
        asked = baseline.follow_up(found)  # type: ignore[attr-defined]
        probes = tuple(p for p in asked if p.id not in found.evidence)
    return found


def vary(snapshot: Snapshot, number: int) -> Snapshot:
    """Return the snapshot as host `number` would have it: one answer in twenty is not there."""
    dice = random.Random(number)
    evidence = {}
    for name, one in snapshot.evidence.items():
        lines = [
            "@- not there" if line.startswith("=") and dice.random() < 0.05 else line for line in one.output.split("\n")
        ]
        evidence[name] = replace(one, output="\n".join(lines))
    return replace(snapshot, host=f"host{number:04}", evidence=evidence)


def measure(url: str, path: str, count: int) -> None:
    """Judge once and print the figures as JSON: runs in a fresh process, so that its memory is the assessment's."""
    from patchctl.cli.progress import FailuresOnly
    from patchctl.usecases.access import Fleet
    from patchctl.usecases.assess import AssessmentOrder, assess_recorded, count_all, exit_code
    from patchctl.usecases.baselines import load_baselines
    from patchctl.usecases.replay import recorded_snapshots

    hosts = {f"host{n:04}": Host(f"host{n:04}") for n in range(count)}
    fleet = Fleet(Inventory(hosts, {}, {}), tuple(hosts.values()))
    baselines = load_baselines([path], Path(path).parent)
    cpu = time.process_time()
    with open_store(url, writable=False) as store:
        recorded = recorded_snapshots(store.assessments, list(hosts), "latest")
        order = AssessmentOrder(fleet, baselines, [path])
        result = assess_recorded(order, recorded, 1.0, FailuresOnly(sys.stderr))
    verdicts = count_all(result.hosts)
    code = exit_code(result, "any")
    cpu = time.process_time() - cpu
    assert sum(verdicts.values()) == count * len(rules())
    assert verdicts["PASS"] > 0
    assert verdicts["FAIL"] > 0
    assert code == 3
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"hosts": count, "rules": len(rules()), "verdicts": verdicts, "cpu_seconds": round(cpu, 2),
                      "rss_mb": round(rss)}))


def main() -> int:
    from patchctl.usecases.baselines import load_baselines

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    found = []
    with tempfile.TemporaryDirectory(prefix="assess-bench-") as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        path, url = Path(folder) / "bench.yaml", f"sqlite:///{folder}/state.db"
        write_baseline(path)
        here = ask_here(load_baselines([str(path)], path.parent)[0])
        with open_store(url) as store:
            for start in range(0, count, 200):
                store.save_snapshots([vary(here, n) for n in range(start, min(count, start + 200))], "assess")
        for size in (count // 4, count // 2, count):
            command = [sys.executable, __file__, "--measure", url, str(path), str(size)]
            ran = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found.append(json.loads(ran.stdout))
            print(json.dumps(found[-1]))
    last = found[-1]
    each = [one["cpu_seconds"] / one["hosts"] * 1000 for one in found]
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; ms of CPU a host: "
          + ", ".join(f"{ms:.2f}" for ms in each))
    good = last["cpu_seconds"] < LIMIT_SECONDS and last["rss_mb"] * 1e6 < LIMIT_BYTES and each[-1] < 1.5 * each[0]
    print(f"{'ok' if good else 'TOO MUCH'}: {LIMIT_SECONDS:g} s of CPU, {LIMIT_BYTES / 1e6:g} MB, 1.5 times a host")
    return 0 if good else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        sys.exit(main())
