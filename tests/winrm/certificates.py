"""A private authority made by the test: server certificates for loopback addresses, client certificates for users."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

_UPN = ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")
"""The user principal name in a subjectAltName, by which Windows maps a client certificate to an account."""


class Authority:
    """One authority; its files lie in `folder`: ca.pem and those it issues."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(self._name, self._key.public_key(), days=365)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(sign=True), critical=True).sign(self._key, hashes.SHA256()))
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, *names: str, days: int = 30) -> tuple[Path, Path]:
        """Return certificate and key files for host names or addresses; negative days = expired."""
        found = [_general(name) for name in names]
        return self._issue(f"server-{names[0]}-{days}", names[0], x509.SubjectAlternativeName(found),
                           ExtendedKeyUsageOID.SERVER_AUTH, days)

    def client(self, user: str) -> tuple[Path, Path]:
        """Return certificate and key files that log in as `user`."""
        upn = x509.OtherName(_UPN, b"\x0c" + bytes([len(user.encode())]) + user.encode())
        return self._issue(f"client-{user}", user, x509.SubjectAlternativeName([upn]),
                           ExtendedKeyUsageOID.CLIENT_AUTH, 30)

    def _issue(
        self, file: str, subject: str, names: x509.SubjectAlternativeName, usage: ObjectIdentifier, days: int
    ) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]), key.public_key(), days=days)
            .add_extension(names, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False).sign(self._key, hashes.SHA256()))
        pem, private = self.folder / f"{file}.pem", self.folder / f"{file}.key"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        private.chmod(0o600)
        return pem, private

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, days: int) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=60)).not_valid_after(now + dt.timedelta(days=days)))


def user_of(der: bytes) -> str:
    """Return the account a client certificate maps to: its user principal name."""
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.OtherName)[0].value[2:].decode()


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=sign, crl_sign=sign, encipher_only=False, decipher_only=False)
