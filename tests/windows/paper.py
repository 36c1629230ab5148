"""Model hosts without Wine, for tests and measurements that need many of them or none of what Wine does."""

from __future__ import annotations

from dataclasses import dataclass

from patchctl.platforms.windows.probes import UNINSTALL
from tests.windows.model import Offer, WindowsHost

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
