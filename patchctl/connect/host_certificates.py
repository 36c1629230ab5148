"""Host certificates (OpenSSH's PROTOCOL.certkeys): who signed one, for which names, until when. No I/O."""

from __future__ import annotations

import base64

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from msgspec import Struct

_SUFFIX = "-cert-v01@openssh.com"


class KeyBlob(Struct, frozen=True):
    """A public key or certificate as it goes over the wire (RFC 4253, 6.6)."""

    type: str
    data: bytes


class HostCertificate(Struct, frozen=True):
    """What a certificate says. `problem` is why it does not hold for the host ("" = it holds)."""

    key: KeyBlob
    signer: bytes
    """The authority's public key, wire form."""
    problem: str


def is_certificate(blob: KeyBlob) -> bool:
    return blob.type.endswith(_SUFFIX)


def plain_type(blob: KeyBlob) -> str:
    return blob.type.removesuffix(_SUFFIX)


def check_certificate(blob: KeyBlob, host: str, now: float) -> HostCertificate:
    """Read a certificate and check signature, kind, names, validity and critical options, as ssh does for hosts.

    The authority itself is not judged here: compare `signer` with the known ones. A certificate without any name
    is valid for every host (PROTOCOL.certkeys).
    """
    line = f"{blob.type} ".encode() + base64.b64encode(blob.data)
    try:
        certificate = serialization.load_ssh_public_identity(line)
        assert isinstance(certificate, serialization.SSHCertificate)
        key = _wire(certificate.public_key())
        signer = _wire(certificate.signature_key())
    except (ValueError, AssertionError, UnsupportedAlgorithm) as error:
        return HostCertificate(KeyBlob("", b""), b"", f"the host certificate cannot be read: {error}")
    return HostCertificate(key, signer.data, _problem(certificate, host, now))


def _problem(certificate: serialization.SSHCertificate, host: str, now: float) -> str:
    try:
        certificate.verify_cert_signature()
    except InvalidSignature:
        return "the signature of the host certificate is wrong"
    if certificate.type is not serialization.SSHCertificateType.HOST:
        return "the certificate is a user's, not a host's"
    if now < certificate.valid_after:
        return "the host certificate is not valid yet"
    if now >= certificate.valid_before:
        return "the host certificate has expired"
    names = [name.decode("utf-8", "replace") for name in certificate.valid_principals]
    if names and host not in names:
        return f"the host certificate is for {', '.join(names[:5])}, not for {host}"
    if certificate.critical_options:
        return "the host certificate has critical options that are not understood"
    return ""


def _wire(key: serialization.SSHPublicKeyTypes) -> KeyBlob:
    text = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    kind, data = text.split(b" ")[:2]
    return KeyBlob(kind.decode(), base64.b64decode(data))
