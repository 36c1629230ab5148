"""HTTP, TLS, logins and message encryption of a peer: what stands before the shells.

NTLM, Kerberos (Negotiate) and CredSSP are accepted by pyspnego; the security context belongs to the TCP connection.
Messages over plain HTTP must be encrypted (MS-WSMV 2.2.9.1), as with AllowUnencrypted=false. Basic only over HTTPS.
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import ssl
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego.channel_bindings import GssChannelBindings

from tests.winrm import wsman
from tests.winrm.certificates import user_of
from tests.winrm.injected import AFTER, Injected

if TYPE_CHECKING:
    from tests.winrm.peers import Peer

_NAMES = {"basic": 'Basic realm="WSMAN"', "ntlm": "NTLM", "negotiate": "Negotiate", "credssp": "CredSSP"}
_SOAP = "application/soap+xml;charset=UTF-8"
_PART = re.compile(rb"--\s*Encrypted Boundary(?:--)?\r\n")
_CERTIFICATE_LOGIN = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"


class Front(ThreadingHTTPServer):
    """One listening port of a peer."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self, peer: Peer, address: str, port: int = 0, certificate: tuple[Path, Path] | None = None,
        clients: Path | None = None,
    ) -> None:
        self.peer = peer
        self.certificate_hash = b""
        self.tls: ssl.SSLContext | None = None
        super().__init__((address, port), Handler)
        self.held: set[socket.socket] = set()
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
            if clients is not None:
                self.tls.load_verify_locations(clients)
                self.tls.verify_mode = ssl.CERT_OPTIONAL
            loaded = x509.load_pem_x509_certificate(certificate[0].read_bytes())
            self.certificate_hash = loaded.fingerprint(hashes.SHA256())
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        sock, place = super().get_request()
        self.peer.connections += 1
        if self.tls is not None:  # the handshake is made by the handler's thread: a silent client holds up nobody
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self.held.add(sock)
        return sock, place

    def shutdown_request(self, request: Any) -> None:
        self.held.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what is tested here."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for sock in list(self.held):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    server: Front

    def setup(self) -> None:
        if isinstance(self.request, ssl.SSLSocket):
            self.request.settimeout(20)
            self.request.do_handshake()
        super().setup()
        self.context: Any = None
        self.user: str | None = None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing goes to stderr."""

    def reply(
        self, status: int, body: bytes = b"", kind: str = _SOAP, headers: tuple[tuple[str, str], ...] = (),
        promised: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Type", kind)):
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if promised is None else promised))
        self.end_headers()
        self.wfile.write(body)

    def deny(self) -> None:
        self.context = self.user = None
        self.reply(401, headers=tuple(("WWW-Authenticate", _NAMES[auth]) for auth in self.server.peer.auth))

    def leave(self, *, reset: bool = False) -> None:
        """Close the connection without another word."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.request, socket.SHUT_RDWR)

    def do_POST(self) -> None:
        peer = self.server.peer
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("WSMANIDENTIFY", "").lower() == "unauthenticated":
            self.reply(200, wsman.identify_answer())
            return
        handed = self._log_in(peer)
        if handed is None:
            return
        extra = (("WWW-Authenticate", handed),) if handed else ()
        if not body:
            self.reply(200, headers=extra)
            return
        sealed = "multipart/" in self.headers.get("Content-Type", "")
        if sealed:
            try:
                body = self._unseal(body)
            except Exception as error:  # noqa: BLE001 - whatever does not decrypt is refused as Windows does: 400
                peer.troubles.append(f"unseal: {error!r}"[:200])
                self.reply(400)
                return
        elif self.server.tls is None:
            self.reply(500)  # Service/AllowUnencrypted=false
            return
        self._answer(peer, body, sealed=sealed, extra=extra)

    def _answer(self, peer: Peer, body: bytes, *, sealed: bool, extra: tuple[tuple[str, str], ...]) -> None:
        request = wsman.read_request(body)
        peer.note(request.action)
        fault = peer.faults.take(request.action)
        if fault is not None and fault.kind not in AFTER and not self._before(peer, fault, request):
            return
        try:
            _check(peer, body, fault)
            status, answer = 200, peer.host.handle(request, self.user or "")
        except wsman.FaultError as error:
            status, answer = 500, wsman.fault(error, request.message)
        with contextlib.suppress(OSError):
            self._send(status, answer, fault, sealed=sealed, extra=extra)

    def _before(self, peer: Peer, fault: Injected, request: wsman.Request) -> bool:
        """Do what stands in the place of the operation; True = go on with it."""
        if fault.kind == "fault":
            return True
        if fault.kind == "restart":
            peer.host.drop_shells()
            return True
        if fault.kind == "drop-before":
            self.leave()
        elif fault.kind == "stall":
            self._hold()
        elif fault.kind == "redirect":
            self.reply(302, headers=(("Location", fault.detail),))
        elif fault.kind == "status-401":
            self.deny()
        else:
            self.reply(int(fault.kind.removeprefix("status-")))
        return False

    def _hold(self) -> None:
        """Say nothing until the client leaves or the peer stops."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.request.settimeout(120)
            self.request.recv(1)

    def _send(
        self, status: int, answer: bytes, fault: Injected | None, *, sealed: bool, extra: tuple[tuple[str, str], ...]
    ) -> None:
        kind = fault.kind if fault is not None and fault.kind in AFTER else ""
        if kind == "drop-after":
            self.leave()
            return
        if kind == "stall-after":
            self._hold()
            return
        answer = {
            "garbage": b"\x00\xff<not>xml", "dtd": b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa">]><x>&a;</x>',
            "no-ids": wsman.envelope("x", "uuid:0", "<nothing/>"), "html": b"<html><body>Proxy error</body></html>",
        }.get(kind, answer)
        if kind == "flood":
            answer = b" " * 40_000_000
        if kind == "html":
            self.reply(200, answer, "text/html")
            return
        form = _SOAP
        if sealed and kind != "plain":
            answer = self._seal(answer)
            form = f'multipart/encrypted;protocol="{self._protocol}";boundary="Encrypted Boundary"'
            if kind == "corrupt":
                middle = len(answer) - 60
                answer = answer[:middle] + bytes([answer[middle] ^ 1]) + answer[middle + 1:]
        if kind == "truncate":
            self.reply(status, answer[: len(answer) // 2], form, extra, promised=len(answer))
            self.leave()
        elif kind == "drip":
            self.reply(status, b"", form, extra, promised=len(answer))
            for number in range(len(answer)):
                self.wfile.write(answer[number:number + 1])
                time.sleep(0.5)
        else:
            self.reply(status, answer, form, extra)

    def _log_in(self, peer: Peer) -> str | None:
        """Return "" or what to hand back in WWW-Authenticate when somebody is logged in; None = answered already."""
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        if scheme == _CERTIFICATE_LOGIN and isinstance(self.request, ssl.SSLSocket):
            der = self.request.getpeercert(binary_form=True)
            self.user = user_of(der) if der else None
        elif scheme.lower() == "basic" and "basic" in peer.auth and self.server.tls is not None:
            user, _, password = base64.b64decode(token).decode().partition(":")
            peer.credentials_seen += 1
            self.user = user if peer.users.get(user) == password else None
        elif scheme.lower() in ("ntlm", "negotiate", "credssp") and scheme.lower() in peer.auth:
            peer.credentials_seen += 1
            return self._negotiate(peer, scheme, token)
        if self.user is None:
            self.deny()
            return None
        return ""

    def _negotiate(self, peer: Peer, scheme: str, token: str) -> str | None:
        try:
            if self.context is None or self.context.complete:
                self.context = self._acceptor(scheme.lower(), token)
            answer = self.context.step(base64.b64decode(token))
        except Exception as error:  # noqa: BLE001 - whatever a login fails by, the service says 401
            peer.troubles.append(f"login: {error!r}"[:300])
            self.deny()
            return None
        said = f"{scheme} {base64.b64encode(answer or b'').decode()}"
        if not self.context.complete:
            self.reply(401, headers=(("WWW-Authenticate", said),))
            return None
        self.user = str(self.context.client_principal)
        peer.delegated += bool(self.context.context_attr & spnego.ContextReq.delegate)
        return said if answer else ""

    def _acceptor(self, scheme: str, token: str) -> Any:
        bindings = None
        if self.server.certificate_hash:
            bindings = GssChannelBindings(application_data=b"tls-server-end-point:" + self.server.certificate_hash)
        protocol = "ntlm" if scheme == "ntlm" or token.startswith("TlRMTVNT") else scheme
        return spnego.server(
            protocol=protocol, channel_bindings=bindings, hostname=str(self.server.server_address[0]), service="HTTP")

    @property
    def _protocol(self) -> str:
        credssp = getattr(self.context, "negotiated_protocol", "") and type(self.context).__name__.startswith("CredSSP")
        return f"application/HTTP-{'CredSSP' if credssp else 'SPNEGO'}-session-encrypted"

    def _unseal(self, data: bytes) -> bytes:
        parts = _PART.split(data)[1:]
        found = b""
        for head, payload in zip(parts[::2], parts[1::2], strict=False):
            expected = re.search(rb"Length=(\d+)", head)
            assert expected is not None
            stream = payload.split(b"application/octet-stream\r\n", 1)[1]
            length = struct.unpack("<i", stream[:4])[0]
            if "CredSSP" in self._protocol:  # the number is that of the trailer: the TLS record follows as a whole
                plain = self.context.unwrap(stream[4:]).data
            else:
                plain = self.context.unwrap_winrm(stream[4:4 + length], stream[4 + length:])
            if len(plain) != int(expected[1]):
                raise ValueError("the length of the message is not what it says")
            found += plain
        return found

    def _seal(self, answer: bytes) -> bytes:
        parts = []
        size = 16384 if "CredSSP" in self._protocol else len(answer)
        for start in range(0, len(answer), size):
            piece = answer[start:start + size]
            wrapped = self.context.wrap_winrm(piece)
            length = len(piece) + wrapped.padding_length
            parts.append(
                b"--Encrypted Boundary\r\n\tContent-Type: " + self._protocol.encode() + b"\r\n\tOriginalContent: "
                b"type=application/soap+xml;charset=UTF-8;Length=" + str(length).encode() + b"\r\n--Encrypted Boundary"
                b"\r\n\tContent-Type: application/octet-stream\r\n" + struct.pack("<i", len(wrapped.header))
                + wrapped.header + wrapped.data)
        return b"".join(parts) + b"--Encrypted Boundary--\r\n"


def _check(peer: Peer, body: bytes, fault: Injected | None) -> None:
    """Raise the fault that stands in the way of an operation."""
    if len(body) > peer.max_envelope:
        raise wsman.FaultError(
            "w:EncodingLimit", 2150858862, "The WS-Management service cannot process the request because the request "
            "is bigger than the MaxEnvelopeSize quota. ")
    if fault is not None and fault.kind == "fault":
        raise wsman.NAMED[fault.detail]
