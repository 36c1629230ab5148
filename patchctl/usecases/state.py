"""Put a backup in the place of a store that is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from patchctl.model.errors import StoreError, UsageError
from patchctl.store.chain import ChainReport
from patchctl.store.database import open_store, sqlite_path
from patchctl.store.place import prepare_file


def restore_store(url: str, backup: Path, actor: str, reason: str) -> tuple[int, ChainReport]:
    """Copy `backup` to where the SQLite URL points, verify its chain and raise its epoch, on the record.

    The restored store does not know what happened after the backup: hosts refuse the new epoch until an explicit
    takeover. Return (epoch, what verification found). Raise UsageError while a store is there.
    """
    target = sqlite_path(url)
    if target.exists():
        raise UsageError("store-exists", f"{target} exists", "move it away first; nothing was changed")
    prepare_file(target)
    try:
        with backup.open("rb") as source, target.open("r+b") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
    except OSError as error:
        target.unlink(missing_ok=True)
        raise StoreError("restore", f"{backup} to {target}: {error.strerror}", "nothing was changed") from error
    with open_store(url) as store:
        found = store.verify_chain()
        return store.raise_epoch(actor, reason), found
