"""Write the report of a rollout: HTML for people, JSON and CSV for machines, each file whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from patchctl.model.failpoints import hit
from patchctl.report.digest import RolloutDigest, Sealed, digest_rollout
from patchctl.report.html import Seal, render_html
from patchctl.report.tables import render_csv, render_json
from patchctl.rollout.journal import fold_all, initial, to_document
from patchctl.store.database import Store
from patchctl.usecases.atomic import write_atomically
from patchctl.usecases.audit import HEAD_FILE, keep_head, verify_audit

FORMATS = {"html": "index.html", "json": "report.json", "csv": "changes.csv"}
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ReportFile(Struct, frozen=True):
    format: str
    path: Path
    sha256: str


class ReportFiles(Struct, frozen=True):
    """What was written, under which audit number that was recorded, and what is wrong with the chain, if anything."""

    rollout: str
    files: tuple[ReportFile, ...]
    audit: int
    digest: RolloutDigest
    problems: tuple[str, ...] = ()


def read_digest(store: Store, rollout: str) -> RolloutDigest:
    """Return what a rollout came to, from its plan and its events. Raise StoreError if there is no such rollout."""
    plan = store.load_plan(rollout)
    records = store.records(rollout=rollout)
    state = fold_all(initial(plan), [record.event for record in records])
    sealed = [Sealed(record.number, record.hash, record.event) for record in records]
    return digest_rollout(plan, sealed, to_document(state))


def write_report(
    store: Store, rollout: str, folder: Path, now: float, actor: str, formats: Sequence[str] = tuple(FORMATS)
) -> ReportFiles:
    """Write the report below `folder`/ROLLOUT, record the files' hashes, and move the kept chain head forward.

    The chain is verified first. A broken one is stated in the report and returned in `problems`; the head that was kept
    before then stays as it is, as the proof. Raise StoreError when a file cannot be written.
    """
    chain = verify_audit(store, folder, deep=False)
    problems = tuple(problem.message for problem in chain.problems)
    seal = Seal(store.store_id, store.epoch, chain.head.number, chain.head.hash, chain.ok, problems)
    digest = read_digest(store, rollout)
    texts = {
        "html": lambda: render_html(digest, seal, now),
        "json": lambda: render_json(digest, seal, now),
        "csv": lambda: render_csv(digest),
    }
    place = folder / safe_name(rollout)
    files = []
    hit("report.write.before")
    for name in dict.fromkeys(formats):
        data = texts[name]().encode("utf-8", "replace")
        path = place / FORMATS[name]
        write_atomically(path, data)
        files.append(ReportFile(name, path, hashlib.sha256(data).hexdigest()))
    hit("report.write.after")
    recorded = {"rollout": rollout, "files": [{"name": f.path.name, "sha256": f.sha256} for f in files]}
    number = store.record(actor, "report-written", recorded)
    if chain.ok:
        keep_head(store.head(), folder / HEAD_FILE)
    return ReportFiles(rollout, tuple(files), number, digest, problems)


def safe_name(rollout: str) -> str:
    """Return a folder name for a rollout: its id, or a hash of it where the id is no plain name."""
    return rollout if _SAFE.fullmatch(rollout) else f"rollout-{hashlib.sha256(rollout.encode()).hexdigest()[:12]}"
