"""Snapshots of made-up Debian hosts, in the words of the real tools, for tests and for bench/plan_5000.py.

The texts follow what apt 2.6 prints on Debian 12 for apt.pending (see patchctl/platforms/apt/probes.py).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from patchctl.model.evidence import OK, Evidence, Snapshot

OS_RELEASE = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\nID=debian\n'
MAIN = "http://mirror.example.org/debian bookworm/main amd64 Packages"
SECURITY = "http://mirror.example.org/debian-security bookworm-security/main amd64 Packages"
SOURCES = f"""Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 {SECURITY}
     release v=12,o=Debian,a=oldstable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
     origin mirror.example.org
 500 {MAIN}
     release v=12.15,o=Debian,a=oldstable,n=bookworm,l=Debian,c=main,b=amd64
     origin mirror.example.org
Pinned packages:
"""


@dataclass(frozen=True)
class Pending:
    """One pending update; old "" = newly installed."""

    name: str
    old: str
    new: str
    security: bool = False
    arch: str = "amd64"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(f"{self.name} {self.new}".encode()).hexdigest()


def pending_output(pending: Sequence[Pending]) -> str:
    """Return the output of apt.pending, or of apt.resolve, for these updates."""
    listed = "present mirror.example.org_debian_dists_bookworm_main_binary-amd64_Packages.lz4"
    lines = ["@@ targets", listed, "@@ upgrade"]
    new = [p for p in pending if not p.old]
    upgraded = [p for p in pending if p.old]
    if new:
        lines.append("The following NEW packages will be installed:")
        lines += [f"   {p.name} ({p.new})" for p in new]
    if upgraded:
        lines.append("The following packages will be upgraded:")
        lines += [f"   {p.name} ({p.old} => {p.new})" for p in upgraded]
    lines.append(f"{len(upgraded)} upgraded, {len(new)} newly installed, 0 to remove and 0 not upgraded.")
    for p in pending:
        file = f"{p.name}_{p.new}_{p.arch}.deb"
        place = f"http://mirror.example.org/debian/pool/main/{p.name[0]}/{p.name}"
        lines.append(f"'{place}/{file}' {file} {50_000 + len(p.name)} SHA256:{p.sha256}")
    lines += ["rc 0", "@@ sources", SOURCES.rstrip("\n"), "@@ versions"]
    for p in pending:
        lines += [
            f"{p.name}:", f"  Installed: {p.old or '(none)'}", f"  Candidate: {p.new}", "  Version table:",
            f"     {p.new} 500", f"        500 {SECURITY if p.security else MAIN}",
        ]  # fmt: skip
        if p.old:
            lines += [f" *** {p.old} 100", "        100 /var/lib/dpkg/status"]
    return "\n".join(lines) + "\n"


def packages_output(pending: Iterable[Pending], others: int) -> str:
    """Return the output of apt.packages: what is pending as it is installed now, and `others` more."""
    installed = [(p.name, p.arch, p.old) for p in pending if p.old]
    installed.append(("dpkg", "amd64", "1.21.22"))
    installed += [(f"other-{i:04}", "amd64", f"{i % 9}.{i % 7}-1") for i in range(others)]
    return "".join(f"ii |{name}|{arch}|{version}|{name}|{version}\n" for name, arch, version in sorted(installed))


def make_snapshot(
    host: str, pending: str, packages: str, *, taken_at: float, age: float = 3600.0, kernel: str = "6.1.0-1-amd64"
) -> Snapshot:
    """Return a whole snapshot of a host; `age` = seconds since its package lists were refreshed."""
    now = int(taken_at)
    outputs = {
        "linux.os-release": OS_RELEASE,
        "linux.uname": f"Linux\n{kernel}\nx86_64\n",
        "linux.boot-id": f"{uuid.uuid5(uuid.NAMESPACE_DNS, host)}\n",
        "linux.user": "root\n0\n",
        "linux.container": "none\n",
        "linux.kernels": f"{kernel}\n",
        "linux.failed-units": "",
        "apt.packages": packages,
        "apt.audit": "",
        "apt.pending": pending,
        "apt.reboot": "",
        "apt.activity": f"{now - 86400}\n",
        "apt.updaters": "",
    }
    volatile = {
        "linux.clock": f"{now}\n",
        "linux.disks": "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 9000 4000 5000 45% /\n",
        "linux.deleted-files": "",
        "apt.boot-files": "map systemd[1] /usr/lib/systemd/systemd\nown systemd: /lib/systemd/systemd",
        "apt.lists": f"now {now}\nchecked {int(now - age)}\n",
    }
    evidence = {name: Evidence(name, OK, text, 0) for name, text in outputs.items()}
    evidence |= {name: Evidence(name, OK, text, 0, volatile=True) for name, text in volatile.items()}
    return Snapshot(host, taken_at, evidence, seconds=1.0)
