"""Transport "openssh": the system's ssh client, for what paramiko cannot do (GSSAPI, security keys, old algorithms).

Never asks anything (BatchMode), always with strict host keys, with the same known_hosts files as the ssh transport.
Each command is a connection of its own. ssh reads the user's ssh_config itself.
"""

from __future__ import annotations

import re
import socket

from msgspec import Struct

from patchctl.connect.context import Context
from patchctl.connect.contract import Command, Reach, Result
from patchctl.connect.conversation import Shell, converse
from patchctl.connect.endpoint import Endpoint
from patchctl.connect.pipe import Pipe
from patchctl.connect.subprocess_pipe import ProcessPipe
from patchctl.model.errors import (
    ConnectError,
    HostError,
    HostKeyError,
    HostTimeoutError,
    LoginError,
    PrivilegeError,
    UsageError,
)
from patchctl.model.hosts import Host
from patchctl.model.text import one_line, quote_sh

_NAME = re.compile(r"[A-Za-z0-9._:%\[\]_][A-Za-z0-9._:%\[\]_-]*")
"""What may stand as a destination: no option, nothing a shell would read (ssh puts %h into ProxyCommand)."""


class OpensshTransport:
    """Runs `ssh` for each command."""

    name = "openssh"

    def __init__(self, context: Context) -> None:
        self._context = context

    def open(self, host: Host) -> OpensshSession:
        """Return a session; it connects with its first command. Raise UsageError for settings that cannot work."""
        return OpensshSession(host, self._context.endpoint(host), self._context)


class OpensshSession:
    """Commands on one host, each over a connection of its own."""

    def __init__(self, host: Host, endpoint: Endpoint, context: Context) -> None:
        self.host = host
        self._endpoint = endpoint
        self._context = context
        self._terminal = False
        self._argv = ssh_argv(host, endpoint, context)

    @property
    def reach(self) -> Reach:
        """From where this host's ports are reached; through jump hosts this transport cannot look."""
        if self._endpoint.jumps:
            return Reach(self._endpoint.address, self._endpoint.jumps[-1].name)
        return Reach(self._endpoint.address, "", lambda *place: socket.create_connection(place[:2], place[2]))

    def run(self, command: Command) -> Result:
        """Connect and run one command. Raise HostError when it could not be started."""
        if command.become:
            self._context.refusals.check_become(self.host.name)
        endpoint = self._endpoint
        shell = Shell(
            self.host, endpoint.where, self._start, self._context.secrets, endpoint.user, self._terminal,
            patience=endpoint.timeouts.connect * 2, explain=lambda status, said: explain(endpoint, status, said),
        )
        try:
            outcome = converse(shell, command)
        except PrivilegeError as error:
            self._context.refusals.note_become(self.host.name, error)
            raise
        self._terminal = self._terminal or outcome.terminal
        if outcome.stray:
            try:
                converse(shell, Command(outcome.stray, become=command.become, timeout=15.0, silence=15.0, cap=4096))
            except HostError:
                return outcome.result  # best effort: the command's result is what it was
        return outcome.result

    def close(self) -> None:
        """Nothing is open between commands."""

    def _start(self, line: str, *, terminal: bool) -> Pipe:
        try:
            return ProcessPipe([*self._argv[:1], "-tt" if terminal else "-T", *self._argv[1:], line])
        except OSError as error:
            raise ConnectError(
                "ssh-missing", f"{self._endpoint.where}: the ssh client cannot be started: {error.strerror}",
                "install openssh-client, or use connection: ssh",
            ) from error


def ssh_argv(host: Host, endpoint: Endpoint, context: Context) -> list[str]:
    """Return ssh's argument list up to the remote command line. Pure."""
    connection = host.connection
    destination = connection.address or host.name
    if connection.password is not None and not connection.keys:
        raise UsageError(
            "openssh-password", f"{host.name}: transport openssh does not send passwords",
            "use connection: ssh, or a key or Kerberos ticket",
        )
    options = [f"{key}={value}" for key, value in connection.options.items()]
    argv = ["ssh", *_common(endpoint, context)]
    for option in options:
        argv += ["-o", option]
    if connection.port:
        argv += ["-p", str(connection.port)]
    if connection.user:
        argv += ["-l", connection.user]
    for key in connection.keys:
        argv += ["-o", "IdentitiesOnly=yes", "-i", key]
    if endpoint.jumps:
        argv += ["-o", f"ProxyCommand={_proxy(endpoint.jumps, context)}"]
    return [*argv, "--", _checked(destination)]


