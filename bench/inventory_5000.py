"""Measures loading and validating an inventory of 5,000 hosts with groups, sites and variables. Limit: 2 s.

Run: python bench/inventory_5000.py [HOSTS]. Prints seconds of wall time and of CPU for a fresh process each, imports
included. The work has one thread and waits for nothing, so CPU is what a machine with a free core takes; the verdict
is on that, because wall time on a busy machine says more about the others.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 2.0
ROUNDS = 3


def write_project(folder: Path, hosts: int) -> None:
    """Write an inventory: sites of 500, groups of 50, a third with settings of their own, and one policy."""
    sites, groups, names = ["sites:"], ["groups:"], []
    for site in range(max(1, hosts // 500)):
        host = f"bastion{site}.example.com"
        sites.append(f"  site{site}: {{jump: {host}, forks: 20, vars: {{ntp: ntp{site}.example.com}}}}")
    for number in range(max(1, hosts // 50)):
        name = f"app{number:03}"
        names.append(name)
        groups += [f"  {name}:", f"    site: site{number // 10}",
                   f"    vars: {{app: {name}, tier: {number % 3}, port: 8443}}",
                   "    health: [{unit: app.service}, {http: \"https://:8443/health\"}]", "    hosts:"]
        for index in range(50):
            own = f" {{address: 10.{number % 200}.{index}.7, vars: {{rack: r{index % 12}, serial: s{number}-{index}}}}}"
            groups.append(
                f"      {name}-{index:02}.example.com:{own if index % 3 == 0 else ''}")
    for part in range(10):
        inner = ", ".join(names[part::10])
        groups.append(f"  part{part}: {{groups: [{inner}], vars: {{part: {part}, owner: team{part}}}}}")
    groups += [f"  canary: {{hosts: [{', '.join(f'{n}-00.example.com' for n in names[::10])}]}}",
               f"  prod: {{groups: [{', '.join(f'part{p}' for p in range(10))}], max_down: 100}}"]
    (folder / "inventories").mkdir()
    (folder / "policies").mkdir()
    head = "defaults: {user: svc-patch, become: {method: sudo, password: \"env:PATCH_SUDO\"}, vars: {env: prod}}"
    (folder / "inventories" / "fleet.yaml").write_text("\n".join([head, *sites, *groups]) + "\n")
    (folder / "policies" / "monthly.yaml").write_text(
        "policy: monthly\nhosts: prod\napprove: [{security: true, after: 3d}]\nrings:\n"
        "  - {name: canary, hosts: canary, window: \"2nd tue 20:00 4h\", soak: 24h}\n"
        "  - {name: early, size: 10%, window: \"2nd tue +2d 20:00 4h\", soak: 24h}\n"
        "  - {name: rest, window: \"2nd tue +4d 20:00 4h\"}\n"
    )


def measure(folder: Path, code: str) -> tuple[float, float]:
    """Return (wall, CPU) seconds of a fresh Python that runs `code`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                   env={**os.environ, "HOME": str(folder)})
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    hosts = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    load = ("from pathlib import Path; from patchctl.documents.inventories import load_inventory; "
            f"assert len(load_inventory([Path('inventories')]).hosts) == {hosts}")
    validate = "import sys; from patchctl.cli.main import run; sys.argv[1:] = ['validate', '-q']; run()"
    worst = 0.0
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        write_project(folder, hosts)
        size = (folder / "inventories" / "fleet.yaml").stat().st_size
        print(f"{hosts} hosts, {size / 1e6:.2f} MB of YAML, {ROUNDS} rounds each, a fresh process each time")
        for name, code in (("load", load), ("validate (all files, all checks)", validate)):
            figures = [measure(folder, code) for _ in range(ROUNDS)]
            wall, cpu = min(f[0] for f in figures), min(f[1] for f in figures)
            worst = max(worst, cpu)
            print(f"{name:34} wall {wall:5.2f} s   cpu {cpu:5.2f} s   worst wall {max(f[0] for f in figures):5.2f} s")
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"limit {LIMIT} s of CPU: {'kept' if worst < LIMIT else 'MISSED'}")
    return 0 if worst < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
