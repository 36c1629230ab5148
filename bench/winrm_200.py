"""200 simulated WinRM hosts at once: controller CPU of `patchctl scan`, against bare pywinrm with the same script."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Cost, MeasureError, measure, side_by_side

HOSTS, FEW, THREADS = 200, 20, 200
LIMIT = 1.5
ROOT = Path(__file__).resolve().parents[1]

Row = dict[str, object]


@contextmanager
def simulated(count: int, folder: Path) -> Iterator[Any]:
    """Serve hosts from another process; give what it says of them. Raise MeasureError when one keeps a shell open."""
    process = subprocess.Popen([sys.executable, "-m", "bench.winrm_host", str(count), str(folder)], cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        _, said = process.communicate("", timeout=60)
    if process.returncode != 0:
        raise MeasureError(f"the simulated hosts: {said[-500:]}")


def compare_winrm(rounds: int, count: int = HOSTS) -> list[Row]:
    """Return the rows of the table; what one more host costs is told apart from the fixed start."""
    with tempfile.TemporaryDirectory(prefix="patchctl-bench") as name, simulated(count, Path(name)) as served:
        folder = Path(name)
        (folder / "inventories").mkdir()
        hosts = "".join(f"  w{n}: {{address: {a}, port: {p}, winrm: {{scheme: http}}}}\n"
                        for n, (a, p) in enumerate(served["hosts"]))
        secret = folder / "secret"
        secret.write_text(served["password"])
        secret.chmod(0o600)
        (folder / "inventories/windows.yaml").write_text(
            f"defaults: {{connection: winrm, user: {served['user']}, password: 'file:{secret}', "
            f"timeouts: {{connect: 300s, silence: 300s, total: 600s}}}}\nhosts:\n{hosts}")
        patchctl = Path(sys.executable).with_name("patchctl")
        words = [patchctl, "scan", "--refresh", "never", "--forks", THREADS]
        script = folder / "script.ps1"
        script.write_text(measure([*words[:4], "--print-script", "w0"], cwd=folder).output)

        def scan(few: int) -> Cost:
            names = ",".join(f"w{n}" for n in range(few))
            cost = measure([*words, "--limit", names, "-o", "json"], cwd=folder, timeout=900)
            shown = json.loads(cost.output[cost.output.index("{"):])
            if [(host["status"], host["pending"]) for host in shown["hosts"]] != [("ok", 20)] * few:
                raise MeasureError(f"not every host was scanned: {cost.output[:1500]}")
            return cost

        def bare(few: int) -> Cost:
            addresses = [f"{a}:{p}" for a, p in served["hosts"][:few]]
            cost = measure([sys.executable, "-m", "bench.bare_winrm", served["user"], served["password"], script,
                            THREADS, *addresses], cwd=ROOT, timeout=900)
            if f"{few} hosts" not in cost.output:
                raise MeasureError(cost.output[-1500:])
            return cost

        costs = side_by_side(rounds, {
            "bare": lambda: bare(count), "scan": lambda: scan(count), "bare few": lambda: bare(FEW),
            "scan few": lambda: scan(FEW),
        })  # fmt: skip
    each = {what: (costs[what].cpu - costs[f"{what} few"].cpu) / (count - FEW) * 1000 for what in ("bare", "scan")}
    rows: list[Row] = [
        {"what": f"{label} of {count} WinRM hosts", "wall s": costs[what].wall, "cpu s": costs[what].cpu,
         "cpu ms/host": each[what], "fixed cpu ms": costs[f"{what} few"].cpu * 1000 - FEW * each[what]}
        for what, label in (("bare", "bare pywinrm, same script,"), ("scan", "patchctl scan"))
    ]
    ratio = each["scan"] / each["bare"]
    return [*rows, {
        "what": "scan / bare pywinrm, CPU for each host", "value": ratio, "limit": LIMIT, "ok": ratio <= LIMIT}]
