"""HTTP for pywinrm with limits of our own: a hard end for every exchange, bounded replies, pinned certificates.

A timeout of requests is per read: a host that sends a byte now and then would never end. So a watchdog shuts the
connection down. No redirects, no proxies and nothing else from the environment; a reply that comes in plain text where
encryption was agreed on is not read.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import connection, connectionpool
from winrm.exceptions import WinRMError
from winrm.transport import Transport

MAX_REPLY = 2 * 1024 * 1024
"""Windows sends envelopes of at most 500 kB."""

_MESSAGE = re.compile(rb"MessageID[^>]*>\s*uuid:([0-9A-Fa-f-]+)\s*<")
_RELATES = re.compile(rb"RelatesTo[^>]*>\s*uuid:([0-9A-Fa-f-]+)\s*<")


class Watchdog:
    """Cuts the connections of one session when an exchange takes longer than it may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self.cut = False
        """Whether the last exchange was ended by the watchdog."""

    def hold(self, sock: socket.socket) -> None:
        """Remember a connection by a duplicate: TLS takes the original over."""
        with self._lock:
            self._held.append(sock.dup())
            late = self.cut
        if late:
            self._shut()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let one exchange take so long."""
        self.cut = False
        timer = threading.Timer(max(0.05, seconds), self._shut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            held, self._held = self._held, []
        for sock in held:
            sock.close()

    def _shut(self) -> None:
        with self._lock:
            self.cut = True
            for sock in self._held:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)


def _classes(watchdog: Watchdog) -> dict[str, type[Any]]:
    """Return connection pools whose connections the watchdog holds."""

    class Plain(connection.HTTPConnection):  # type: ignore[misc, unused-ignore]
        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            watchdog.hold(sock)
            return sock

    class Secure(connection.HTTPSConnection):  # type: ignore[misc, unused-ignore]
        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            watchdog.hold(sock)
            return sock

    class PlainPool(connectionpool.HTTPConnectionPool):  # type: ignore[misc, unused-ignore]
        ConnectionCls = Plain

    class SecurePool(connectionpool.HTTPSConnectionPool):  # type: ignore[misc, unused-ignore]
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class Adapter(HTTPAdapter):  # type: ignore[misc, unused-ignore]
    """One connection, bounded replies, and the pinned certificate checked on the very connection that logs in."""

    def __init__(self, watchdog: Watchdog, pin: str) -> None:
        self._watchdog, self._pin = watchdog, pin
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **settings: Any) -> None:
        if self._pin:
            settings["assert_fingerprint"] = self._pin
        super().init_poolmanager(connections, maxsize, block=True, **settings)
        self.poolmanager.pool_classes_by_scheme = _classes(self._watchdog)

    def send(
        self, request: requests.PreparedRequest, stream: bool = False, timeout: Any = None, verify: bool | str = True,
        cert: Any = None, proxies: Any = None,
    ) -> requests.Response:
        """Send and read, at most MAX_REPLY bytes of the reply. Raise requests' exceptions."""
        response = super().send(request, stream=True, timeout=timeout, verify=verify, cert=cert, proxies=proxies)
        promised = response.headers.get("Content-Length", "")
        if promised.isdecimal() and int(promised) > MAX_REPLY:
            response.close()
            raise requests.exceptions.ContentDecodingError(f"a reply of {promised} bytes")
        if response.status_code == 401 and promised.isdecimal():
            return response  # the login looks at the connection's certificate before the body is read
        content = b""
        for piece in response.iter_content(65536):
            content += piece
            if len(content) > MAX_REPLY:
                response.close()
                raise requests.exceptions.ContentDecodingError(f"a reply of more than {MAX_REPLY} bytes")
        response._content, response._content_consumed = content, True
        return response


class GuardedTransport(Transport):  # type: ignore[misc, unused-ignore]
    """pywinrm's Transport over an Adapter."""

    def __init__(self, watchdog: Watchdog, pin: str, **settings: Any) -> None:
        super().__init__(proxy=None, **settings)
        self._watchdog, self._pin = watchdog, pin
        self._prepared = False

    def build_session(self) -> requests.Session:
        session = super().build_session()
        self._prepare(session)
        return session

    def setup_encryption(self, session: requests.Session) -> None:
        self._prepare(session)
        super().setup_encryption(session)

    def send_message(self, message: str | bytes) -> bytes:
        answer: bytes = super().send_message(message)
        if b"<!DOCTYPE" in answer or b"<!ENTITY" in answer:
            raise WinRMError("the answer has a document type definition")
        asked = _MESSAGE.search(message if isinstance(message, bytes) else message.encode())
        told = _RELATES.search(answer)
        if asked is None or told is None or asked[1].lower() != told[1].lower():
            raise WinRMError("the answer belongs to another request")
        return answer

    def _get_message_response_text(self, response: requests.Response) -> bytes:
        if self.encryption is not None and "encrypted" not in response.headers.get("Content-Type", ""):
            if response.status_code == 200:
                raise WinRMError("the answer is not encrypted")
            return b""  # anybody on the way could have written it
        text: bytes = super()._get_message_response_text(response)
        return text

    def _prepare(self, session: requests.Session) -> None:
        if self._prepared:
            return
        self._prepared = True
        session.trust_env = False
        session.proxies = {}
        session.max_redirects = 0
        session.verify = False if self._pin else (self.ca_trust_path or system_authorities())
        for scheme in ("http://", "https://"):
            session.mount(scheme, Adapter(self._watchdog, self._pin))


def system_authorities() -> str | bool:
    """Return the system's file of authorities; True = those of the package certifi, where it has none."""
    return ssl.get_default_verify_paths().cafile or True
