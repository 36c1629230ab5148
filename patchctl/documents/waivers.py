"""Reads baselines/waivers/*.yaml: which findings are accepted, why, by whom and until when."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from patchctl.documents.check import check_document
from patchctl.documents.loader import load_document
from patchctl.documents.source import Findings
from patchctl.documents.waiver_schema import WaiverFile
from patchctl.model.assessment import Waiver
from patchctl.model.errors import DocumentsError
from patchctl.model.units import format_duration

MAX_LENGTH = 365 * 86400.0
"""Seconds that a waiver may last where the settings say nothing else (`max_waiver`)."""
FOLDER = "waivers"
"""Folder below the baselines."""


def waiver_files(baselines: Path) -> list[Path]:
    """Return the files of waivers of a baselines folder, by name."""
    folder = baselines / FOLDER
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and not p.name.startswith("."))


def load_waivers(baselines: Path, longest: float = MAX_LENGTH) -> tuple[Waiver, ...]:
    """Return all waivers of a baselines folder. Raise DocumentsError with every problem in them."""
    findings = Findings()
    found = [w for path in waiver_files(baselines) for w in read_waivers(path, str(path), longest, findings)]
    if findings.problems:
        raise DocumentsError(findings.sorted())
    return tuple(found)


def read_waivers(path: Path, name: str, longest: float, findings: Findings) -> list[Waiver]:
    """Return the waivers of one file; problems go to `findings`. `longest`: seconds that one may last."""
    document = load_document(path, name, findings)
    content = check_document(document, WaiverFile, findings) if document else None
    if document is None or content is None:
        return []
    waivers = []
    for index, one in enumerate(content.waivers):
        at = ("waivers", index)
        until = datetime.fromisoformat(one.until)
        granted = datetime.fromisoformat(one.granted).replace(tzinfo=until.tzinfo)
        if until <= granted:
            findings.add(document.problem((*at, "until"), "waiver-ends-first", "the waiver ends before it was granted"))
        elif until - granted > timedelta(seconds=longest, days=1):
            allowed = format_duration(longest)
            findings.add(document.problem(
                (*at, "until"), "waiver-too-long", f"it lasts longer than {allowed} from the day it was granted",
                "end it earlier and decide again then, or raise max_waiver in patchctl.yaml",
            ))  # fmt: skip
        if not one.reason.strip() or not one.approver.strip():
            findings.add(document.problem(at, "empty-value", "a waiver needs a reason and an approver"))
        line, _ = document.place((*at, "rule"))
        waivers.append(Waiver(
            one.reason, one.approver, one.until, one.rule, one.hosts, f"{name}:{line}", one.granted, one.baseline,
            until.timestamp(),
        ))  # fmt: skip
    return waivers
