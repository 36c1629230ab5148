"""Transport "ssh": paramiko, with jump hosts whose connections are shared by the hosts behind them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from functools import partial

import paramiko
from msgspec.structs import replace

from patchctl.connect.bridge import bridge
from patchctl.connect.context import Context
from patchctl.connect.contract import Command, Reach, Result
from patchctl.connect.conversation import Shell, converse
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.paramiko_dial import (
    Deadline,
    close_transport,
    connect_tcp,
    open_through,
    start_transport,
    verify_host_key,
)
from patchctl.connect.paramiko_login import KeyLoader, Login, cached_loader
from patchctl.connect.paramiko_pipe import ChannelPipe
from patchctl.connect.pipe import Pipe
from patchctl.model.errors import ConnectError, HostError, HostTimeoutError, LoginError, PrivilegeError
from patchctl.model.hosts import Host

_JUMP_MEMORY = 20.0
"""Seconds a jump host's failure is remembered, so that the hosts behind it do not all wait for its timeout."""
_KEEPALIVE = 15


class ParamikoTransport:
    """Opens ssh sessions. Thread-safe: all hosts' threads share one."""

    name = "ssh"

    def __init__(self, context: Context) -> None:
        self._context = context
        self._load: KeyLoader = cached_loader()
        self._jumps = _Jumps(self._log_in)

    def open(self, host: Host) -> ParamikoSession:
        """Return a logged-in session. Raise HostError, or CredentialsError when a credential cannot be had."""
        endpoint = self._context.endpoint(host)
        transport = self._dial(endpoint)
        jump = partial(self._jumps.get, endpoint.jumps) if endpoint.jumps else None
        return ParamikoSession(host, endpoint, transport, self._context, jump)

    def probe(self, endpoint: Endpoint, algorithms: tuple[str, ...]) -> paramiko.Transport:
        """Exchange keys with an endpoint (through its jump hosts) without logging in; the caller closes it."""
        deadline = Deadline.after(endpoint.timeouts.connect)
        return start_transport(self._reach(endpoint, deadline), endpoint, algorithms, deadline)

    def close(self) -> None:
        """Close the connections to jump hosts."""
        self._jumps.close()

    def _dial(self, endpoint: Endpoint) -> paramiko.Transport:
        deadline = Deadline.after(endpoint.timeouts.connect)
        return self._log_in(endpoint, self._reach(endpoint, deadline), deadline)

    def _reach(self, endpoint: Endpoint, deadline: Deadline) -> paramiko.Channel | socket.socket:
        if not endpoint.jumps:
            return connect_tcp(endpoint, deadline)
        jump = self._jumps.get(endpoint.jumps)
        return open_through(jump, endpoint, endpoint.jumps[-1].where, deadline)

    def _log_in(
        self, endpoint: Endpoint, sock: paramiko.Channel | socket.socket, deadline: Deadline
    ) -> paramiko.Transport:
        known = self._context.known_hosts(endpoint)
        algorithms = known.algorithms(endpoint.known_as, endpoint.port)
        transport = start_transport(sock, endpoint, algorithms, deadline)
        login = Login(endpoint, self._context.secrets, self._load)
        try:
            verify_host_key(transport, endpoint, known)
            transport.auth_timeout = deadline.left()
            if endpoint.password is not None:
                self._context.refusals.check_login(endpoint.where)
            login.log_in(transport)
        except LoginError as error:
            close_transport(transport)
            if login.password_sent:
                self._context.refusals.note_login(endpoint.where, error)
            raise
        except paramiko.SSHException as error:
            close_transport(transport)
            raise LoginError("auth-failed", f"{endpoint.where}: {error}", "see the host's sshd log") from error
        except BaseException:
            close_transport(transport)
            raise
        return transport


