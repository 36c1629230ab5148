"""Problems of user files as text for people, SARIF 2.1.0, JUnit XML, GitHub and GitLab annotations. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from patchctl.model.errors import Problem
from patchctl.model.text import strip_control

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render_text(problems: Sequence[Problem], notes: Sequence[Problem]) -> str:
    """Return each problem with its source line, a caret and a hint; notes after the problems."""
    blocks = [_block(problem, "error") for problem in problems] + [_block(note, "note") for note in notes]
    return strip_control("\n".join(blocks)) + "\n" if blocks else ""


def _block(problem: Problem, word: str) -> str:
    lines = [f"{_where(problem)}: {word}[{problem.code}]: {problem.message}"]
    if problem.source:
        number = str(problem.line)
        lines.append(f"  {number} | {problem.source}")
        lines.append(f"  {' ' * len(number)} | {' ' * max(0, problem.column - 1)}^")
    if problem.hint:
        lines.append(f"  hint: {problem.hint}")
    return "\n".join(lines)


def _where(problem: Problem) -> str:
    return f"{problem.file}:{problem.line}:{problem.column}" if problem.line else problem.file


def problem_data(problem: Problem) -> dict[str, Any]:
    """Return a problem as in the machine-readable output."""
    return {"file": problem.file, "line": problem.line, "column": problem.column, "code": problem.code,
            "message": problem.message, "hint": problem.hint}


def render_sarif(problems: Sequence[Problem], notes: Sequence[Problem], version: str) -> str:
    """Return SARIF 2.1.0 as code scanning services read it: one run, one rule for each code."""
    found = [(problem, "error") for problem in problems] + [(note, "note") for note in notes]
    codes = sorted({problem.code for problem, _ in found})
    results = [{
        "ruleId": problem.code,
        "ruleIndex": codes.index(problem.code),
        "level": level,
        "message": {"text": _with_hint(problem)},
        "locations": [{"physicalLocation": _location(problem)}],
        "partialFingerprints": {"patchctl/v1": fingerprint(problem)},
    } for problem, level in found]
    driver = {"name": "patchctl", "version": version,
              "rules": [{"id": code, "shortDescription": {"text": code.replace("-", " ")}} for code in codes]}
    document = {"$schema": SARIF_SCHEMA, "version": "2.1.0",
                "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}]}
    return json.dumps(document, indent=2) + "\n"


def _location(problem: Problem) -> dict[str, Any]:
    # SARIF 2.1.0, section 3.4.3: a URI reference (RFC 3986); one that begins with a scheme or "/" must not be mistaken.
    written = quote(problem.file, safe="/")
    location: dict[str, Any] = {"artifactLocation": {"uri": f"file://{written}" if written[:1] == "/" else written}}
    if problem.line:
        location["region"] = {"startLine": problem.line, "startColumn": max(problem.column, 1)}
    return location


def render_junit(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """Return JUnit XML: one test case for each file, failed with all its problems."""
    by_file: dict[str, list[Problem]] = {name: [] for name in files}
    for problem in problems:
        by_file.setdefault(problem.file, []).append(problem)
    failed = sum(1 for found in by_file.values() if found)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>',
             f'<testsuite name="patchctl validate" tests="{len(by_file)}" failures="{failed}" errors="0">']
    for name, found in by_file.items():
        if not found:
            lines.append(f'  <testcase classname="validate" name={_attribute(name)}/>')
            continue
        body = "\n".join(f"{_where(p)}: {p.code}: {_with_hint(p)}" for p in found)
        kind = f"message={_attribute(found[0].message)} type={_attribute(found[0].code)}"
        lines += [f'  <testcase classname="validate" name={_attribute(name)}>',
                  f"    <failure {kind}>{escape(strip_control(body))}</failure>", "  </testcase>"]
    return "\n".join([*lines, "</testsuite>"]) + "\n"


def _attribute(text: str) -> str:
    return quoteattr(strip_control(text))


def render_github(problems: Sequence[Problem], notes: Sequence[Problem]) -> str:
    """Return workflow commands that annotate the changed lines of a pull request."""
    lines = []
    for problem, level in [(p, "error") for p in problems] + [(n, "notice") for n in notes]:
        place = f",line={problem.line},col={problem.column}" if problem.line else ""
        title = _github_property(problem.code)
        lines.append(f"::{level} file={_github_property(problem.file)}{place},title={title}::"
                     f"{_github_data(_with_hint(problem))}")
    return "\n".join(lines) + "\n" if lines else ""


def _github_data(text: str) -> str:
    return strip_control(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")


def render_gitlab(problems: Sequence[Problem], notes: Sequence[Problem]) -> str:
    """Return a Code Quality report: a JSON list with one entry for each problem."""
    entries = [{
        "description": _with_hint(problem), "check_name": problem.code, "fingerprint": fingerprint(problem),
        "severity": severity, "location": {"path": problem.file, "lines": {"begin": max(problem.line, 1)}},
    } for problem, severity in [(p, "major") for p in problems] + [(n, "info") for n in notes]]
    return json.dumps(entries, indent=2) + "\n"


def fingerprint(problem: Problem) -> str:
    """Return what stays the same while lines move: a hash of file, code, message and the source line."""
    text = "\0".join([problem.file, problem.code, problem.message, problem.source.strip()])
    return hashlib.sha256(text.encode()).hexdigest()


def _with_hint(problem: Problem) -> str:
    return strip_control(f"{problem.message} ({problem.hint})" if problem.hint else problem.message)
