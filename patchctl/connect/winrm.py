"""Transport "winrm": PowerShell scripts over pywinrm, one shell per session, many commands.

A script comes on standard input behind a short bootstrap (winrm_script.py). So nothing has run before the first Send;
from there on whatever fails is Result.lost, and nothing but the deletion of the shell is ever tried again.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Iterator

from patchctl.connect.context import Context
from patchctl.connect.contract import Command, Reach, Result
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.winrm_client import Client
from patchctl.connect.winrm_pin import pins_of
from patchctl.connect.winrm_script import (
    NOT_ELEVATED,
    bootstrap,
    command_line,
    decode_clixml,
    input_lines,
    split_nonce,
)
from patchctl.connect.winrm_settings import Place, check_means, place_of
from patchctl.model.errors import HostError, LoginError, PrivilegeError
from patchctl.model.hosts import Host

_STDERR_CAP = 256 * 1024
_MESSAGE = 96 * 1024
"""Bytes of standard input in one message: as base64 below 150 kB, the smallest envelope a service accepts."""
_CLOSING = 10.0
"""Seconds one attempt at deleting a shell may take."""
_TRIES = 3


class WinrmTransport:
    """Opens WinRM sessions. Thread-safe: nothing is shared between sessions."""

    name = "winrm"

    def __init__(self, context: Context) -> None:
        self._context = context

    def open(self, host: Host) -> WinrmSession:
        """Return a logged-in session with an open shell. Raise HostError, CredentialsError or UsageError."""
        place = place_of(host)
        check_means(place)
        session = WinrmSession(host, place, self._context)
        session.begin()
        return session


class WinrmSession:
    """One connection and one shell on one host. For one thread."""

    def __init__(self, host: Host, place: Place, context: Context) -> None:
        self.host = host
        self._place = place
        self._context = context
        known = context.known_hosts(Endpoint(place.name, place.address, place.port, place.user))
        pins = pins_of(known, place.address, place.port) if place.tls else ()
        self._pin = pins[-1] if pins else ""
        self._client: Client | None = None
        self._shell = ""
        self._ended = ""
        """The last command: the service still keeps it."""

    @property
    def reach(self) -> Reach:
        """The host's ports are looked at from this machine."""
        return Reach(self._place.address)

    def begin(self) -> None:
        """Log in and open a shell, unless that is done. Raise HostError."""
        if self._shell:
            return
        shell = str(uuid.uuid4()).upper()
        self._shell = shell  # known before it exists: a lost answer leaves nothing behind
        done = False
        try:
            client = self._log_in()
            self._shell = client.create(shell, self._place.timeouts.connect)
            done = True
        except LoginError as error:
            self._context.refusals.note_login(self._place.where, error)
            self._shell = ""  # nobody was logged in: there is no shell, and another try would count as a wrong password
            raise
        finally:
            if not done:
                self.close()

    def run(self, command: Command) -> Result:
        """Run one PowerShell script. Raise HostError when it did not run."""
        self._forget()  # not in this command's time
        started = time.monotonic()
        timeouts = self.host.connection.timeouts
        total, silence = command.timeout or timeouts.total, command.silence or timeouts.silence
        self.begin()
        assert self._client is not None
        output = _Output(command, self._place, started, total, silence)
        identity, ended = "", False
        try:
            text = bootstrap(output.nonce, need_elevation=command.become, data=command.stdin is not None)
            identity = self._client.command(self._shell, command_line(text), output.left())
            self._converse(self._client, identity, command, output)
            ended = output.rc is not None
        finally:
            if not ended:  # also when the user interrupts: deleting the shell ends what runs in it
                self.close()
        self._ended = identity if ended else ""
        return output.result()

    def close(self) -> None:
        """Delete the shell and close the connection; a new connection is made for that if need be."""
        shell, self._shell, self._ended = self._shell, "", ""
        client, self._client = self._client, None
        for _ in range(_TRIES if shell else 0):
            try:
                client = client or self._new_client()
                client.delete(shell, _CLOSING)
                break
            except HostError as error:
                if client is not None:
                    client.close()
                client = None
                if error.code == "auth-failed":
                    break  # one refused login is enough: accounts get locked
        if client is not None:
            client.close()

    def _log_in(self) -> Client:
        if self._place.password is not None:
            self._context.refusals.check_login(self._place.where)
        self._client = self._new_client()
        return self._client

    def _new_client(self) -> Client:
        place = self._place
        password = self._context.secrets(place.password) if place.password is not None else ""
        if place.client == "psrp":
            from patchctl.connect.winrm_psrp import PsrpClient

            return PsrpClient(place, password, self._pin)
        return Client(place, password, self._pin)

    def _forget(self) -> None:
        """Let the service drop the command before. When that fails the shell is replaced: its result stands."""
        identity, self._ended = self._ended, ""
        if not identity:
            return  # the last one goes with its shell
        assert self._client is not None
        try:
            self._client.terminate(self._shell, identity, _CLOSING)
        except HostError:
            self.close()

    def _converse(self, client: Client, identity: str, command: Command, output: _Output) -> None:
        source = _messages(input_lines(command.script, command.stdin or ()))
        try:
            waiting = next(source, b"")
            while waiting:
                following = next(source, b"")
                client.send(self._shell, identity, waiting, output.left(), end=not following)
                output.heard()
                waiting = following
            while output.rc is None and not output.lost:
                output.add(client.receive(self._shell, identity, output.left()))
        except HostError as error:
            late = output.passed()
            output.lost = late or f"{error.code}: {error.message}"
        if output.rc == NOT_ELEVATED and output.elevated is False and command.become:
            raise PrivilegeError(
                "not-elevated", f"{self._place.where}: {self._place.user or 'the account'} holds no elevated token",
                "log in with an Administrator; local ones need LocalAccountTokenFilterPolicy=1 on the host")


