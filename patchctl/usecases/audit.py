"""Verify the audit chain against heads kept outside the store, and keep its newest head beside the reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import StoreError, TrustError, UsageError
from patchctl.store.chain import ChainReport, Head
from patchctl.store.database import Store, sqlite_path, store_exists
from patchctl.usecases.atomic import write_atomically

HEAD_FILE = "audit-head.json"
"""Lies in the reports folder; copy it to another machine for proof against who can write here."""

_STATED = re.compile(r"(\d+):([0-9a-f]{64})")


def verify_audit(store: Store, reports: Path, stated: Sequence[Head] = (), *, deep: bool = True) -> ChainReport:
    """Check the chain, the head file beside the reports and heads stated by the caller.

    `deep` also compares every stored piece of evidence with its hash. Writes nothing.
    """
    kept = read_head(reports / HEAD_FILE)
    return store.verify_chain([*stated, *([kept] if kept else [])], deep=deep)


def refuse_missing(url: str, reports: Path, stated: bool) -> None:
    """Raise where there is no store: TrustError if a head says that there was one, else UsageError."""
    if store_exists(url):
        return
    if stated or read_head(reports / HEAD_FILE) is not None:
        raise TrustError("audit-missing", f"there is no store at {sqlite_path(url)}: a kept head says there was one",
                         "name the right one with --state, or bring it back: patchctl state restore")
    raise UsageError("no-store", f"there is no store at {sqlite_path(url)}: nothing was recorded, nothing is verified",
                     "run it in the project folder, or name the store with --state")


def keep_head(head: Head, *files: Path) -> None:
    """Write the head atomically to each file. Only for a chain that has just been verified."""
    for path in files:
        write_atomically(path, to_json(head, indent=1) + b"\n")


def read_head(path: Path) -> Head | None:
    """Return the head kept in a file, None if there is no such file. Raise StoreError for an unreadable one."""
    try:
        return from_json(Head, path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, UsageError) as error:
        raise StoreError(
            "head-file", f"{path} cannot be read as an audit head: {error}", "restore it from a copy, or move it away"
        ) from error


def parse_head(text: str, store: Store) -> Head:
    """Given NUMBER:HASH as a report prints it, or the path of a head file, return the head. Raise UsageError."""
    match = _STATED.fullmatch(text)
    if match:
        return Head(store.store_id, store.epoch, int(match.group(1)), match.group(2))
    found = read_head(Path(text))
    if found is None:
        raise UsageError("no-head", f"{text!r} is neither NUMBER:HASH nor a head file", "copy it from a report")
    return found
