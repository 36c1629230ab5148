"""Where and as whom to log in over WinRM: a host's settings, completed and checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from patchctl.connect.known_hosts import lookup_name
from patchctl.model.errors import UsageError
from patchctl.model.hosts import Host, SecretRef, Timeouts

AUTHS = ("ntlm", "basic", "certificate", "credssp", "kerberos")
_TLS_ONLY = ("basic", "certificate")


@dataclass(frozen=True, slots=True)
class Place:
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
    timeouts: Timeouts

    @property
    def url(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{address}:{self.port}/wsman"

    @property
    def where(self) -> str:
        """Return name, address and port for messages."""
        place = f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"
        return place if self.name == place else f"{self.name} ({place})"

    @property
    def known_as(self) -> str:
        return lookup_name(self.address, self.port)


def place_of(host: Host) -> Place:
    """Complete a host's settings. Raise UsageError, naming the host and the setting, for those that cannot work.

    HTTPS (5986) is the default; port 5985 alone means HTTP, where every message is encrypted by the login's protocol.
    """
    connection, options = host.connection, host.connection.options
    port = connection.port or (5985 if options.get("winrm_scheme") == "http" else 5986)
    scheme = options.get("winrm_scheme") or ("http" if port == 5985 else "https")
    auth = options.get("winrm_auth") or ("certificate" if options.get("winrm_certificate") else "ntlm")
    if scheme not in ("http", "https"):
        raise UsageError("winrm-scheme", f"{host.name}: {scheme!r} is not a WinRM scheme", "http or https")
    if auth not in AUTHS:
        raise UsageError("winrm-auth", f"{host.name}: {auth!r} is not a WinRM login", f"one of: {', '.join(AUTHS)}")
    if scheme == "http" and auth in _TLS_ONLY:
        raise UsageError(
            "winrm-auth-http", f"{host.name}: {auth} over plain HTTP would show the login to everybody on the way",
            "use HTTPS (port 5986), or ntlm, kerberos or credssp, which encrypt every message")
    certificate, key = options.get("winrm_certificate", ""), options.get("winrm_key", "")
    if auth == "certificate" and not (certificate and key):
        raise UsageError("winrm-certificate", f"{host.name}: a certificate login needs the certificate and its key", "")
    if auth == "kerberos" and connection.password is not None:
        raise UsageError(
            "winrm-kerberos-password", f"{host.name}: Kerberos takes its ticket from the cache, not a password",
            f"run kinit {connection.user or 'USER@REALM'}, and leave password: out")
    if auth not in ("certificate", "kerberos") and not (connection.user and connection.password):
        raise UsageError("winrm-login", f"{host.name}: {auth} needs user: and password:", "set both in the inventory")
    return Place(
        host.name, connection.address or host.name, port, scheme == "https", auth, connection.user,
        connection.password, _path(certificate), _path(key), _path(options.get("winrm_ca", "")), connection.timeouts)


def _path(text: str) -> str:
    return str(Path(text).expanduser()) if text else ""