class _Output:
    """What a command has said so far, and how long it may still take."""

    def __init__(self, command: Command, place: Place, started: float, total: float, silence: float) -> None:
        self.nonce = secrets.token_hex(16)
        self.rc: int | None = None
        self.lost = ""
        self._cap, self._where = command.cap, place.where
        self._started, self._total, self._silence = started, total, silence
        self._heard = time.monotonic()
        self._stdout, self._stderr = bytearray(), bytearray()

    @property
    def elevated(self) -> bool | None:
        return split_nonce(bytes(self._stderr), self.nonce)[1]

    def heard(self) -> None:
        self._heard = time.monotonic()

    def left(self) -> float:
        """Return the seconds until the nearer of the two deadlines."""
        return max(0.0, min(self._started + self._total, self._heard + self._silence) - time.monotonic())

    def passed(self) -> str:
        """Return which deadline has passed, in words, or ""."""
        now = time.monotonic()
        if now >= self._started + self._total:
            return f"total-timeout: {self._where}: not done after {self._total:g} s"
        if now >= self._heard + self._silence:
            return f"silence-timeout: {self._where}: no byte for {self._silence:g} s"
        return ""

    def add(self, part: tuple[bytes, bytes, int | None] | None) -> None:
        if part is not None:
            out, err, self.rc = part
            room = self._cap - len(self._stdout)
            self._stdout += out[:room]
            self._stderr += err[: _STDERR_CAP - len(self._stderr)]
            if out or err:
                self.heard()
            if len(out) > room:
                self.rc, self.lost = None, f"output-too-large: {self._where}: more than {self._cap} bytes of output"
                return
        if self.rc is None:
            self.lost = self.passed()

    def result(self) -> Result:
        stderr, elevated = split_nonce(bytes(self._stderr), self.nonce)
        return Result(
            self.rc, bytes(self._stdout), decode_clixml(stderr), time.monotonic() - self._started, self.lost,
            elevated is True)


def _messages(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Join and split lines to messages of a good size."""
    held = b""
    for line in lines:
        held += line
        while len(held) > _MESSAGE:
            yield held[:_MESSAGE]
            held = held[_MESSAGE:]
    if held:
        yield held


TRANSPORT = WinrmTransport