class ParamikoSession:
    """One logged-in connection to one host."""

    def __init__(
        self, host: Host, endpoint: Endpoint, transport: paramiko.Transport, context: Context,
        jump: Callable[[], paramiko.Transport] | None = None,
    ) -> None:
        self.host = host
        self._jump = jump
        self._endpoint = endpoint
        self._transport = transport
        self._context = context
        self._terminal = False

    def run(self, command: Command) -> Result:
        """Run one command. Raise HostError when it could not be started."""
        if command.become:
            self._context.refusals.check_become(self.host.name)
        shell = self._shell()
        try:
            outcome = converse(shell, command)
        except PrivilegeError as error:
            self._context.refusals.note_become(self.host.name, error)
            raise
        self._terminal = self._terminal or outcome.terminal
        if outcome.stray and self._transport.is_active():
            self._end_stray(outcome.stray, become=command.become)
        return outcome.result

    @property
    def reach(self) -> Reach:
        """From where this host's ports are reached: from here, or from its last jump host."""
        jumps = self._endpoint.jumps
        if self._jump is None:
            return Reach(self._endpoint.address, "", lambda *place: socket.create_connection(place[:2], place[2]))
        return Reach(self._endpoint.address, jumps[-1].name, partial(_dial_through, self._jump, self._endpoint))

    def close(self) -> None:
        close_transport(self._transport)

    def _shell(self) -> Shell:
        endpoint = self._endpoint
        return Shell(self.host, endpoint.where, self._start, self._context.secrets, endpoint.user, self._terminal)

    def _start(self, line: str, *, terminal: bool) -> Pipe:
        where = self._endpoint.where
        try:
            channel = self._transport.open_session(timeout=self._endpoint.timeouts.connect)
            if terminal:
                channel.get_pty("dumb", 200, 50)
            channel.settimeout(self._endpoint.timeouts.connect)
            channel.exec_command(line)
        except TimeoutError as error:
            raise HostTimeoutError("silence-timeout", f"{where}: no answer to a new session", "") from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not self._transport.is_active():
                raise ConnectError("link-lost", f"{where}: the connection is gone", "") from error
            raise ConnectError(
                "session-refused", f"{where}: the server refuses a session: {error}",
                "see MaxSessions, PermitTTY and ForceCommand in the host's sshd_config",
            ) from error
        return ChannelPipe(channel)

    def _end_stray(self, script: str, *, become: bool) -> None:
        """Best effort: whether it worked or not, the command's result is what it was."""
        shell = self._shell()
        try:
            converse(shell, Command(script, become=become, timeout=10.0, silence=10.0, cap=4096))
        except HostError:
            return


def _dial_through(
    jump: Callable[[], paramiko.Transport], endpoint: Endpoint, address: str, port: int, seconds: float
) -> socket.socket:
    """Connect from the last jump host. Raise HostError."""
    target = replace(endpoint, name=address, address=address, port=port)
    return bridge(open_through(jump(), target, endpoint.jumps[-1].where, Deadline.after(seconds)))


def _again(error: HostError) -> HostError:
    """A copy to raise, so that threads do not share one exception's traceback."""
    return type(error)(error.code, error.message, error.hint)


class _Jumps:
    """Connections to jump hosts, one per chain, opened once however many hosts wait for it."""

    def __init__(
        self, log_in: Callable[[Endpoint, paramiko.Channel | socket.socket, Deadline], paramiko.Transport]
    ) -> None:
        self._log_in = log_in
        self._guard = threading.Lock()
        self._chains: dict[tuple[Endpoint, ...], _Jump] = {}

    def get(self, chain: tuple[Endpoint, ...]) -> paramiko.Transport:
        """Return a live connection to the last of the chain. Raise HostError naming the jump host that failed."""
        with self._guard:
            jump = self._chains.setdefault(chain, _Jump())
        with jump.lock:
            if jump.transport is not None and jump.transport.is_active():
                return jump.transport
            if jump.failure is not None and time.monotonic() - jump.failed_at < _JUMP_MEMORY:
                raise _again(jump.failure)
            try:
                jump.transport = self._open(chain)
            except HostError as error:
                jump.failure, jump.failed_at = error, time.monotonic()
                raise
            jump.failure = None
            return jump.transport

    def _open(self, chain: tuple[Endpoint, ...]) -> paramiko.Transport:
        *before, last = chain
        deadline = Deadline.after(last.timeouts.connect)
        sock: paramiko.Channel | socket.socket
        try:
            if before:
                sock = open_through(self.get(tuple(before)), last, before[-1].where, deadline)
            else:
                sock = connect_tcp(last, deadline)
            transport = self._log_in(last, sock, deadline)
        except HostError as error:
            if error.message.startswith("jump host "):
                raise
            raise type(error)(error.code, f"jump host {error.message}", error.hint) from error
        transport.set_keepalive(_KEEPALIVE)
        return transport

    def close(self) -> None:
        with self._guard:
            chains, self._chains = self._chains, {}
        for _, jump in sorted(chains.items(), key=lambda item: -len(item[0])):
            if jump.transport is not None:
                close_transport(jump.transport)


class _Jump:
    """One chain's connection, or why there is none."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.transport: paramiko.Transport | None = None
        self.failure: HostError | None = None
        self.failed_at = 0.0


TRANSPORT = ParamikoTransport
