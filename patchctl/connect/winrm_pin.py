"""Pins of WinRM servers' certificates: lines of known_hosts with a key type of their own, which ssh skips.

The key is, in ssh's wire form, its type and the SHA-256 of the certificate's DER form.
"""

from __future__ import annotations

import hashlib

from patchctl.connect.host_certificates import KeyBlob
from patchctl.connect.known_hosts import KnownHosts

PIN_TYPE = "x509-sha256@patchctl"
_DIGEST = 32


def pin_of(der: bytes) -> KeyBlob:
    """Return the pin of a certificate in DER form."""
    parts = (PIN_TYPE.encode(), hashlib.sha256(der).digest())
    return KeyBlob(PIN_TYPE, b"".join(len(part).to_bytes(4, "big") + part for part in parts))


def digest_of(blob: KeyBlob) -> str:
    """Return the SHA-256 of the pinned certificate in hexadecimal, "" for a key that is no pin."""
    head = pin_of(b"").data[:-_DIGEST]
    whole = blob.data.startswith(head) and len(blob.data) == len(head) + _DIGEST
    return blob.data[-_DIGEST:].hex() if whole else ""


def show_digest(blob: KeyBlob) -> str:
    """Return the pinned certificate's SHA-256 as AB:CD:..., "" for a key that is no pin."""
    return bytes.fromhex(digest_of(blob)).hex(":").upper()


def pins_of(known: KnownHosts, name: str, port: int) -> tuple[str, ...]:
    """Return the digests that are pinned for a host and port, without those marked @revoked."""
    lines = known.lookup(name, port)
    revoked = {digest_of(line.blob) for line in lines if line.marker == "@revoked"}
    found = (digest_of(line.blob) for line in lines if not line.marker)
    return tuple(dict.fromkeys(digest for digest in found if digest and digest not in revoked))
