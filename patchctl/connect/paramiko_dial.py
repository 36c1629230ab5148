"""From an endpoint to a logged-in paramiko transport: TCP (or a jump host's channel), key exchange, host key, login.

The host key is verified between key exchange and login, so no credential is sent to a host that is not who it was.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import time

import paramiko
from msgspec import Struct
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from patchctl.connect.endpoint import Endpoint
from patchctl.connect.host_certificates import KeyBlob
from patchctl.connect.known_hosts import KNOWN, REVOKED, UNKNOWN, KeyVerdict, KnownHosts, fingerprint
from patchctl.model.errors import ConnectError, HostError, HostKeyError, HostTimeoutError
from patchctl.model.text import one_line

LOG_CHANNEL = "patchctl.ssh"
logging.getLogger(LOG_CHANNEL).addHandler(logging.NullHandler())  # failures are raised; paramiko would print them too

_CERTIFICATE = "-cert-v01@openssh.com"
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)
# Fastest first among what both sides hold to be safe: AES-GCM needs no separate MAC, and x25519 is ten times cheaper
# than the finite-field groups, which stay as a fallback for old servers.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
_MACS = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_KEX = (
    "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512", "diffie-hellman-group-exchange-sha256", "diffie-hellman-group14-sha256",
)
_IDLE = 2.0
"""Seconds between looks of a connection's own thread at whether it was closed or must send a keepalive. paramiko's 0.1
would wake hundreds of waiting threads ten times a second: more work than all that the hosts say."""


class Deadline(Struct, frozen=True):
    """A moment on the monotonic clock by which the session must be there."""

    at: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        return cls(time.monotonic() + seconds, seconds)

    def left(self) -> float:
        return max(0.01, self.at - time.monotonic())

    def passed(self) -> bool:
        return time.monotonic() >= self.at


def connect_tcp(endpoint: Endpoint, deadline: Deadline) -> socket.socket:
    """Open a TCP connection, trying each address of the name. Raise ConnectError or HostTimeoutError."""
    family = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(endpoint.family, socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(endpoint.address, endpoint.port, family, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectError(
            "name-resolution", f"{endpoint.where}: the name {endpoint.address} cannot be resolved: {error}",
            "correct the address in the inventory, or the name service of this machine",
        ) from error
    last: OSError | None = None
    for kind, _, protocol, _, address in found:
        sock = socket.socket(kind, socket.SOCK_STREAM, protocol)
        try:
            sock.settimeout(deadline.left())
            if endpoint.bind_address:
                sock.bind((endpoint.bind_address, 0))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            sock.close()
            last = error
        else:
            return sock
    assert last is not None
    raise _tcp_error(endpoint, last, deadline) from last


def _tcp_error(endpoint: Endpoint, error: OSError, deadline: Deadline) -> HostError:
    if isinstance(error, ConnectionRefusedError):
        return ConnectError(
            "tcp-refused", f"{endpoint.where}: connection refused",
            "start sshd on the host, or correct the port in the inventory",
        )
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return ConnectError(
            "tcp-timeout", f"{endpoint.where}: no answer within {deadline.seconds:g} s",
            "the host is down, or a firewall drops the packets; a jump host may be needed",
        )
    return ConnectError(
        "no-route", f"{endpoint.where}: {error.strerror or error}", "check routes and the address in the inventory")


def start_transport(
    sock: socket.socket | paramiko.Channel, endpoint: Endpoint, algorithms: tuple[str, ...], deadline: Deadline
) -> paramiko.Transport:
    """Exchange keys. The host key is not judged yet: nothing but the exchange has been sent when this returns."""
    transport = paramiko.Transport(sock)
    transport.set_log_channel(LOG_CHANNEL)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = deadline.left()
    options = transport.get_security_options()
    options.key_types = (*algorithms, *(a for a in _HOST_KEY_ALGORITHMS if a not in algorithms))
    options.ciphers, options.digests, options.kex = _CIPHERS, _MACS, _KEX
    try:
        transport.start_client(timeout=deadline.left())
    except Exception as error:
        close_transport(transport)
        raise _exchange_error(endpoint, error, deadline) from error
    if deadline.passed() or not transport.is_active() or transport.get_remote_server_key() is None:
        close_transport(transport)
        raise HostTimeoutError(
            "connect-timeout", f"{endpoint.where}: the key exchange did not end within {deadline.seconds:g} s",
            "the host is overloaded, or something between drops large packets (MTU)",
        )
    if isinstance(sock, socket.socket):
        sock.settimeout(_IDLE)
    return transport


def close_transport(transport: paramiko.Transport) -> None:
    """End a connection at once: its thread waits in the socket, which a mere close would not wake."""
    if isinstance(transport.sock, socket.socket):
        with contextlib.suppress(OSError):  # the other side may have ended it already
            transport.sock.shutdown(socket.SHUT_RDWR)
    transport.close()


def _exchange_error(endpoint: Endpoint, error: Exception, deadline: Deadline) -> HostError:
    said = one_line(str(error), 200)
    if deadline.passed():
        return HostTimeoutError(
            "connect-timeout", f"{endpoint.where}: no ssh session within {deadline.seconds:g} s",
            "the host accepts connections but does not answer: look at its load and memory",
        )
    if any(word in said.lower() for word in ("banner", "protocol version", "incompatible version")):
        return ConnectError(
            "not-ssh", f"{endpoint.where}: this is not an ssh server, or it closed the connection at once ({said})",
            "check the port; a server under load refuses new logins (MaxStartups), a firewall may cut them",
        )
    if isinstance(error, IncompatiblePeer):
        return ConnectError(
            "kex-failed", f"{endpoint.where}: no common algorithms: {said}",
            "the server is too old for paramiko: set connection: openssh for this host",
        )
    if isinstance(error, EOFError | ConnectionError):
        return ConnectError(
            "link-lost", f"{endpoint.where}: the connection was closed during the key exchange",
            "look at the host's sshd log; fail2ban or MaxStartups close connections like this",
        )
    return ConnectError("kex-failed", f"{endpoint.where}: {said or type(error).__name__}", "see the host's sshd log")


def verify_host_key(transport: paramiko.Transport, endpoint: Endpoint, known: KnownHosts) -> None:
    """Judge the key the host has proved to hold. Raise HostKeyError unless it is known for this host."""
    shown = shown_key(transport)
    verdict = known.check(endpoint.known_as, endpoint.port, shown, time.time())
    if verdict.status != KNOWN:
        raise host_key_error(endpoint, shown, verdict)


def shown_key(transport: paramiko.Transport) -> KeyBlob:
    """Return the key or certificate the server showed in the exchange."""
    key = transport.get_remote_server_key()
    if key.public_blob is not None:
        return KeyBlob(key.public_blob.key_type, key.public_blob.key_blob)
    return KeyBlob(key.get_name(), key.asbytes())


def host_key_error(endpoint: Endpoint, shown: KeyBlob, verdict: KeyVerdict) -> HostKeyError:
    """Say what is wrong with a host's key, with fingerprints, and what to do."""
    where, mark = endpoint.where, f"{shown.type} {fingerprint(shown)}"
    name = endpoint.name
    if verdict.status == UNKNOWN:
        return HostKeyError(
            "host-key-unknown", f"{where}: host key is not known: {mark}",
            f"compare the fingerprint, then: patchctl trust --limit {name}",
        )
    if verdict.status == REVOKED:
        return HostKeyError(
            "host-key-revoked", f"{where}: {verdict.reason}: {mark}",
            "the host needs a new key; treat it as compromised",
        )
    if verdict.reason:
        return HostKeyError(
            "host-key-invalid", f"{where}: {verdict.reason}: {mark}", "sign the host's key again (ssh-keygen -s CA -h)")
    lines = [key for key in verdict.known if not key.marker]
    before = ", ".join(f"{key.blob.type} {fingerprint(key.blob)} ({key.file}:{key.line})" for key in lines[:4])
    return HostKeyError(
        "host-key-changed", f"{where}: host key has CHANGED: shows {mark}, known is {before}",
        f"find out why (new installation?); if it is right: patchctl trust --limit {name} --replace {name}",
    )


def open_through(jump: paramiko.Transport, endpoint: Endpoint, via: str, deadline: Deadline) -> paramiko.Channel:
    """Open a channel to the endpoint through a jump host. Raise ConnectError naming both."""
    try:
        return jump.open_channel(
            "direct-tcpip", (endpoint.address, endpoint.port), ("127.0.0.1", 0), timeout=deadline.left())
    except ChannelException as error:
        if error.code == 1:
            raise ConnectError(
                "jump-refused", f"{endpoint.where}: the jump host {via} does not forward connections",
                "set AllowTcpForwarding yes on the jump host, or use another",
            ) from error
        code = "tcp-refused" if "refused" in error.text.lower() else "jump-unreachable"
        raise ConnectError(
            code, f"{endpoint.where}: not reachable from the jump host {via}: {one_line(error.text)}",
            "check the address as the jump host sees it",
        ) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if deadline.passed() or "timeout" in str(error).lower():
            raise ConnectError(
                "tcp-timeout", f"{endpoint.where}: no answer through the jump host {via} within {deadline.seconds:g} s",
                "the host is down, or a firewall behind the jump host drops the packets",
            ) from error
        raise ConnectError("link-lost", f"{endpoint.where}: the link to the jump host {via} is gone", "") from error
