"""Where and as whom to log in over WinRM: a host's settings, completed and checked before anything is sent."""

from __future__ import annotations

import importlib.util
import os
import ssl
from functools import cache
from pathlib import Path

from msgspec import Struct

from patchctl.model.errors import UsageError
from patchctl.model.hosts import WINRM_AUTHS, WINRM_CLIENTS, WINRM_SCHEMES, Host, SecretRef, Timeouts

_TLS_ONLY = ("basic", "certificate")
_PACKAGES = {"kerberos": "kerberos", "credssp": "requests_credssp"}
"""Login -> the module that pywinrm imports for it."""


class Place(Struct, frozen=True):
    """One WinRM service and how to log in there."""

    name: str
    address: str
    port: int
    tls: bool
    auth: str
    user: str
    password: SecretRef | None
    certificate: str
    key: str
    authority: str
    """File of the authorities that may sign the server's certificate, "" = the system's."""
    kerberos_host: str
    """The name after HTTP/ in the service's principal, "" = the address."""
    client: str
    """winrs: the command shell; psrp: a PowerShell runspace."""
    delegation: bool
    """Whether the host gets a ticket to act as the user elsewhere."""
    timeouts: Timeouts

    @property
    def url(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{address}:{self.port}/wsman"

    @property
    def service(self) -> str:
        """Return the name after HTTP/ in the service's Kerberos principal."""
        return self.kerberos_host or self.address

    @property
    def where(self) -> str:
        """Return name, address and port for messages."""
        place = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return place if self.name == place else f"{self.name} ({place})"


def place_of(host: Host) -> Place:
    """Complete a host's settings. Raise UsageError, naming the host and the setting, for those that cannot work.

    HTTPS (5986) is the default; port 5985 alone means HTTP, where every message is encrypted by the login's protocol.
    """
    connection, options = host.connection, host.connection.winrm
    port = connection.port or (5985 if options.get("scheme") == "http" else 5986)
    scheme = options.get("scheme") or ("http" if port == 5985 else "https")
    auth = options.get("auth") or ("certificate" if options.get("certificate") else "ntlm")
    if scheme not in WINRM_SCHEMES:
        raise UsageError("winrm-scheme", f"{host.name}: {scheme!r} is not a WinRM scheme", "http or https")
    if auth not in WINRM_AUTHS:
        raise UsageError(
            "winrm-auth", f"{host.name}: {auth!r} is not a WinRM login", f"one of: {', '.join(WINRM_AUTHS)}")
    if connection.jump:
        raise UsageError(
            "winrm-jump", f"{host.name}: WinRM goes through no jump host, and {', '.join(connection.jump)} is set",
            "set jump: none for Windows hosts, and run patchctl where they can be reached")
    if scheme == "http" and auth in _TLS_ONLY:
        raise UsageError(
            "winrm-auth-http", f"{host.name}: {auth} over plain HTTP would show the login to everybody on the way",
            "use HTTPS (port 5986), or ntlm, kerberos or credssp, which encrypt every message")
    certificate, key = options.get("certificate", ""), options.get("key", "")
    if auth == "certificate" and not (certificate and key):
        raise UsageError("winrm-certificate", f"{host.name}: a certificate login needs a certificate and its key",
                         "set winrm: {certificate: FILE, key: FILE}")
    if auth == "kerberos" and connection.password is not None:
        raise UsageError(
            "winrm-kerberos-password", f"{host.name}: Kerberos takes its ticket from the cache, not a password",
            f"run kinit {connection.user or 'USER@REALM'}, and leave password: out")
    if auth not in ("certificate", "kerberos") and not (connection.user and connection.password):
        raise UsageError("winrm-login", f"{host.name}: {auth} needs user: and password:",
                         "set both in the inventory, or another login by winrm: {auth: ...}")
    client = options.get("client") or WINRM_CLIENTS[0]
    if client not in WINRM_CLIENTS:
        raise UsageError("winrm-client", f"{host.name}: {client!r} is no way to PowerShell over WinRM",
                         f"one of: {', '.join(WINRM_CLIENTS)}")
    delegation = options.get("delegation", "").lower() == "true"
    if delegation and auth != "kerberos":
        raise UsageError("winrm-delegation", f"{host.name}: only Kerberos hands a ticket on, and the login is {auth}",
                         "leave winrm: {delegation: ...} out, or set auth: kerberos")
    return Place(
        host.name, connection.address or host.name, port, scheme == "https", auth, connection.user,
        connection.password, _path(certificate), _path(key), _path(options.get("ca", "")),
        options.get("kerberos_host", ""), client, delegation, connection.timeouts)


def check_means(place: Place) -> None:
    """Raise UsageError, before anything is sent, for files that cannot be read and packages that are not installed."""
    for key, file in (("ca", place.authority), ("certificate", place.certificate), ("key", place.key)):
        if file and not os.access(file, os.R_OK):
            raise UsageError("winrm-file", f"{place.name}: winrm.{key}: {file} cannot be read", "name a PEM file")
    changed = [Path(file).stat().st_mtime_ns if file else 0 for file in (place.authority, place.certificate, place.key)]
    wrong = _not_pem(place.authority, place.certificate, place.key, tuple(changed))
    if wrong:
        raise UsageError("winrm-file", f"{place.name}: {wrong}", "openssl x509 and openssl pkey write PEM files")
    package = _PACKAGES.get(place.auth)
    if package and importlib.util.find_spec(package) is None:
        raise UsageError("winrm-package", f"{place.name}: {place.auth} needs a package that is not installed",
                         f"pip install 'pywinrm[{place.auth}]'" if place.auth != "kerberos" else
                         "pip install 'patchctl[kerberos]'")


@cache
def _not_pem(authority: str, certificate: str, key: str, changed: tuple[int, ...]) -> str:
    """Return which file TLS will not take, and why, or "". Looked at once for each state of the files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority and not Path(authority).is_dir():
        try:
            context.load_verify_locations(authority)
        except OSError:  # ssl.SSLError is one
            return f"winrm.ca: {authority} holds no certificate in PEM form"
    if certificate and key:
        try:
            context.load_cert_chain(certificate, key, password="")
        except OSError as error:
            why = getattr(error, "reason", None) or "not readable"
            return (f"winrm.certificate: {certificate} and {key} are no certificate and its key, in PEM form and "
                    f"without a passphrase ({why})")
    return ""


def _path(text: str) -> str:
    return str(Path(text).expanduser()) if text else ""
