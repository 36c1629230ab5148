"""Repositories of apk packages (format 2, which Alpine's own have): packed here, signed with RSA, indexed.

Format: https://wiki.alpinelinux.org/wiki/Apk_spec. A package is three gzip streams one after the other: signature,
control (.PKGINFO and scripts), data; only the last of the tar archives in them has an end.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ARCH = os.uname().machine
KEY = "lab@localhost-1.rsa.pub"
"""The public key's file name: a signature names it, and the host has it in /etc/apk/keys."""
BUILT = 1795000000
"""Unix time that every package says it was built at."""


@dataclass(frozen=True)
class Apk:
    """One version of a package. Scripts: pre-install, post-install, pre-upgrade, post-upgrade ... -> sh text."""

    name: str
    version: str = "1.0-r0"
    arch: str = "noarch"
    what: str = ""
    depends: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    mark: bool = True
    """After installs and upgrades a line is added to /var/log/NAME.post: proof of how often the script ran."""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.apk"


def make_apk_key(home: Path) -> None:
    """Make the key that signs: home/apk.pem, its public half beside it under KEY."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    (home / "apk.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (home / KEY).write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))


def _archive(files: Mapping[str, tuple[bytes, int]], *, folders: bool = False, end: bool = False) -> bytes:
    """Return a gzip stream with a tar of path -> (content, mode); `end` writes the tar's end."""
    out = io.BytesIO()
    made: set[str] = set()
    for path, (content, mode) in files.items():
        parents = [str(parent) for parent in reversed(Path(path).parents) if str(parent) != "."]
        for parent in parents if folders else ():
            if parent not in made:
                made.add(parent)
                entry = tarfile.TarInfo(parent)
                entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, BUILT
                out.write(entry.tobuf(tarfile.PAX_FORMAT))
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode, entry.mtime = len(content), mode, BUILT
        if folders:  # apk compares what lies on the disk with this
            entry.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content).hexdigest()}
        out.write(entry.tobuf(tarfile.PAX_FORMAT) + content + b"\0" * (-len(content) % 512))
    if end:
        out.write(b"\0" * 1024)
    return gzip.compress(out.getvalue(), mtime=0)


def _signature(home: Path, signed: bytes) -> bytes:
    key = serialization.load_pem_private_key((home / "apk.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    made = key.sign(signed, padding.PKCS1v15(), hashes.SHA1())  # what abuild-sign makes
    return _archive({f".SIGN.RSA.{KEY}": (made, 0o644)})


def build_apk(package: Apk, folder: Path, home: Path) -> Path:
    """Build and sign one package into `folder`; an empty `home` leaves the signature out."""
    folder.mkdir(parents=True, exist_ok=True)
    data = _archive({path.lstrip("/"): (text.encode(), 0o644) for path, text in package.files.items()},
                    folders=True, end=True)
    info = [
        f"pkgname = {package.name}", f"pkgver = {package.version}", f"pkgdesc = {package.what or package.name}",
        "url = https://example.org", f"builddate = {BUILT}", "packager = lab <lab@localhost>", "size = 4096",
        f"arch = {package.arch}", f"origin = {package.name}", "license = none",
        *(f"depend = {word}" for word in package.depends.split()),
        f"datahash = {hashlib.sha256(data).hexdigest()}",
    ]
    scripts = dict(package.scripts)
    for name in ("post-install", "post-upgrade") if package.mark else ():
        scripts[name] = f"date +%s >> /var/log/{package.name}.post\n" + scripts.get(name, "")
    members = {".PKGINFO": ("\n".join(info).encode() + b"\n", 0o644)}
    members |= {f".{name}": (f"#!/bin/sh\n{text}\n".encode(), 0o755) for name, text in sorted(scripts.items())}
    control = _archive(members)
    result = folder / package.file
    result.write_bytes(_signature(home, control) + control + data)
    return result


class ApkRepository:
    """A folder URL with packages and a signed index below ARCH, as Alpine's are laid out."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder / ARCH
        self.home = home
        self._entries: list[str] = []

    def add(self, *packages: Apk, home: Path | None = None) -> None:
        """Build packages into it; `home` has another key than the one that signs the index."""
        for package in packages:
            path = build_apk(package, self.folder, home or self.home)
            control = _streams(path.read_bytes())[1]
            identity = base64.b64encode(hashlib.sha1(control).digest()).decode()
            self._entries.append("\n".join([
                f"C:Q1{identity}", f"P:{package.name}", f"V:{package.version}", f"A:{ARCH}",
                f"S:{path.stat().st_size}", "I:4096", f"T:{package.what or package.name}", "U:https://example.org",
                "L:none", f"o:{package.name}", "m:lab <lab@localhost>", f"t:{BUILT}",
                *([f"D:{package.depends}"] if package.depends else []),
            ]) + "\n\n")

    def index(self) -> None:
        """Write the index of everything that was added, and sign it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        members = {"DESCRIPTION": (b"lab\n", 0o644), "APKINDEX": ("".join(self._entries).encode(), 0o644)}
        body = _archive(members, end=True)
        (self.folder / "APKINDEX.tar.gz").write_bytes(_signature(self.home, body) + body)


def _streams(data: bytes) -> list[bytes]:
    """Return the gzip streams of a package, still compressed."""
    found = []
    while data:
        reader = zlib.decompressobj(wbits=31)
        reader.decompress(data)
        found.append(data[: len(data) - len(reader.unused_data)])
        data = reader.unused_data
    return found
