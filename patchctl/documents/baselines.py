"""Reads baselines/*.yaml: name, title, and rules whose checks stay opaque until the assessment gives them meaning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchctl.documents.baseline_schema import BaselineFile
from patchctl.documents.check import check_document
from patchctl.documents.loader import Document, load_document
from patchctl.documents.scalars import free_data
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError


@dataclass(frozen=True)
class BaselineRule:
    id: str
    title: str
    severity: str
    check: dict[str, Any]


@dataclass(frozen=True)
class Baseline:
    name: str
    title: str
    hosts: str
    rules: tuple[BaselineRule, ...]
    document: Document


def load_baseline(path: Path) -> Baseline:
    """Given the path of a baseline file, return the baseline. Raise DocumentsError with every problem in it."""
    findings = Findings()
    found = read_baseline(path, str(path), findings)
    if found is None or findings.problems:
        raise DocumentsError(findings.sorted())
    return found


def read_baseline(path: Path, name: str, findings: Findings) -> Baseline | None:
    """Like load_baseline, but problems go to `findings`; `name` is how messages call the file."""
    document = load_document(path, name, findings)
    content = check_document(document, BaselineFile, findings) if document else None
    if document is None or content is None:
        return None
    rules: dict[str, BaselineRule] = {}
    for index, rule in enumerate(content.rules):
        at = ("rules", index)
        if rule.id in rules:
            findings.add(document.problem((*at, "id"), "duplicate-rule", f"a rule {rule.id!r} is there already",
                                          "rule ids are unique within a baseline"))
        if len(rule.check) != 1:
            findings.add(document.problem((*at, "check"), "invalid-check", "a check is exactly one type with arguments",
                                          "write check: {file: {path: /etc/passwd, mode: \"0644\"}}"))
        check = free_data(document, (*at, "check"), rule.check, findings)
        rules.setdefault(rule.id, BaselineRule(rule.id, rule.title, rule.severity, check))
    if not rules:
        findings.add(document.problem(("rules",), "no-rules", "the baseline has no rules", "add some under rules:",
                                      key=True))
    return Baseline(content.baseline, content.title, content.hosts, tuple(rules.values()), document)
