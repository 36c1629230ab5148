"""The content of baselines: our own YAML read, checked and handed to its kind as JSON; other kinds' files as they are.

data = read_content(path)                         # raises DocumentsError with every problem and its place
baseline = kind_of(str(path), data).compile(data, str(path), Request(name))
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from patchctl.assess.native.compiled import bind, run_tests
from patchctl.documents.baselines import BaselineDocument, read_baseline
from patchctl.documents.loader import Section, parse_document, read_source
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError, UsageError

YAML_ENDINGS = (".yaml", ".yml")
MAX_BYTES = 256 * 1024 * 1024


def is_native(path: Path) -> bool:
    """Say whether a file is a baseline of our own: YAML with the key `baseline`."""
    if path.suffix not in YAML_ENDINGS:
        return False
    quiet = Findings()
    source = read_source(path, str(path), quiet)
    document = parse_document(source, quiet) if source else None
    if document is None:
        # Broken YAML: what stands at the beginning of a line decides whose errors are told.
        return source is not None and any(line.startswith("baseline:") for line in source.lines)
    return isinstance(document.tree, Section) and "baseline" in document.tree


def read_content(path: Path, name: str = "", values: Mapping[str, str] | None = None) -> bytes:
    """Given the path of a baseline of any kind, return what its kind compiles.

    `values` replace the defaults of parameters (wrong names are told here). Raise DocumentsError with every problem of
    a baseline of our own, UsageError for a file that cannot be read.
    """
    if is_native(path):
        findings = Findings()
        found = read_baseline(path, name or str(path), findings, tests=False)
        if found is not None:
            check_baseline(found, findings, values)
        if found is None or findings.problems:
            raise DocumentsError(findings.sorted())
        return found.native.to_bytes()
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError("unreadable-file", f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise UsageError("too-large", f"{path} is larger than {MAX_BYTES // 1024 // 1024} MiB")
    return data


def check_baseline(found: BaselineDocument, findings: Findings, values: Mapping[str, str] | None = None) -> None:
    """Add what is wrong with the checks, conditions, parameters and tests of a baseline, each at its place."""
    faults = [*bind(found.native, values)[2], *run_tests(found.native)]
    for fault in faults:
        findings.add(found.document.problem(fault.path, fault.code, fault.message, fault.hint, key=fault.key))
