"""Real sshd processes on loopback addresses, as the user who runs the tests; no root needed."""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from patchctl.connect.connections import Connections
from patchctl.connect.credentials import Secrets
from patchctl.model.hosts import Become, Connection, Host, Inventory, Timeouts

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
USER = getpass.getuser()
_addresses = itertools.count(2)


def keygen(path: Path, kind: str = "ed25519", *extra: str, passphrase: str = "") -> Path:
    """Make a key pair; return the private key's path."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path), *extra],
        check=True, stdin=subprocess.DEVNULL)
    return path


def public(path: Path) -> str:
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def free_port(address: str) -> int:
    with socket.socket() as sock:
        sock.bind((address, 0))
        return int(sock.getsockname()[1])


@dataclass
class Sshd:
    """One running server. `log` is what it wrote; `stop` ends it by its process id."""

    folder: Path
    address: str
    port: int
    host_key: Path
    process: subprocess.Popen[bytes]
    config: list[str] = field(default_factory=list)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def name(self) -> str:
        return f"[{self.address}]:{self.port}"

    def known_line(self) -> str:
        return f"{self.name} {public(self.host_key)}\n"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def start_sshd(
    folder: Path, *lines: str, host_key: Path | None = None, authorized: Path | None = None, address: str = "",
    port: int = 0,
) -> Sshd:
    """Start a server in its own folder; `lines` go into its sshd_config before the defaults."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    address = address or f"127.0.0.{next(_addresses)}"
    port = port or free_port(address)
    host_key = host_key or keygen(folder / "host_key")
    config = [
        *lines, f"ListenAddress {address}:{port}", f"HostKey {host_key}", f"PidFile {folder}/pid",
        f"AuthorizedKeysFile {authorized}" if authorized else "AuthorizedKeysFile none",
        "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
        "PermitRootLogin yes", "UseDNS no", "LogLevel DEBUG1", "MaxStartups 500", "PrintMotd no",
    ]
    (folder / "sshd_config").write_text("\n".join(config) + "\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if "Server listening" in (folder / "log").read_text(errors="replace"):
            return Sshd(folder, address, port, host_key, process, config)
        if process.poll() is not None:
            raise RuntimeError((folder / "log").read_text())
        time.sleep(0.02)
    process.kill()
    raise RuntimeError("sshd did not start")


def make_host(server: Sshd, key: Path | None, name: str = "web01", **connection: object) -> Host:
    """A host for that server, logging in with that key, without escalation."""
    settings: dict[str, object] = {
        "address": server.address, "port": server.port, "user": USER, "become": Become("none"),
        "keys": (str(key),) if key else (), "timeouts": Timeouts(10.0, 20.0, 30.0), **connection,
    }
    return Host(name, Connection(**settings))  # type: ignore[arg-type]


def connect(
    hosts: list[Host], known: Path, *, secrets: Secrets | None = None, config: Path | None = None
) -> Connections:
    """Connections for some hosts, with no ssh_config but the one given."""
    if config is None:
        config = known.parent / "empty_ssh_config"
        config.write_text("UserKnownHostsFile none\nGlobalKnownHostsFile none\nIdentityFile none\n")
    return Connections(
        Inventory({host.name: host for host in hosts}, {}, {}), known_hosts=[known], ssh_config=config,
        secrets=secrets or Secrets())
