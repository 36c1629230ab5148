"""Files written whole or not at all: a reader, a full disk or a kill never sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from patchctl.model.errors import PatchctlError, UsageError


def write_whole(path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
    """Replace a file in one step, durably. Raise PatchctlError naming the file and the reason; the old one stays."""
    content = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(content)
                out.flush()
                os.fchmod(out.fileno(), mode)
                os.fsync(out.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise PatchctlError(
            "cannot-write", f"{path}: {error.strerror}", "free space or choose another place; nothing was changed"
        ) from error


def write_new(path: Path, data: bytes | str) -> None:
    """Write a file that must not exist yet. Raise UsageError if it does."""
    if path.exists() or path.is_symlink():
        raise UsageError("file-exists", f"{path} exists already", "name a new file, or move that one away")
    write_whole(path, data)
