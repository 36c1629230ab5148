"""Which certificate a server shows: looked at for a message, by a connection that carries nothing else."""

from __future__ import annotations

import hashlib
import socket
import ssl

from patchctl.model.errors import ConnectError
from patchctl.model.text import one_line


def shown_digest(address: str, port: int, seconds: float) -> str:
    """Return the SHA-256 of the server's certificate as AB:CD:..., or "" when it cannot be had in that time."""
    try:
        return hashlib.sha256(shown_certificate(address, port, seconds)).digest().hex(":").upper()
    except ConnectError:
        return ""


def shown_certificate(address: str, port: int, seconds: float) -> bytes:
    """Return the server's certificate in DER form, whoever signed it. Raise ConnectError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only looked at: nothing is sent over this connection
    try:
        with (
            socket.create_connection((address, port), timeout=seconds) as plain,
            context.wrap_socket(plain) as secure,
        ):
            der = secure.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        raise ConnectError(
            "link-lost", f"{address}:{port}: no certificate to be had: {one_line(str(error), 300)}",
            "does a WinRM service listen there with HTTPS?") from error
    if not der:
        raise ConnectError("link-lost", f"{address}:{port}: the server shows no certificate", "")
    return der
