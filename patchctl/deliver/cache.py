"""The controller's store of artefacts: files named by their SHA-256, whole or not there at all.

What a canary ring proved stays installable although the mirror has moved on, and every file is downloaded once
however many hosts need it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO

from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import PatchctlError, UsageError
from patchctl.model.facts import Artefact

CHUNK = 262_144
_INDEX = "index.jsonl"
_HEX = frozenset("0123456789abcdef")


class ArtefactError(PatchctlError):
    """One artefact could not be had, or is not what it should be. Codes: artefact-missing, artefact-damaged, ..."""


class ArtefactCache:
    """A folder of artefacts. Safe for several threads and processes: files appear complete, by rename."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Return where the artefact is or would be. Raise ValueError for what is not a SHA-256 in lower-case hex."""
        if len(sha256) != 64 or not _HEX.issuperset(sha256):
            raise ValueError(f"not a SHA-256: {sha256!r}")
        return self.folder / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Say whether the artefact is there (its content is checked when it is read)."""
        return self.path(sha256).is_file()

    def note(self, artefact: Artefact) -> None:
        """Remember what the file of that hash is, so that `known` finds it by package and version."""
        try:
            with (self.folder / _INDEX).open("ab") as index:
                index.write(to_json(artefact) + b"\n")
        except OSError as error:
            message = f"{self.folder / _INDEX}: {error.strerror or error}"
            raise ArtefactError("cache-unusable", message, "make room there, or name another folder") from error

    def known(self) -> dict[tuple[str, str, str], Artefact]:
        """Return what is kept, by (package, version, arch). A line that is cut or damaged is as if it were not there.

        Of two files with one name the later counts.
        """
        try:
            lines = (self.folder / _INDEX).read_bytes().splitlines()
        except FileNotFoundError:
            return {}
        except OSError as error:
            message = f"{self.folder / _INDEX}: {error.strerror or error}"
            raise ArtefactError("cache-unusable", message, "make it readable") from error
        found: dict[tuple[str, str, str], Artefact] = {}
        for line in dict.fromkeys(lines):
            try:
                artefact = from_json(Artefact, line)
                if self.has(artefact.sha256):
                    found[artefact.package, artefact.version, artefact.arch] = artefact
            except (UsageError, ValueError):
                continue
        return found

    def add(self, sha256: str, chunks: Iterable[bytes], size: int = 0) -> Path:
        """Take in an artefact and return its path. `size` in bytes, if known, bounds what is read.

        Durable on return. Raise ArtefactError when content or size are not as promised; nothing is kept then.
        """
        target = self.path(sha256)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".new-", dir=target.parent)
            part = Path(name)
            try:
                with os.fdopen(handle, "wb") as out:
                    _write_checked(out, sha256, chunks, size)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
            _sync_folder(target.parent)
        except OSError as error:
            message = f"{self.folder}: {error.strerror or error}"
            raise ArtefactError("cache-unusable", message, "make room there, or name another folder") from error
        return target

    def read(self, sha256: str) -> Iterator[bytes]:
        """Yield the artefact's content, after its hash was checked. Raise ArtefactError; a damaged file is removed."""
        path = self.path(sha256)
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    path.unlink(missing_ok=True)
                    raise ArtefactError("artefact-damaged", f"{path} was damaged on disk; removed, to be fetched again")
                os.utime(file.fileno())
                file.seek(0)
                while chunk := file.read(CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            raise ArtefactError("artefact-missing", f"{sha256} is not kept on this controller") from error

    def size(self) -> int:
        """Return the bytes of all artefacts."""
        return sum(path.stat().st_size for path in self._files())

    def prune(self, limit: int, keep: Collection[str] = ()) -> list[str]:
        """Remove the least recently used artefacts until at most `limit` bytes are left; return what was removed.

        `keep` names artefacts of plans that are not done: they stay whatever their size.
        """
        files = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._files())
        total = sum(size for _, size, _ in files)
        removed = []
        for _, size, path in files:
            if total <= limit:
                break
            if path.name not in keep:
                path.unlink(missing_ok=True)
                removed.append(path.name)
                total -= size
        return removed

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("??/*") if not path.name.startswith(".") and path.is_file())


def _write_checked(out: IO[bytes], sha256: str, chunks: Iterable[bytes], size: int) -> None:
    digest = hashlib.sha256()
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if size and total > size:
            raise ArtefactError("artefact-size", f"more than the {size} bytes that were planned came")
        digest.update(chunk)
        out.write(chunk)
    out.flush()
    os.fsync(out.fileno())
    if digest.hexdigest() != sha256:
        raise ArtefactError(
            "artefact-damaged", f"SHA-256 is {digest.hexdigest()} after {total} bytes, planned is {sha256}",
            "the source serves another file under this name, or the transfer was cut",
        )


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
