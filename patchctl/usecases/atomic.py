"""Writes whole files: a reader sees the old content or the new, never half of it, also after a power cut."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from patchctl.model.errors import StoreError


def write_atomically(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Replace `path` by a file with this content; missing folders are made. Raise StoreError naming file and cause.

    A symbolic link at `path` is replaced, never followed.
    """
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise StoreError("cannot-write", f"{path}: {error.strerror}", "choose another folder") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the rename itself
        finally:
            os.close(folder)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise StoreError("cannot-write", f"{path}: {error.strerror}", "free space or choose another folder") from error
