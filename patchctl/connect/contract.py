"""The transport contract: open a session to a host, run one thing at a time, close.

A nonzero exit is data; a Result holds no connection. Failures before a command ran are raised as HostError
(ConnectError, HostKeyError, LoginError, PrivilegeError, HostTimeoutError); a link that drops while a command
runs is Result.lost, because the command may have run.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec import Struct

from patchctl.model.hosts import Host, SecretRef


class Command(Struct, frozen=True):
    """What to run: the text of a POSIX sh script (or PowerShell on Windows), fed on standard input."""

    script: str
    become: bool = False
    """Run as the connection's become user (root); raise PrivilegeError when that is refused."""
    stdin: Iterable[bytes] | None = None
    """Data for the script to read (uploads); the script must then be a single simple command line."""
    timeout: float | None = None
    """Total deadline in seconds; None = the host's timeouts.total."""
    silence: float | None = None
    """Seconds without a byte; None = the host's timeouts.silence."""
    cap: int = 32 * 1024 * 1024
    """Bytes kept of stdout; beyond it the command is ended and the result marked cut. stderr keeps 256 KiB."""


class Result(Struct, frozen=True):
    rc: int | None
    """Exit status; None when it never came (lost, timed out, cut)."""
    stdout: bytes
    stderr: bytes
    seconds: float
    lost: str = ""
    """Why the end was not seen: link dropped, silence, deadline, cut. "" = the command ended by itself."""
    as_root: bool = False
    """Whether it ran as root (become, or the login user is root)."""


class Reach(Struct, frozen=True):
    """From where the ports of a host are reached; sessions that know have it as `reach`."""

    address: str
    """The host's address there: settings and ssh_config resolved."""
    via: str = ""
    """The jump host that looks, "" = this machine itself."""
    dial: Callable[[str, int, float], socket.socket] | None = None
    """Connect to (address, port) within seconds. Raises OSError or HostError. None = this transport cannot."""


class Session(Protocol):
    host: Host

    def run(self, command: Command) -> Result: ...

    def close(self) -> None: ...


class Transport(Protocol):
    """One file per transport under connect/, class attribute `name`; found by connect/registry.py."""

    name: str

    def open(self, host: Host) -> Session: ...


SecretResolver = Callable[[SecretRef], str]
"""Given a reference, return the secret. Raise CredentialsError. Resolves each reference at most once."""
