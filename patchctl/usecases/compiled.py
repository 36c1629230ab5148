"""Keeps compiled baselines on disk, so that content is compiled once. Only files of ours alone are ever loaded.

A compiled baseline is pickled, and loading a pickle runs code: so the cache lies in the user's own cache folder, the
folder and each file must belong to the user and be writable by nobody else, and what a file holds must have the hash
that its header says, for the very content asked for. Anything else is passed over and compiled again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import patchctl.assess
import patchctl.documents
import patchctl.model
from patchctl import __version__
from patchctl.assess.contract import Baseline
from patchctl.model.errors import StoreError
from patchctl.usecases.atomic import write_atomically

KEPT = 32
"""Compiled baselines that are kept, the latest used."""
_DIGEST = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """Return the user's own cache folder for compiled baselines (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "patchctl" / "baselines"


def cache_key(*parts: bytes) -> bytes:
    """Return the hash that names a compiled baseline: its content, how it was asked for, and this program's code."""
    key = hashlib.sha256()
    for part in (_program(), *parts):
        key.update(len(part).to_bytes(8, "big") + part)
    return key.digest()


def load_or_compile(key: bytes, compile_it: Callable[[], Baseline], folder: Path, *, write: bool = True) -> Baseline:
    """Return the baseline that lies under `key`, or the one that `compile_it` makes, which is then kept.

    A cache that cannot be written costs time, nothing else. `write=False` leaves nothing behind (--check).
    """
    path = folder / f"{key.hex()}.compiled"
    found = _load(path, key)
    if found is not None:
        return found
    baseline = compile_it()
    if write:
        _keep(path, key, baseline)
    return baseline


def _load(path: Path, key: bytes) -> Baseline | None:
    """Return what the file holds if it is ours alone and whole; None otherwise."""
    try:
        if not _is_ours(path.parent.lstat(), stat.S_ISDIR):
            return None
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        if not _is_ours(os.fstat(file.fileno()), stat.S_ISREG):
            return None
        data = file.read()
    body = data[_DIGEST:]
    if data[:_DIGEST] != hashlib.sha256(key + body).digest():
        return None
    try:
        baseline: Baseline = pickle.loads(body)  # noqa: S301 - owner, mode and hash were checked
    except (pickle.UnpicklingError, AttributeError, ImportError, EOFError, TypeError, IndexError):
        return None  # of another version of a class: compile again
    return baseline


def _is_ours(info: os.stat_result, kind: Callable[[int], bool]) -> bool:
    return kind(info.st_mode) and info.st_uid == os.geteuid() and not info.st_mode & 0o022


def _keep(path: Path, key: bytes, baseline: Baseline) -> None:
    try:
        body = pickle.dumps(baseline, protocol=pickle.HIGHEST_PROTOCOL)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent.lstat(), stat.S_ISDIR):
            return
        write_atomically(path, hashlib.sha256(key + body).digest() + body, mode=0o600)
        files = sorted(path.parent.glob("*.compiled"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in files[KEPT:]:
            old.unlink(missing_ok=True)
    except (OSError, StoreError, pickle.PicklingError):
        return  # a full or read-only disk, or a race with another run's clean-up: the next run compiles again


def _program() -> bytes:
    """Return what tells this version of the code that reads and compiles, and of the values it makes, from others."""
    files = [
        (path.name, info.st_size, info.st_mtime_ns)
        for package in (patchctl.assess, patchctl.documents, patchctl.model)
        for folder in package.__path__
        for path in sorted(Path(folder).rglob("*.py"))
        for info in [path.stat()]
    ]
    return hashlib.sha256(f"{__version__} {files}".encode()).digest()
