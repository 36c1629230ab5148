"""What tests use: start peers on loopback addresses, feed them faults and transcripts, look at what happened."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.windows.wine import Disk
from tests.winrm.certificates import Authority
from tests.winrm.commands import Commands
from tests.winrm.front import Front
from tests.winrm.injected import Faults, Injected
from tests.winrm.powershell import Engine, Transcript
from tests.winrm.shells import Running, Shell, WindowsHost

ADMIN, PASSWORD = "admin", "correct horse 1"
_numbers = itertools.count(1)
_users_lock = threading.Lock()

ELEVATED = '"Mandatory Label\\High Mandatory Level","Label","S-1-16-12288",""\r\n'
NOT_ELEVATED = '"Mandatory Label\\Medium Mandatory Level","Label","S-1-16-8192",""\r\n'


@cache
def shared_wine() -> Commands:
    """Return the Wine of all peers of this process that have no disk of their own."""
    folder = Path(tempfile.mkdtemp(prefix="patchctl-wine"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    disk = Disk(folder)
    atexit.register(disk.close)
    return Commands(disk)


class Peer:
    """One simulated Windows host. `port` is HTTP, `tls_port` HTTPS; both at `address`."""

    def __init__(
        self, folder: Path, address: str, users: Mapping[str, str], auth: tuple[str, ...],
        cmd: Mapping[str, tuple[str, str, int]] | None, authority: Authority, certificate: tuple[Path, Path] | None,
        disk: Disk | None = None, ports: tuple[int, int] = (0, 0),
    ) -> None:
        self.address, self.users, self.auth = address, dict(users), auth
        self.max_envelope = 512000
        self.engine = Engine()
        self.host = WindowsHost(self._cmd, self.engine.run)
        self.faults = Faults()
        self.operations: Counter[str] = Counter()
        """How many requests of each kind came (Create, Command, Send, Receive, Signal, Delete)."""
        self.connections = 0
        self.credentials_seen = 0
        """Requests that carried a password or a login token."""
        self.delegated = 0
        """Logins that handed over a ticket to act as the user elsewhere."""
        self.troubles: list[str] = []
        self.cmd_answers = dict(cmd) if cmd is not None else None
        self._lock = threading.Lock()
        self._commands = Commands(disk) if disk is not None else None
        self.authority = authority
        self.certificate = certificate or authority.server(address)
        self._http = Front(self, address, ports[0])
        self._https = Front(self, address, ports[1], self.certificate, authority.file)
        self.port, self.tls_port = self._http.port, self._https.port

    def note(self, operation: str) -> None:
        with self._lock:
            self.operations[operation] += 1

    @property
    def shells(self) -> tuple[str, ...]:
        """Return the shells that are open: a test that ends with one has found a leak."""
        return tuple(self.host.shells)

    @property
    def executions(self) -> Counter[str]:
        """Return how often each command line, or each PowerShell script, was started."""
        return self.host.executions

    def powershell(self, transcript: Transcript) -> None:
        """Say what scripts print; all others fail and are listed in `unknown`."""
        self.engine.transcript = transcript

    @property
    def unknown(self) -> list[str]:
        return self.engine.unknown

    def inject(self, kind: str, at: str = "*", *, times: int = 1, skip: int = 0, detail: str = "") -> Injected:
        """Make the peer misbehave; see injected.py for the kinds."""
        return self.faults.add(kind, at, times=times, skip=skip, detail=detail)

    def stop(self) -> None:
        self._http.stop()
        self._https.stop()
        self.host.drop_shells()

    def _cmd(self, command: Running, shell: Shell) -> None:
        if command.line.lower().startswith("whoami /groups"):  # Wine's whoami knows no groups
            command.emit("stdout", (ELEVATED if self.engine.elevated else NOT_ELEVATED).encode())
            command.finish(0)
        elif self.cmd_answers is None:
            (self._commands or shared_wine())(command, shell)
        elif command.line in self.cmd_answers:
            out, err, rc = self.cmd_answers[command.line]
            command.emit("stdout", out.encode())
            command.emit("stderr", err.encode())
            command.finish(rc)
        else:
            command.emit("stderr", f"NO ANSWER for this command line: {command.line}\r\n".encode())
            command.finish(9009)


StartPeers = Callable[..., list[Peer]]
"""start(count=1, users=..., auth=..., cmd=..., certificate=..., disk=...): see peers() below."""


@contextmanager
def peers(folder: Path, slot: int = 61) -> Iterator[StartPeers]:
    """Give a function that starts peers on 127.0.SLOT.x, ports chosen by the system; all are stopped at the end.

    `cmd`: answers by command line (stdout, stderr, exit code); None = Wine runs them. `auth` of basic, ntlm,
    negotiate, credssp. `certificate`: files of a server certificate; otherwise one of the test's authority. `disk`: the
    one that command lines run on; otherwise peers share one. `ports`: for HTTP and HTTPS, 0 = the system chooses.
    """
    running: list[Peer] = []
    authority = Authority(folder / "ca")

    def start(
        count: int = 1, *, users: Mapping[str, str] | None = None,
        auth: tuple[str, ...] = ("negotiate", "ntlm", "basic"), cmd: Mapping[str, tuple[str, str, int]] | None = None,
        certificate: tuple[Path, Path] | None = None, disk: Disk | None = None,
        ports: tuple[int, int] = (0, 0),
    ) -> list[Peer]:
        known = dict(users if users is not None else {ADMIN: PASSWORD})
        _write_users(folder, known)
        begun = []
        for _ in range(count):
            address = f"127.0.{slot}.{next(_numbers) % 250 + 1}"
            begun.append(Peer(folder, address, known, auth, cmd, authority, certificate, disk, ports))
            running.append(begun[-1])
        return begun

    before = os.environ.get("NTLM_USER_FILE")
    try:
        yield start
    finally:
        for peer in running:
            peer.stop()
        if before is None:
            os.environ.pop("NTLM_USER_FILE", None)
        else:
            os.environ["NTLM_USER_FILE"] = before


def _write_users(folder: Path, users: Mapping[str, str]) -> None:
    """pyspnego's NTLM acceptor reads accounts from the file that NTLM_USER_FILE names: DOMAIN:user:password."""
    with _users_lock:
        path = folder / "ntlm-users"
        old = path.read_text() if path.exists() else ""
        lines = [f"{domain}:{user}:{password}\n" for user, password in users.items() for domain in ("", "PEER", "LAB")]
        path.write_text(old + "".join(line for line in lines if line not in old))
        os.environ["NTLM_USER_FILE"] = str(path)
