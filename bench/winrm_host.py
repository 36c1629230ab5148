"""Simulated WinRM hosts in a process of their own, so that their CPU counts for nobody.

python -m bench.winrm_host N FOLDER prints a JSON line with their addresses, ports and the login, then serves until its
standard input ends. Each is a peer of the tests (tests/winrm): real HTTP, NTLM and encrypted messages; PowerShell is
answered by the tests' model, whose registry answers are constant here.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from patchctl.platforms.windows.probes import UNINSTALL
from tests.windows.model import Offer, WindowsHost
from tests.winrm.fleet import answer
from tests.winrm.peers import ADMIN, PASSWORD, peers

PROGRAMS = 60
OFFERS = 20


@dataclass
class PaperDisk:
    """As tests.windows.wine.Disk, without Wine: every question to reg.exe for programs gets the same answer."""

    text: str

    def run(self, *argv: str) -> tuple[int, str]:
        return (0, self.text) if argv[:2] == ("reg", "query") and argv[2].endswith(UNINSTALL) else (1, "")


def paper_host() -> WindowsHost:
    """Return a host with some programs and updates, all the same on every host."""
    text = "".join(
        f"\nHKEY_LOCAL_MACHINE\\SOFTWARE\\{UNINSTALL}\\P{n}\n    DisplayName    REG_SZ    Program {n}\n"
        f"    DisplayVersion    REG_SZ    {n}.2.3\n    Publisher    REG_SZ    Example\n" for n in range(PROGRAMS))
    offers = [
        Offer(f"KB50{n:05}", f"11111111-2222-4333-8444-{n:012}", title=f"Cumulative Update {n}", cves=("CVE-2026-1",))
        for n in range(OFFERS)
    ]
    return WindowsHost(PaperDisk(text), offers)  # type: ignore[arg-type] # has what a scan asks of a disk, no more


def main() -> int:
    count, folder = int(sys.argv[1]), Path(sys.argv[2])
    with peers(folder, slot=63) as start:
        running = start(count)
        for peer in running:
            model = paper_host()
            peer.powershell(functools.partial(answer, model))
        print(json.dumps({"user": ADMIN, "password": PASSWORD, "hosts": [[p.address, p.port] for p in running]}),
              flush=True)
        sys.stdin.read()
        left = sum(len(peer.shells) for peer in running)
    print(f"{left} shells left open", file=sys.stderr)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
