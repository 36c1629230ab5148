"""What the lab needs of this machine and how it asks: packages, kernel settings, the Debian mirror, free addresses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kernel import cgroup_roots
from tests.lab.programs import PATH, LabError, run

PACKAGES = {  # what lab and tests use: Debian package -> a program it brings, by which we see that it is there
    "apt-utils": "apt-ftparchive",
    "busybox": "busybox",
    "createrepo-c": "createrepo_c",
    "debootstrap": "debootstrap",
    "dpkg-dev": "dpkg-scanpackages",
    "faketime": "faketime",
    "fish": "fish",
    "gcc": "gcc",
    "gnupg": "gpg",
    "iproute2": "ip",
    "krb5-admin-server": "kadmin.local",
    "krb5-kdc": "krb5kdc",
    "krb5-user": "kinit",
    "libkrb5-dev": "krb5-config",
    "makepkg": "vercmp",
    "msitools": "msiinfo",
    "nftables": "nft",
    "openssh-client": "ssh",
    "openssh-server": "sshd",
    "postgresql": "pg_ctlcluster",
    "procps": "sysctl",
    "python3-dev": "python3-config",
    "rpm": "rpmbuild",
    "systemd-container": "systemd-nspawn",
    "tcsh": "tcsh",
    "util-linux": "nsenter",
    "wine": "wine",
    "wine64": "wine",
    "wixl": "wixl",
}
SUITE = "bookworm"
NSPAWN = ("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--resolv-conf=copy-host")
# With the default of 128 inotify instances systemd freezes without a word at about the twentieth host.
SYSCTLS = {"fs.inotify.max_user_instances": 8192, "kernel.keys.maxkeys": 20000, "kernel.keys.maxbytes": 2000000}


def lab_folder() -> Path:
    """Return the folder for bases and hosts: outside the checkout, shared by all checkouts of this machine."""
    return Path(os.environ.get("PATCHCTL_LAB_DIR") or "/var/tmp/patchctl-lab").resolve()


def why_not() -> str:
    """Return why no hosts can be booted here, or ""."""
    if os.geteuid():
        return "needs root: booting hosts takes mounts and namespaces"
    if not shutil.which("apt-get", path=PATH):
        return "needs Debian: no apt-get on this machine"
    if not cgroup_roots():
        return "needs cgroups: none is mounted writable below /sys/fs/cgroup"
    if "overlay" not in Path("/proc/filesystems").read_text() and subprocess.run(
        ["modprobe", "overlay"], check=False, capture_output=True, env={"PATH": PATH}
    ).returncode:
        return "needs overlayfs: the kernel has none"
    return ""


def missing_packages(wanted: Mapping[str, str] = PACKAGES) -> list[str]:
    """Given Debian packages with a program each brings, return those this machine lacks."""
    return [package for package, program in wanted.items() if not shutil.which(program, path=PATH)]


@contextmanager
def services_kept_down() -> Iterator[None]:
    """Let packages be installed without starting what they bring: tests start their own sshd and PostgreSQL."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)


def install_programs(wanted: Mapping[str, str]) -> None:
    """Install those of the packages whose program this machine lacks, from its own mirror."""
    if missing := missing_packages(wanted):
        noninteractive = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "-q", "update", timeout=300)
        with services_kept_down():
            run("apt-get", "-qy", "install", "--no-install-recommends", *missing, timeout=900, env=noninteractive)


def install_needs() -> None:
    """Install what the lab uses from the machine's own mirror; returns at once when all is there."""
    if reason := why_not():
        raise LabError(reason)
    install_programs(PACKAGES)
    for name, least in SYSCTLS.items():
        knob = Path("/proc/sys", name.replace(".", "/"))
        if knob.exists() and int(knob.read_text()) < least:
            knob.write_text(str(least))


@dataclass(frozen=True)
class Mirror:
    """Where this machine itself gets Debian from, and the settings its apt needs for that."""

    debian: str
    security: str
    settings: str
    certificates: tuple[Path, ...]

    def sources(self, later: str = "") -> str:
        """Return the text of a .sources file of the lab's release, with those of a later one besides if it is named."""
        keys = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
        besides = f"\nTypes: deb\nURIs: {self.debian}\nSuites: {later}\nComponents: main\n{keys}"
        return (
            f"Types: deb\nURIs: {self.debian}\nSuites: {SUITE} {SUITE}-updates\nComponents: main\n{keys}\n"
            f"Types: deb\nURIs: {self.security}\nSuites: {SUITE}-security\nComponents: main\n{keys}"
            + besides * bool(later)
        )


def find_mirror() -> Mirror:
    """Read the machine's apt configuration. Raise LabError when the lab's release is not in its sources."""
    listed = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    found: dict[str, str] = {}
    for line in listed.splitlines():
        uri, _, release = line.partition(" ")
        if uri.startswith("mirror+file:"):  # as in Debian's cloud images: a file with one mirror a line
            uri = Path(uri.removeprefix("mirror+file:").rstrip("/")).read_text().split()[0]
        found.setdefault(release, uri.rstrip("/"))
    wanted = re.compile(r'Acquire::(https?::[^ ]*|Check-Valid-Until|Check-Date|Retries) "[^"]+";')
    settings = [line for line in run("apt-config", "dump", "Acquire").splitlines() if wanted.fullmatch(line)]
    if missing := {SUITE, f"{SUITE}-security"} - found.keys():
        raise LabError(f"apt on this machine has no {' and no '.join(sorted(missing))}: add it to its sources")
    return Mirror(
        debian=found[SUITE],
        security=found[f"{SUITE}-security"],
        settings="".join(f"{line}\n" for line in settings),
        certificates=tuple(Path("/usr/local/share/ca-certificates").glob("**/*.crt")),
    )


def ssh_port() -> int:
    """Return the port for the hosts' sshd: 22, or 2222 where this machine's own sshd listens on every address."""
    if forced := os.environ.get("PATCHCTL_LAB_PORT"):
        return int(forced)
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:] if Path(table).exists() else ():
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and not address.strip("0") and int(port, 16) == 22:
                return 2222
    return 22
