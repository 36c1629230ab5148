"""Reads known_hosts files as OpenSSH does (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT) and judges a host's key by them.

Hashed names, [host]:port, wildcards, negation, @cert-authority and @revoked. A line that cannot be read is left out,
but a @revoked line that cannot be read is an error: skipping it would accept a revoked key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from patchctl.connect.host_certificates import KeyBlob, check_certificate, is_certificate, plain_type
from patchctl.model.errors import UsageError

KNOWN, UNKNOWN, CHANGED, REVOKED, INVALID = "known", "unknown", "changed", "revoked", "invalid"

_PLAIN_ALGORITHMS = {
    "ssh-ed25519": ("ssh-ed25519",),
    "ecdsa-sha2-nistp256": ("ecdsa-sha2-nistp256",),
    "ecdsa-sha2-nistp384": ("ecdsa-sha2-nistp384",),
    "ecdsa-sha2-nistp521": ("ecdsa-sha2-nistp521",),
    "ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256"),
}
_CERTIFICATE = "-cert-v01@openssh.com"


class KnownKey(Struct, frozen=True):
    """One line: whose key it is (patterns as written), the key, and what the marker says."""

    patterns: str
    blob: KeyBlob
    marker: str = ""
    """"" | @cert-authority | @revoked"""
    file: str = ""
    line: int = 0

    def matches(self, name: str) -> bool:
        """Say whether this line is about that host; `name` is in lower case, [host]:port where the port is not 22."""
        if self.patterns.startswith("|"):
            return _matches_hash(self.patterns, name)
        found = False
        for pattern in self.patterns.lower().split(","):
            if pattern.startswith("!"):
                if _matches_pattern(pattern[1:], name):
                    return False
            elif _matches_pattern(pattern, name):
                found = True
        return found


class KeyVerdict(Struct, frozen=True):
    """What the known keys say of the key a host showed."""

    status: str
    """known | unknown | changed | revoked | invalid (a certificate that does not hold)"""
    reason: str = ""
    known: tuple[KnownKey, ...] = ()
    """The lines about this host, for the message."""


class KnownHosts:
    """All lines of some files, indexed by plain name. Immutable once built."""

    def __init__(self, keys: Iterable[KnownKey]) -> None:
        self._keys = tuple(keys)
        self._by_name: dict[str, list[KnownKey]] = {}
        self._others: list[KnownKey] = []
        for key in self._keys:
            if key.patterns.startswith("|") or any(c in key.patterns for c in "*?!"):
                self._others.append(key)
            else:
                for name in dict.fromkeys(key.patterns.lower().split(",")):
                    self._by_name.setdefault(name, []).append(key)

    def __len__(self) -> int:
        return len(self._keys)

    def lookup(self, name: str, port: int) -> tuple[KnownKey, ...]:
        """Return the lines about a host, in no particular order."""
        wanted = lookup_name(name, port)
        return (*self._by_name.get(wanted, ()), *(key for key in self._others if key.matches(wanted)))

    def algorithms(self, name: str, port: int) -> tuple[str, ...]:
        """Return the host key algorithms for which something is known of this host, best first (as ssh prefers)."""
        lines = self.lookup(name, port)
        if port != 22:
            lines = (*lines, *self.lookup(name, 22))
        plain = [a for key in lines if not key.marker for a in _PLAIN_ALGORITHMS.get(key.blob.type, ())]
        if any(key.marker == "@cert-authority" for key in lines):
            signed = [a + _CERTIFICATE for algorithms in _PLAIN_ALGORITHMS.values() for a in algorithms]
            plain = [*signed, *plain]
        order = [a for algorithms in _PLAIN_ALGORITHMS.values() for a in algorithms]
        return tuple(sorted(
            dict.fromkeys(plain),
            key=lambda a: (not a.endswith(_CERTIFICATE), order.index(a.removesuffix(_CERTIFICATE))),
        ))

    def check(self, name: str, port: int, blob: KeyBlob, now: float) -> KeyVerdict:
        """Judge the key (or host certificate) that a host showed. `now`: Unix time, for the validity of certificates.

        `name` is the host name or address that was connected to, or its HostKeyAlias. As with ssh, a host at another
        port than 22 may also be known by its name alone, if that key is the one it shows.
        """
        verdict = self._judge(self.lookup(name, port), name, blob, now)
        if verdict.status == UNKNOWN and port != 22:
            bare = self._judge(self.lookup(name, 22), name, blob, now)
            if bare.status in (KNOWN, REVOKED, INVALID):
                return bare
        return verdict

    def _judge(self, lines: tuple[KnownKey, ...], name: str, blob: KeyBlob, now: float) -> KeyVerdict:
        shown = KeyBlob(plain_type(blob), blob.data) if not is_certificate(blob) else blob
        revoked = [key.blob.data for key in lines if key.marker == "@revoked"]
        if is_certificate(blob):
            certificate = check_certificate(blob, lookup_host(name), now)
            authorities = [key for key in lines if key.marker == "@cert-authority"]
            if certificate.signer in revoked or certificate.key.data in revoked:
                return KeyVerdict(REVOKED, "the certificate's key or its authority is marked @revoked", lines)
            if any(key.blob.data == certificate.signer for key in authorities):
                if certificate.problem:
                    return KeyVerdict(INVALID, certificate.problem, lines)
                return KeyVerdict(KNOWN, "", lines)
            shown = certificate.key  # no authority we know: judge it as a plain key, as ssh does
        if shown.data in revoked:
            return KeyVerdict(REVOKED, "the key is marked @revoked", lines)
        plain = [key for key in lines if not key.marker]
        if any(key.blob.data == shown.data for key in plain):
            return KeyVerdict(KNOWN, "", lines)
        return KeyVerdict(CHANGED if plain else UNKNOWN, "", lines)


def lookup_host(name: str) -> str:
    """Return a host name as known_hosts writes it: lower case, no brackets."""
    return name.lower().strip("[]")


def lookup_name(name: str, port: int) -> str:
    """Return the name that known_hosts lines are matched with: host, or [host]:port when the port is not 22."""
    host = lookup_host(name)
    return host if port == 22 else f"[{host}]:{port}"


def load_known_hosts(paths: Sequence[Path]) -> KnownHosts:
    """Read files that exist; those that do not are empty. Raise UsageError for an unreadable file or @revoked line."""
    keys: list[KnownKey] = []
    for path in paths:
        try:
            text = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(
                "known-hosts-unreadable", f"{path}: {error.strerror}", "make the file readable, or name another"
            ) from error
        keys.extend(parse_known_hosts(text.decode("utf-8", "replace"), str(path)))
    return KnownHosts(keys)


def parse_known_hosts(text: str, file: str = "") -> list[KnownKey]:
    """Given the text of a known_hosts file, return its keys. Raise UsageError for a @revoked line without a key."""
    found = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.replace("\t", " ").split(" ")
        words = [word.strip("\r") for word in words if word.strip("\r")]
        if not words or words[0].startswith("#"):
            continue
        marker = ""
        if words[0].startswith("@"):
            marker, *words = words
            if marker not in ("@cert-authority", "@revoked"):
                continue
        blob = _read_blob(words[2]) if len(words) >= 3 else None
        if blob is None or (blob.type != words[1]):
            if marker == "@revoked":
                raise UsageError(
                    "known-hosts-revoked", f"{file}:{number}: a @revoked line without a readable key",
                    "correct or remove the line: leaving it out could accept a revoked key",
                )
            continue
        found.append(KnownKey(words[0], blob, marker, file, number))
    return found


def _read_blob(text: str) -> KeyBlob | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(data) < 8:
        return None
    length = int.from_bytes(data[:4], "big")
    if length > len(data) - 4:
        return None
    return KeyBlob(data[4:4 + length].decode("ascii", "replace"), data)


def _matches_hash(pattern: str, name: str) -> bool:
    parts = pattern.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, wanted = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), wanted)


def _matches_pattern(pattern: str, name: str) -> bool:
    """OpenSSH's match_pattern: only * and ? are special."""
    if not any(c in pattern for c in "*?"):
        return pattern == name
    return re.fullmatch(_translate(pattern), name, re.DOTALL) is not None


def _translate(pattern: str) -> str:
    return "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)


def encode_key(blob: KeyBlob) -> str:
    """Return a key as files hold it: its type and its base64 form."""
    return f"{blob.type} {base64.b64encode(blob.data).decode()}"


def fingerprint(blob: KeyBlob) -> str:
    """Return SHA256:... as ssh-keygen -l prints it. A certificate has the fingerprint of its key."""
    data = blob.data
    if is_certificate(blob):
        data = check_certificate(blob, "", 0.0).key.data
    return "SHA256:" + base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
