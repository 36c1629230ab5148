"""Checks files below baselines/ that are not in patchctl's own form: Wazuh SCA policies, and whatever kind is added."""

from __future__ import annotations

from pathlib import Path

from patchctl.assess.content.registry import HEAD, all_kinds
from patchctl.assess.contract import Request
from patchctl.documents.loader import MAX_BYTES
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError, Problem
from patchctl.model.text import one_line

OWN = "native"
MAX_NOTES = 20


def check_other(path: Path, name: str, findings: Findings) -> bool:
    """Check a baseline file of another kind than our own; `name` is how messages call it.

    Problems, and what of its rules is not interpreted (as notes), go to `findings`. Return False, with nothing done,
    for files of our own form or of no known kind.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD)
            kind = next((k for k in all_kinds() if k.name != OWN and k.recognises(str(path), head)), None)
            if kind is None:
                return False
            data = head + stream.read(MAX_BYTES + 1 - len(head))
    except OSError:
        return False  # whoever reads it as our own form tells why it cannot be read
    try:
        made = kind.compile(data, name, Request(path.stem))
    except DocumentsError as error:
        for problem in error.problems:
            findings.add(problem)
        return True
    limited = [rule for rule in made.rules if rule.limits]
    for rule in limited[:MAX_NOTES]:
        text = f"{rule.id}: {one_line(rule.limits[0])}"
        findings.note(Problem(name, 0, 0, "not-interpreted", text, "the rule may end as NOT_CHECKED"))
    if len(limited) > MAX_NOTES:
        text = f"{len(limited) - MAX_NOTES} more rules have parts that are not interpreted"
        findings.note(Problem(name, 0, 0, "not-interpreted", text))
    return True
