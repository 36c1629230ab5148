"""What goes wrong over WinRM, translated once: requests', pywinrm's and the service's errors to ours, with hints."""

from __future__ import annotations

import ssl
import struct
import xml.etree.ElementTree as ET

import requests
import spnego.exceptions
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from patchctl.connect.winrm_settings import Place
from patchctl.model.errors import ConnectError, HostError, HostKeyError, HostTimeoutError, LoginError
from patchctl.model.text import one_line

RAISED = (
    requests.RequestException, WinRMError, WinRMTransportError, WSManFaultError, InvalidCredentialsError,
    WinRMOperationTimeoutError, spnego.exceptions.SpnegoError, ET.ParseError, OSError, ValueError, KeyError, IndexError,
    StopIteration, AttributeError, TypeError, struct.error,
)  # fmt: skip
"""What pywinrm lets through: it reads answers without looking whether they are such."""
SHELL_GONE = 2150858843
_FAULTS: dict[int, tuple[str, str]] = {
    2150859173: ("winrm-shells", "close shells on the host, or raise MaxShellsPerUser there"),
    2150859174: ("winrm-users", "wait, or raise MaxConcurrentUsers on the host"),
    2147944122: ("winrm-processes", "raise MaxProcessesPerShell on the host"),
    SHELL_GONE: ("winrm-shell-gone", "the service was restarted, or an administrator closed the shell: try again"),
    2150858862: ("winrm-envelope", "raise MaxEnvelopeSizekb on the host"),
    995: ("winrm-stopping", "the service or the host is shutting down: try again"),
}


def translate(error: BaseException, place: Place, *, cut: bool = False, shown: str = "") -> HostError:
    """Return the error of ours that says what happened, where, and what to do.

    `shown` is the SHA-256 of the certificate that was not trusted, "" where it could not be had.
    """
    where, words = place.where, one_line(_words(error), 300)
    if isinstance(error, HostError):
        return error
    if cut or isinstance(error, requests.Timeout):
        return HostTimeoutError("connect-timeout", f"{where}: no complete answer in time", "is the service overloaded?")
    if isinstance(error, requests.exceptions.SSLError) and _speaks_no_tls(error):
        return ConnectError(
            "winrm-answer", f"{where}: what listens there speaks no TLS",
            "is that the port for HTTP (5985)? winrm: {scheme: http} goes there, every message encrypted")
    if isinstance(error, requests.exceptions.SSLError):
        return HostKeyError(
            "certificate-untrusted",
            f"{where}: the certificate (SHA-256 {shown or 'unknown'}) is not trusted; no login was sent: {words}",
            f"compare its SHA-256, then: patchctl trust --limit {place.name}; or set winrm: {{ca: FILE}}")
    if isinstance(error, (InvalidCredentialsError, PermissionError)):  # SpnegoError: an answer that does not decrypt
        return LoginError(
            "auth-failed", f"{where}: {place.auth} login as {place.user or 'the certificate'} refused",
            "check user: and password:, and that the service allows this kind of login")
    if isinstance(error, WSManFaultError):
        return _fault(error, where)
    if isinstance(error, WinRMTransportError):
        return ConnectError(
            f"winrm-http-{error.code}", f"{where}: the service answered with HTTP status {error.code}",
            "see the Windows Remote Management log of the host's event viewer")
    if isinstance(error, requests.exceptions.TooManyRedirects):
        return ConnectError("winrm-redirect", f"{where}: the service wants to send us elsewhere; not followed", "")
    if isinstance(error, (requests.ConnectionError, OSError)) and not isinstance(error, ValueError):
        return ConnectError("link-lost", f"{where}: {words}", "is the WinRM service reachable there?")
    return ConnectError("winrm-answer", f"{where}: not an answer of WinRM: {words}", "what listens on this port?")


def _words(error: BaseException) -> str:
    """Return the system's own words for what went wrong: requests and urllib3 wrap them in names of their objects."""
    seen = _causes(error)
    for one in seen:
        if isinstance(one, ssl.SSLCertVerificationError):
            return one.verify_message
        if isinstance(one, OSError) and not isinstance(one, requests.RequestException) and one.strerror:
            return one.strerror
    plain = next((one for one in seen if isinstance(one, ConnectionError) and str(one)), error)
    return str(plain)


def _causes(error: BaseException) -> list[BaseException]:
    """Return the error and what it is made of, the outermost first."""
    seen: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(seen) < 20:
        one = todo.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            todo += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return seen


def _speaks_no_tls(error: BaseException) -> bool:
    """Say whether the other side answered a TLS greeting with something else: then there is no certificate to trust."""
    return any(isinstance(one, ssl.SSLError) and one.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST")
               for one in _causes(error))


def _fault(error: WSManFaultError, where: str) -> HostError:
    said = one_line(error.reason or "", 300)
    code, hint = _FAULTS.get(error.wsman_fault_code or 0, ("winrm-fault", ""))
    if error.wsman_fault_code == 5 or (error.fault_subcode or "").endswith("AccessDenied"):
        return LoginError(
            "winrm-access-denied", f"{where}: {said}",
            "the account needs to be in Administrators or Remote Management Users there")
    return ConnectError(code, f"{where}: {said} (fault {error.wsman_fault_code})", hint)
