"""Faults of a host: what faults.sh does inside it, and the few that are made from outside."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.kernel import cgroup_roots
from tests.lab.programs import LabError

if TYPE_CHECKING:
    from tests.lab.hosts import LabHost

FAULTS = {  # name -> (arguments, what it does)
    "apt-lock": ("[NAME]", "a process called NAME (unattended-upgr) holds dpkg's and apt's locks"),
    "chatty": ("", "profile scripts, .bashrc and an ssh banner that talk at every login"),
    "disk-full": ("[archives|var]", "no space in /var/cache/apt/archives, or in all of /var"),
    "dpkg-interrupted": ("", "dpkg was killed in the middle: a half-configured package and dpkg's journal"),
    "edit-conffile": ("", "the administrator changed /etc/lab-conffile.conf, whose package has a new version pending"),
    "faillock": ("", "sudo locks an account for 10 minutes after 3 wrong passwords"),
    "fence": ("[STORE_ID EPOCH TOKEN]", "another controller's fence file"),
    "hold": ("PACKAGE", "apt-mark hold"),
    "no-sudo": ("", "ops is no sudoer any more"),
    "no-space-tmp": ("", "/tmp is full"),
    "noexec": ("", "/tmp, /var/tmp, /dev/shm and /home are mounted noexec"),
    "offer": ("PACKAGE", "version 2.0 of lab-broken, lab-slow, ... (see packages.py) becomes pending"),
    "pin": ("PACKAGE", "preferences keep the package at its installed version"),
    "repo-down": ("", "the sources point at a port that nobody listens on"),
    "slow": ("[PERCENT]", "a quota of PERCENT (3) of one core"),
    "ssh-stop": ("SECONDS", "sshd stops and comes back after SECONDS"),
    "stale-lists": ("[DAYS]", "the package lists are DAYS (9) old"),
    "time-skew": ("[SECONDS]", "the clock of login sessions is wrong by SECONDS (93600)"),
    "veto": ("[REASON]", "the owner's /etc/patchctl/hold"),
    "wrong-host-key": ("", "sshd answers with another host key than known_hosts has"),
}


def make(host: LabHost, name: str, *arguments: str) -> None:
    """Make one fault: of a dressed host's own (tests/lab/dresses/), else of those that every host has."""
    if host.dress and (name in (worn := host.lab.wardrobe(host.dress)).dress.all_faults):
        worn.fault(host, name, *arguments)
        return
    if name not in FAULTS:
        raise LabError(f"no fault {name}; there are: {', '.join(FAULTS)}")
    if name == "slow":
        _limit_cpu(host, int(arguments[0]) if arguments else 3)
        return
    if name == "offer":
        package = arguments[0]
        address = host.lab.repository.address
        arguments = (package, host.lab.repository.sources(address, [("lab", package)]))
    if name == "dpkg-interrupted":
        shutil.copy(host.lab.repository.folder / "lab/pool/lab-half_2.0_all.deb", host.root / "var/cache")
    host.exec(_script(), name, *arguments)
    if name == "wrong-host-key":
        host.make_host_key()  # known_hosts of the lab keeps the old one
        host.exec("systemctl restart ssh")
    if name in ("wrong-host-key", "chatty"):
        host.wait(30)  # sshd closes its port for a moment when it is reloaded


def clear(host: LabHost) -> None:
    """End all faults. A changed host key stays changed, but becomes the known one."""
    _limit_cpu(host, 0)
    host.mend()
    if host.dress:
        host.lab.wardrobe(host.dress).fault(host, "clear")
    else:
        host.exec(_script(), "clear", timeout=300)
    host.wait(30)
    host.lab.save()


def _script() -> str:
    return Path(__file__).with_name("faults.sh").read_text()


def _limit_cpu(host: LabHost, percent: int) -> None:
    """Let the host use that share of one core; 0 = all it can get."""
    for root in cgroup_roots():
        group = root / host.cgroup
        if (new := group / "cpu.max").exists():
            new.write_text(f"{percent * 1000 if percent else 'max'} 100000")
            return
        if (old := group / "cpu.cfs_quota_us").exists():
            old.write_text(str(percent * 1000 or -1))
            return
    if percent:
        raise LabError("no cpu controller on this machine: cannot slow a host")
