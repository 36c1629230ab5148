"""Reads private keys (OpenSSH's format, PKCS1, PKCS8, SEC1) and user certificates for paramiko."""

from __future__ import annotations

import base64
import binascii
import io
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from patchctl.model.errors import CredentialsError

_KINDS: tuple[tuple[type, type[paramiko.PKey]], ...] = (
    (ed25519.Ed25519PrivateKey, paramiko.Ed25519Key),
    (ec.EllipticCurvePrivateKey, paramiko.ECDSAKey),
    (rsa.RSAPrivateKey, paramiko.RSAKey),
)


def load_private_key(path: Path, passphrase: str | None) -> paramiko.PKey:
    """Read one private key. Raise CredentialsError saying what is wrong with the file; never shows its content."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CredentialsError(
            "key-unreadable", f"private key {path}: {error.strerror}", "name a key file that this user can read"
        ) from error
    if data.startswith(b"PuTTY-User-Key-File"):
        raise CredentialsError(
            "key-format", f"private key {path} is in PuTTY's format",
            f"convert it: puttygen {path} -O private-openssh -o {path}.openssh",
        )
    if b"PRIVATE KEY-----" not in data[:200]:
        raise CredentialsError("key-format", f"{path} holds no private key", "name the file without .pub")
    return _to_paramiko(path, _parse(path, data, passphrase))


def _parse(path: Path, data: bytes, passphrase: str | None) -> object:
    secret = passphrase.encode() if passphrase is not None else None
    openssh = b"BEGIN OPENSSH PRIVATE KEY" in data[:200]
    load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    try:
        try:
            return load(data, secret)
        except TypeError as error:
            if secret is None:
                raise CredentialsError(
                    "key-encrypted", f"private key {path} has a passphrase and none is configured",
                    "set key_passphrase: (env:, file:, cmd:, prompt:), or load the key into an agent",
                ) from error
            return load(data, None)  # a passphrase for a key that has none does no harm
    except UnsupportedAlgorithm as error:
        raise CredentialsError(
            "key-unsupported", f"private key {path}: {error}",
            "keys on security keys (sk-) and other rare kinds need connection: openssh",
        ) from error
    except ValueError as error:
        if secret is not None:
            raise CredentialsError(
                "key-passphrase", f"private key {path}: the passphrase is wrong or the file is damaged",
                "correct the source of key_passphrase",
            ) from error
        hint = "check the file with ssh-keygen -y -f FILE"
        raise CredentialsError("key-format", f"private key {path} cannot be read: {error}", hint) from error


def _to_paramiko(path: Path, key: object) -> paramiko.PKey:
    for kind, wrapper in _KINDS:
        if isinstance(key, kind):
            assert isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
            text = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
            try:
                return wrapper.from_private_key(io.StringIO(text.decode()))
            except paramiko.SSHException as error:
                raise CredentialsError("key-unsupported", f"private key {path}: {error}", "use connection: openssh") \
                    from error
    raise CredentialsError(
        "key-unsupported", f"private key {path} is of a kind that ssh servers no longer take",
        "make an ed25519 key: ssh-keygen -t ed25519",
    )


def with_certificate(path: Path, passphrase: str | None, certificate: Path) -> paramiko.PKey:
    """Read a private key together with its certificate. Raise CredentialsError when they do not belong together."""
    key = load_private_key(path, passphrase)
    try:
        key.load_certificate(str(certificate))
    except (ValueError, OSError, paramiko.SSHException) as error:
        raise CredentialsError(
            "certificate-format", f"certificate {certificate} does not fit the key {path}: {error}",
            "check it with ssh-keygen -L -f FILE",
        ) from error
    return key


def read_public_blob(path: Path) -> bytes | None:
    """Return the public key of a .pub file in wire form, or None if it is not one."""
    try:
        words = path.read_bytes()[:65536].split()
        return base64.b64decode(words[1], validate=True) if len(words) >= 2 else None
    except (OSError, binascii.Error, ValueError):
        return None