def _common(endpoint: Endpoint, context: Context) -> list[str]:
    files = dict.fromkeys((*context.known_hosts_files, *endpoint.known_hosts))
    known = " ".join('"' + name.replace("%", "%%") + '"' for name in files)
    return [
        *(["-F", context.ssh_config] if context.ssh_config else []),
        "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}",
        "-o", "VerifyHostKeyDNS=no",  # a key that DNS vouches for would pass although nobody here has accepted it
        "-o", f"ConnectTimeout={max(1, round(endpoint.timeouts.connect))}", "-o", "ServerAliveInterval=15",
        "-o", "UpdateHostKeys=no", "-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ControlMaster=no",
        "-o", "LogLevel=ERROR",
    ]


def _proxy(jumps: tuple[Endpoint, ...], context: Context) -> str:
    """A command line that reaches through the jump hosts, for ssh's ProxyCommand (it runs it with a shell)."""
    *before, last = jumps
    argv = ["ssh", *_common(last, context), "-p", str(last.port), "-l", last.user]
    for key in last.keys if last.explicit_keys else ():
        argv += ["-o", "IdentitiesOnly=yes", "-i", key]
    if last.host_key_alias:
        argv += ["-o", f"HostKeyAlias={last.host_key_alias}"]
    if before:
        argv += ["-o", f"ProxyCommand={_proxy(tuple(before), context)}"]
    words = [quote_sh(word).replace("%", "%%") for word in argv]
    return " ".join([*words, "-W", "'[%h]:%p'", "--", quote_sh(_checked(last.address))])


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError("host-name", f"not a host name or address: {name!r}", "correct it in the inventory")
    return name


class _Words(Struct, frozen=True):
    pattern: re.Pattern[str]
    error: type[HostError]
    code: str
    message: str
    hint: str


def _words(pattern: str, error: type[HostError], code: str, message: str, hint: str) -> _Words:
    return _Words(re.compile(pattern, re.IGNORECASE), error, code, message, hint)


# What OpenSSH's client says (LogLevel ERROR) when it does not get as far as a session.
_SAYINGS = (
    _words(r"REVOKED HOST KEY|host key .* revoked", HostKeyError, "host-key-revoked", "the host key is revoked",
           "the host needs a new key; treat it as compromised"),
    _words(r"IDENTIFICATION HAS CHANGED", HostKeyError, "host-key-changed", "the host key has CHANGED",
           "find out why; if it is right: patchctl trust --limit {name} --replace {name}"),
    _words(r"certificate invalid|certificate .* (?:expired|not yet valid|is not listed)", HostKeyError,
           "host-key-invalid", "the host certificate does not hold", "sign the host's key again"),
    _words(r"host key verification failed|host key is known for|no matching host key", HostKeyError,
           "host-key-unknown", "the host key is not known",
           "compare the fingerprint, then: patchctl trust --limit {name}"),
    _words(r"permission denied \(|too many authentication failures", LoginError, "auth-failed", "login refused",
           "check user and keys; for Kerberos check klist"),
    _words(r"could not resolve hostname", ConnectError, "name-resolution", "the name cannot be resolved",
           "correct the address in the inventory"),
    _words(r"connection refused", ConnectError, "tcp-refused", "connection refused",
           "start sshd on the host, or correct the port"),
    _words(r"timed out during banner exchange", HostTimeoutError, "connect-timeout", "no ssh session in time",
           "the host accepts connections but does not answer"),
    _words(r"timed out", ConnectError, "tcp-timeout", "no answer in time",
           "the host is down, or a firewall drops the packets"),
    _words(r"no route to host|network is unreachable", ConnectError, "no-route", "no route to the host",
           "check routes and the address in the inventory"),
    _words(r"unable to negotiate|no matching|invalid format|error in libcrypto", ConnectError, "kex-failed",
           "no common algorithms", "allow them in ssh_config (KexAlgorithms +..., HostKeyAlgorithms +...)"),
    _words(r"banner line contains|kex_exchange_identification|invalid ssh identification|bad protocol", ConnectError,
           "not-ssh", "this is not an ssh server, or it closed the connection at once", "check the port"),
    _words(r"bad configuration option|terminating,", ConnectError, "ssh-config-invalid",
           "ssh_config cannot be read", "correct the file"),
)


def explain(endpoint: Endpoint, status: int | None, said: str) -> HostError | None:
    """Given what ssh printed before any session, return the error it means; None when ssh itself did not fail (255)."""
    if status != 255:
        return None
    where = endpoint.where
    for saying in _SAYINGS:
        if saying.pattern.search(said):
            shown = one_line(said[-400:], 250)
            return saying.error(
                saying.code, f"{where}: {saying.message} ({shown})", saying.hint.replace("{name}", endpoint.name))
    return ConnectError("link-lost", f"{where}: ssh ended: {one_line(said[-600:], 300) or 'it said nothing'}", "")


TRANSPORT = OpensshTransport
