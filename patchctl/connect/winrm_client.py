"""One login to a WinRM service and the operations on its shell, each with a hard end. Errors are HostErrors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import requests
from winrm.exceptions import WinRMOperationTimeoutError, WSManFaultError
from winrm.protocol import Protocol

from patchctl.connect import winrm_soap as soap
from patchctl.connect.winrm_certificate import shown_digest
from patchctl.connect.winrm_faults import RAISED, SHELL_GONE, translate
from patchctl.connect.winrm_http import GuardedTransport, Watchdog
from patchctl.connect.winrm_kerberos import get_ticket
from patchctl.connect.winrm_settings import Place
from patchctl.model.errors import HostError

LONGEST_WAIT = 20
"""Seconds one Receive may wait at the service: proxies and firewalls drop what is silent for longer."""
_GRACE = 30
"""Seconds a busy service may be late with the answer that nothing came."""
IDLE = 1800
"""Seconds after which the service itself ends a shell that nobody asks for: what is left when this machine dies."""
T = TypeVar("T")


class Client:
    """One connection with its login. For one thread."""

    resource = soap.CMD
    """The kind of shell that is made."""

    def __init__(self, place: Place, password: str, pin: str) -> None:
        self._place = place
        self._watchdog = Watchdog()
        settings: dict[str, Any] = {
            "username": place.user or None, "password": password, "cert_pem": place.certificate or None,
            "cert_key_pem": place.key or None, "message_encryption": "never" if place.tls else "always",
            # Kerberos logs in before the certificate was seen here: there is nothing to bind to.
            "send_cbt": place.auth != "kerberos", "kerberos_delegation": place.delegation,
            "kerberos_hostname_override": place.kerberos_host or None,
        }  # fmt: skip
        self._protocol = Protocol(place.url, transport=cast(Any, place.auth), proxy=None, **settings)
        self._protocol.transport = GuardedTransport(
            self._watchdog, pin, endpoint=place.url, auth_method=place.auth, service="HTTP",
            ca_trust_path=place.authority or None, **settings)

    def create(self, shell: str, seconds: float) -> str:
        """Open a shell under an id of our own, to be deleted also when the answer is lost."""
        if self._place.auth == "kerberos":
            get_ticket(self._place, seconds)
        message = soap.create(shell, f"PT{IDLE}S")
        return self._do(lambda: soap.read_shell(self._exchange(message, seconds)), seconds)

    def command(self, shell: str, line: str, seconds: float) -> str:
        """Start a command line; return its id."""
        return self._do(lambda: soap.read_command(self._exchange(soap.command(shell, line), seconds)), seconds)

    def send(self, shell: str, command: str, data: bytes, seconds: float, *, end: bool) -> None:
        """Feed standard input."""
        self._do(lambda: self._exchange(soap.send(shell, command, data, end=end), seconds), seconds)

    def receive(self, shell: str, command: str, seconds: float) -> tuple[bytes, bytes, int | None] | None:
        """Return (stdout, stderr, exit code once it has ended), or None when nothing came for a while."""
        wait = max(1, min(LONGEST_WAIT, int(seconds)))
        def act() -> tuple[bytes, bytes, int | None] | None:
            try:
                return soap.read_output(self._exchange(soap.receive(shell, command, wait), wait + _GRACE))
            except WinRMOperationTimeoutError:
                return None

        return self._do(act, seconds)

    def terminate(self, shell: str, command: str, seconds: float) -> None:
        """Tell the service that a command's output is no longer wanted; it ends what still runs."""
        self._do(lambda: self._exchange(soap.terminate(shell, command), seconds), seconds)

    def delete(self, shell: str, seconds: float) -> None:
        """Delete a shell; one that is gone already is deleted."""
        def act() -> None:
            try:
                self._exchange(soap.delete(shell, self.resource), seconds)
            except WSManFaultError as error:
                if error.wsman_fault_code != SHELL_GONE:
                    raise

        self._do(act, seconds)

    def close(self) -> None:
        """Close the connection; the shell stays."""
        self._protocol.transport.close_session()
        self._watchdog.close()

    def _exchange(self, message: str, patience: float) -> bytes:
        """Send a message and return the answer, with at most so many seconds between two bytes of it."""
        self._protocol.transport.read_timeout_sec = max(1, math.ceil(patience))
        return bytes(self._protocol.send_message(message))

    def _do(self, act: Callable[[], T], seconds: float) -> T:
        try:
            with self._watchdog.within(seconds):
                return act()
        except HostError:
            raise
        except RAISED as error:
            cut, place = self._watchdog.cut, self._place
            untrusted = isinstance(error, requests.exceptions.SSLError)
            shown = shown_digest(place.address, place.port, place.timeouts.connect) if untrusted else ""
            raise translate(error, place, cut=cut, shown=shown) from error
