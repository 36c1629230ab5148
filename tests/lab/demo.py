"""`make demo`: boot eight real hosts in two sites, patch them through the real command line, name the reports.

The hosts' updates come from the machine's own Debian mirror. DEMO_KEEP=1 leaves the hosts up. Every step has a
deadline, so that the demo always ends.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.machine import why_not
from tests.lab.programs import LabError, say

SLOT = 60
SITES = {"ams": ("bastion1", "web01", "web02", "web03"), "oslo": ("db1", "db2", "app01", "app02")}
REBOOTING = ("web02", "db1")
"""These are also offered a package that asks for a reboot, as a kernel does."""

CHECKOUT = Path(__file__).resolve().parents[2]
STEPS: tuple[tuple[str, float], ...] = (  # arguments, deadline in seconds
    ("validate", 60),
    ("trust --yes", 120),
    ("scan", 300),
    ("updates --from-snapshot --limit web02", 60),
    ("plan --policy everything-now --out plan.json", 300),
    ("apply plan.json --yes", 1800),
    ("scan", 300),
    ("report", 120),
    ("status", 60),
)


def main() -> int:
    if reason := why_not():
        say(f"demo: {reason}")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the hosts are taken down
    folder = Path(os.environ.get("DEMO_DIR", "/var/tmp/patchctl-demo"))
    keep = bool(os.environ.get("DEMO_KEEP"))
    lab: Lab | None = None
    try:
        lab = Lab.at(SLOT, say)
        lab.down()
        return show(lab, folder)
    except LabError as error:
        say(f"demo: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if lab and keep and lab.hosts:
            say(f"the hosts stay up: python3 -m tests.lab --slot {SLOT} list (ssh, down)")
        elif lab:
            lab.close()


def show(lab: Lab, folder: Path) -> int:
    """Boot, write the project, run the steps; return the first exit code that is not 0."""
    names = [name for members in SITES.values() for name in members]
    say(f"== booting {len(names)} Debian 12 hosts in {len(SITES)} sites: {', '.join(names)}")
    start = time.monotonic()
    lab.up(names=names, live=True)
    for name in REBOOTING:
        lab.host(name).fault("offer", "lab-reboot")
    say(f"   up in {time.monotonic() - start:.0f} s, {len(lab.host(names[0]).upgradable())} updates pending on each")
    write_project(lab, folder)
    say(f"== the project is {folder}")
    for words, deadline in STEPS:
        if code := patchctl(words, folder, deadline):
            say(f"demo: patchctl {words} ended with exit code {code}")
            return code
    left = {host.name: len(host.upgradable()) for host in lab.hosts}
    say(f"== updates still pending, as apt on each host says: {sum(left.values())}")
    say("== reports")
    for path in sorted((folder / "reports").rglob("*")):
        if path.is_file():
            say(f"   {path}")
    return 5 if sum(left.values()) else 0


def write_project(lab: Lab, folder: Path) -> None:
    """Write what a user would have: an inventory, a policy, and patchctl.yaml to mark the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for part in ("inventories", "policies"):
        (folder / part).mkdir(parents=True)
    sites = {site: [lab.host(name) for name in members] for site, members in SITES.items()}
    (folder / "inventories/lab.yaml").write_text(lab.inventory_yaml(sites=sites))
    shutil.copy(CHECKOUT / "policies/everything-now.yaml", folder / "policies")
    (folder / "patchctl.yaml").write_text("reports: reports\n")


def patchctl(words: str, folder: Path, deadline: float) -> int:
    """Run the real command line in the project and return its exit code; 124 if it passed its deadline."""
    print(f"\n$ patchctl {words}", flush=True)
    command: Sequence[str] = [str(Path(sys.executable).with_name("patchctl")), *shlex.split(words)]
    running = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    try:
        return running.wait(deadline)
    except subprocess.TimeoutExpired:
        say(f"demo: no end after {deadline:.0f} s, interrupting")
        running.send_signal(signal.SIGINT)
        try:
            running.wait(30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        return 124


if __name__ == "__main__":
    sys.exit(main())
