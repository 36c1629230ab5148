"""Inventory scripts: executables that print JSON for `--list` (and `--host NAME`). Run only when loading for real."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from patchctl.documents.ansible_ini import set_group_variable
from patchctl.documents.draft import Draft, Place, Setting, put_setting
from patchctl.documents.loader import MAX_BYTES
from patchctl.documents.names import NAME_HINT, first_bad_name
from patchctl.documents.source import Findings, Source
from patchctl.model.text import decode, one_line

TIMEOUT: Final = 120.0
"""Seconds one call may take."""


def read_script(path: Path, name: str, draft: Draft, rank: int, findings: Findings) -> None:
    """Run an inventory script and put what it says into the draft."""
    source = Source(name)
    output = _run(path, ["--list"], source, findings)
    if output is None:
        return
    unanswered = read_script_output(output, source, draft, rank, findings)
    for host in unanswered or []:
        output = _run(path, ["--host", host], source, findings)
        if output is None:
            return
        try:
            variables = json.loads(output or b"{}")
        except ValueError as error:
            findings.add(source.problem(0, 0, "invalid-script-output", f"--host {host}: not JSON: {error}"))
            return
        set_host_variables(draft, host, variables, Place(source, 0, 0), rank, findings)


def _run(path: Path, arguments: list[str], source: Source, findings: Findings) -> bytes | None:
    """Return what the script prints, or add a Problem."""
    command = [os.path.abspath(path), *arguments]  # noqa: PTH100 - links are kept: the script may look at its own name
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False,
                              cwd=path.parent)
    except OSError as error:
        findings.add(source.problem(0, 0, "script-failed", f"cannot be run: {error.strerror}",
                                    "take away its x bit if it is no inventory script"))
        return None
    except subprocess.TimeoutExpired:
        findings.add(source.problem(0, 0, "script-failed", f"gave no answer within {TIMEOUT:.0f} s"))
        return None
    if done.returncode != 0:
        said = one_line(decode(done.stderr[-2000:])) or "it says nothing on stderr"
        findings.add(source.problem(0, 0, "script-failed", f"ended with exit code {done.returncode}: {said}"))
        return None
    if len(done.stdout) > MAX_BYTES:
        findings.add(source.problem(0, 0, "too-large", f"prints more than {MAX_BYTES // 1024 // 1024} MiB"))
        return None
    return done.stdout


def read_script_output(text: bytes, source: Source, draft: Draft, rank: int, findings: Findings) -> list[str] | None:
    """Put the JSON of `SCRIPT --list` into the draft. Return hosts to ask for with `--host`, None if not JSON."""
    place = Place(source, 0, 0)

    def bad(message: str) -> None:
        findings.add(source.problem(0, 0, "invalid-script-output", message, "run it with --list and look"))

    try:
        data = json.loads(text)
    except ValueError as error:
        bad(f"its output is not JSON: {error}")
        return None
    if not isinstance(data, dict):
        bad("its output is not a JSON object of groups")
        return None
    meta = data.pop("_meta", None)
    for name, body in data.items():
        group = {"hosts": body} if isinstance(body, list) else body
        if not isinstance(group, dict):
            bad(f"group {name!r} is neither an object nor a list of hosts")
            continue
        if name not in ("all", "ungrouped"):
            draft.group(name)
        for host in _good_names(group.get("hosts") or [], source, findings):
            draft.host(host)
            if name not in ("all", "ungrouped"):
                draft.group(name).hosts[host] = None
        for child in group.get("children") or []:
            if name not in ("all", "ungrouped") and child not in ("all", "ungrouped"):
                draft.group(str(child))
                draft.group(name).children.setdefault(str(child), place)
        for key, value in (group.get("vars") or {}).items():
            set_group_variable(draft, name, str(key), Setting(value, place, rank, override=True), findings)
    if not isinstance(meta, dict) or not isinstance(meta.get("hostvars"), dict):
        return list(draft.hosts)
    for host in _good_names(meta["hostvars"], source, findings):
        set_host_variables(draft, host, meta["hostvars"][host], place, rank, findings)
    return []


def _good_names(names: Iterable[object], source: Source, findings: Findings) -> list[str]:
    """Return the names that hosts may have; the others become Problems."""
    texts = [str(name) for name in names]
    for name in texts:
        if first_bad_name([name]) is not None:
            findings.add(source.problem(0, 0, "invalid-name", f"not a host name: {name!r}", NAME_HINT))
    return [name for name in texts if first_bad_name([name]) is None]


def set_host_variables(
    draft: Draft, host: str, variables: object, place: Place, rank: int, findings: Findings
) -> None:
    """Set what a script says about one host."""
    layer = draft.host(host).inline.variables
    for key, value in (variables if isinstance(variables, dict) else {}).items():
        put_setting(layer, str(key), Setting(value, place, rank, override=True), findings)
