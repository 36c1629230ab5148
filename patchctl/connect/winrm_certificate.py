"""Which certificate a server shows: looked at for a message, by a connection that carries nothing else."""

from __future__ import annotations

import hashlib
import socket
import ssl


def shown_digest(address: str, port: int, seconds: float) -> str:
    """Return the SHA-256 of the server's certificate as AB:CD:..., or "" when it cannot be had in that time."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only looked at: nothing is sent over this connection
    try:
        with (
            socket.create_connection((address, port), timeout=seconds) as plain,
            context.wrap_socket(plain) as secure,
        ):
            der = secure.getpeercert(binary_form=True)
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(der).digest().hex(":").upper() if der else ""
