"""Decrypts Ansible Vault texts, formats 1.1 and 1.2 with AES256 (Ansible's documentation, "Ansible Vault payload")."""

from __future__ import annotations

import binascii
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, hmac, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_HEADER = re.compile(r"\s*\$ANSIBLE_VAULT;(?P<version>[0-9.]+);(?P<cipher>[A-Z0-9]+)(?:;(?P<label>[^\r\n]*))?\s*$")
_ITERATIONS = 10_000


class VaultError(Exception):
    """The text cannot be decrypted; the message never holds any of it."""


def is_vault(text: str) -> bool:
    return text.lstrip().startswith("$ANSIBLE_VAULT;")


def decrypt_vault(text: str, password: str) -> str:
    """Given a vault text and its password, return the plain text. Raise VaultError for a wrong password or format."""
    first, _, rest = text.strip().partition("\n")
    header = _HEADER.match(first)
    if header is None:
        raise VaultError("not an Ansible Vault text")
    if header["version"] not in ("1.1", "1.2") or header["cipher"] != "AES256":
        raise VaultError(f"vault format {header['version']};{header['cipher']} is not supported (1.1 or 1.2, AES256)")
    try:
        envelope = binascii.unhexlify("".join(rest.split()))
        salt, wanted, ciphertext = (binascii.unhexlify(part) for part in envelope.split(b"\n", 2))
    except (binascii.Error, ValueError):
        raise VaultError("the vault text is damaged") from None
    # One derivation gives the cipher's key, the key of its authentication code, and the counter's start.
    derived = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS, 80)
    check = hmac.HMAC(derived[32:64], hashes.SHA256())
    check.update(ciphertext)
    try:
        check.verify(wanted)
    except InvalidSignature:
        raise VaultError("wrong vault password") from None
    decryptor = Cipher(algorithms.AES(derived[:32]), modes.CTR(derived[64:80])).decryptor()
    unpadder = padding.PKCS7(128).unpadder()
    try:
        plain = unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
        return plain.decode("utf-8")
    except ValueError:
        raise VaultError("the vaulted value is not text") from None
