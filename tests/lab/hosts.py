"""One host of the lab: its disk, its boots, commands in it without ssh, its faults."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import faults
from tests.lab.kernel import cgroup_processes, make_cgroup, mount_overlay, remove_cgroup
from tests.lab.programs import PATH, LabError, run
from tests.lab.slots import kill_group, unmount

if TYPE_CHECKING:
    from tests.lab.lab import Lab

SSHD = """ListenAddress {address}:{port}
PermitRootLogin prohibit-password
UseDNS no
HostKey /etc/ssh/ssh_host_ed25519_key
HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub
TrustedUserCAKeys /etc/ssh/user_ca
MaxStartups 500
"""


class LabHost:
    """A booted Debian 12 system on its own loopback address.

    Users: root; ops (sudo without password); opspw (sudo with password "labpw"); opscsh (ops with a csh login shell);
    guest (no sudo). All take the lab's key; all but ops take the password "labpw", root for su only.
    """

    def __init__(self, lab: Lab, name: str, number: int, lower: Sequence[Path], *, keep_lists: bool = False,
                 dress: str = "") -> None:
        self.lab = lab
        self.name = name
        self.number = number
        self.lower = list(lower)
        self.keep_lists = keep_lists
        self.dress = dress
        self.address = lab.slot.address(number)
        self.port = lab.port
        self.key = lab.key
        self.folder = lab.folder / "hosts" / name

    def __repr__(self) -> str:
        return f"<{self.name} {self.address}:{self.port}>"

    @property
    def root(self) -> Path:
        """The host's file system seen from outside; tmpfs mounts like /run and /tmp are not in it."""
        return self.folder / "root"

    @property
    def log(self) -> Path:
        """What the host's console said."""
        return self.folder / "console.log"

    @property
    def cgroup(self) -> str:
        return f"{self.lab.slot.cgroup}/{self.name}"

    @property
    def source(self) -> str:
        return f"{self.lab.slot.name}-{self.number}"

    # --- life

    def create(self) -> None:
        """Make the disk: the base below, an empty layer above, and what makes this host itself."""
        if taken := _greeting(self.address, self.port):
            raise LabError(f"something else answers on {self.address}:{self.port}: {taken!r}")
        root = mount_overlay(self.source, self.lower, self.folder)
        (root / "etc/hostname").write_text(f"{self.name}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (root / "etc/ssh/sshd_config.d/lab.conf").write_text(SSHD.format(address=self.address, port=self.port))
        self.make_host_key()
        if self.dress:
            self.lab.wardrobe(self.dress).fit(self)
        if not self.keep_lists:  # as if the daily refresh had just run: the frozen lists have the date of the cut
            now = (time.time(),) * 2
            for path in [root / "var/lib/apt/lists", *(root / "var/lib/apt/lists").glob("*_*")]:
                os.utime(path, now)

    def make_host_key(self) -> None:
        """Give the host a new ssh key, signed by the lab's host authority."""
        key = self.root / "etc/ssh/ssh_host_ed25519_key"
        for path in (key, key.with_suffix(".pub"), key.with_name(f"{key.name}-cert.pub")):
            path.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key)
        names = f"{self.name},{self.address}"
        run("ssh-keygen", "-q", "-s", self.lab.base.host_ca, "-I", self.name, "-h", "-n", names,
            key.with_suffix(".pub"))

    def known_hosts_line(self) -> str:
        where = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return f"{where} {' '.join(self.host_key().split()[:2])}\n"

    def host_key(self) -> str:
        """Return the public host key it answers with: type, base64, comment."""
        return (self.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()

    def boot(self) -> None:
        """Start it; see wait()."""
        script = Path(__file__).with_name("supervisor.sh")
        groups = make_cgroup(self.cgroup)
        subprocess.run(
            ["setsid", "-f", "sh", str(script), str(self.root), self.name, str(self.log), *map(str, groups)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=10,
            env={"PATH": PATH},
        )

    def wait(self, patience: float = 120) -> None:
        """Wait until it answers ssh and systemd has finished booting."""
        deadline = time.monotonic() + patience
        while not (_greeting(self.address, self.port).startswith(b"SSH-") and self._booted()):
            if time.monotonic() > deadline:
                tail = self.log.read_text(errors="replace")[-800:] if self.log.exists() else "nothing"
                raise LabError(f"{self.name} is not up after {patience:.0f} s; its console says: {tail}")
            time.sleep(0.1)

    def _booted(self) -> bool:
        try:
            look = self.lab.wardrobe(self.dress).dress.booted if self.dress else "systemctl is-system-running"
            return self.exec(look, check=False).strip() in ("running", "degraded")
        except LabError:
            return False  # it is just starting or going down

    def running(self) -> bool:
        """Say whether it has processes: booting, up, or going down."""
        return bool(cgroup_processes(self.cgroup))

    def _init(self) -> int:
        """Return the process id, as seen from outside, of the host's process 1."""
        for pid in cgroup_processes(self.cgroup):
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                inner = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
                if len(inner) > 1 and inner[-1] == "1":
                    return pid
        raise LabError(f"{self.name} does not run")

    def boot_id(self) -> str:
        return self.exec("cat /proc/sys/kernel/random/boot_id").strip()

    def reboot(self, patience: float = 60) -> None:
        """Reboot cleanly and wait until it is back with a new boot id."""
        before = self.boot_id()
        self.exec("systemctl reboot || reboot", check=False)
        deadline = time.monotonic() + patience
        while True:
            with contextlib.suppress(LabError):
                self.wait(max(0.1, deadline - time.monotonic()))
                if self.boot_id() != before:
                    return
            if time.monotonic() > deadline:
                raise LabError(f"{self.name} did not come back with a new boot id within {patience:.0f} s")
            time.sleep(0.1)

    def power_off(self, patience: float = 30) -> None:
        """Shut down cleanly; start() brings it back."""
        with contextlib.suppress(LabError):
            self.exec("systemctl poweroff || poweroff", check=False)
        self.lab.wait(lambda: not self.running(), f"{self.name} switches itself off", patience)

    def kill(self) -> None:
        """Pull the plug: every process of it dies at once; the disk stays as it is, start() brings it back."""
        kill_group(self.cgroup)

    def start(self) -> None:
        """Boot it again after power_off() or kill()."""
        self.boot()
        self.wait()

    def freeze(self) -> None:
        """Stop all its processes where they are: it accepts connections and says nothing."""
        for pid in cgroup_processes(self.cgroup):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in cgroup_processes(self.cgroup):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def destroy(self) -> None:
        """End it at once and delete it."""
        kill_group(self.cgroup)
        unmount(self.source)
        remove_cgroup(self.cgroup)
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- inside

    def exec_argv(self, command: str, *arguments: str) -> list[str]:
        """Return the command line that runs sh text as root in the host without ssh."""
        environment = ["env", "-i", "HOME=/root", "LANG=C.UTF-8", f"PATH={PATH}"]
        return ["nsenter", "-t", str(self._init()), "-m", "-u", "-i", "-p", "-r", "--", *environment,
                "sh", "-c", command, "sh", *arguments]

    def exec(self, command: str, *arguments: str, check: bool = True, timeout: float = 120) -> str:
        """Run sh text as root in the host without ssh; return its stdout. With check, a failure raises LabError."""
        words = self.exec_argv(command, *arguments)
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                                  timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: no end after {timeout:.0f} s: {command[:200]}") from error
        if check and done.returncode:
            said = (done.stderr or done.stdout)[-800:]
            raise LabError(f"{self.name}: exit {done.returncode}: {command[:200]}: {said}")
        return done.stdout

    def ssh_argv(self, user: str = "ops") -> list[str]:
        """Return the system's ssh client's command line for this host, up to the command."""
        options = {"UserKnownHostsFile": self.lab.known_hosts, "StrictHostKeyChecking": "yes", "BatchMode": "yes",
                   "ConnectTimeout": 10, "IdentitiesOnly": "yes"}
        given = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(self.key), *given, "-p", str(self.port), f"{user}@{self.address}"]

    def ssh(self, command: str, user: str = "ops", timeout: float = 60) -> str:
        """Run a command over ssh with the system's client and the right host key; return its stdout."""
        return run(*self.ssh_argv(user), "--", command, timeout=timeout)

    def upgradable(self) -> list[tuple[str, str, str, str]]:
        """Return what `apt list --upgradable` says: (package, arch, installed, candidate), sorted."""
        rows = []
        for line in self.exec("apt list --upgradable 2>/dev/null").splitlines():
            if "[upgradable from: " in line:  # name/suites candidate arch [upgradable from: installed]
                words = line.split()
                rows.append((words[0].split("/")[0], words[2], words[-1].rstrip("]"), words[1]))
        return sorted(rows)

    # --- faults

    def fault(self, name: str, *arguments: str) -> None:
        """Make one fault; `python3 -m tests.lab fault --help` lists them."""
        faults.make(self, name, *arguments)

    def clear(self) -> None:
        """End all faults."""
        faults.clear(self)

    def cut(self) -> None:
        self.lab.cut(self)

    def mend(self) -> None:
        self.lab.mend(self)


def _greeting(address: str, port: int) -> bytes:
    """Return the first bytes a server sends, or b"" if nobody does within a second."""
    try:
        with socket.create_connection((address, port), 1) as connection:
            connection.settimeout(2)
            return connection.recv(20)
    except OSError:
        return b""
