"""Reads what a kit brought back: checks it, says what each step shows, keeps captures and registers what is shown.

A result is material from elsewhere: its names are compared, never used; sizes are bounded; nothing in it is run. What
it says can be forged by whoever makes it, as any capture can: it is for people who know where it comes from.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patchctl.platforms.windows.proven import PROVEN
from patchctl.usecases import windows_proof as wp
from tests.windows.proof.kit import FILLS, Step, steps

SCHEMA = "patchctl/windows-proof-result/1"
ROOT = Path(__file__).parents[3]
CAPTURES = ROOT / "tests" / "windows" / "captures"
REGISTRY = ROOT / "patchctl" / "platforms" / "windows" / "proven.py"
_MOST = 32 * 1024 * 1024
_FILL_FORMS = {"sha256": r"[0-9a-f]{64}", "boot": r"\d{8}T\d{6}\.\d{6}Z", "removekb": r"KB\d{4,8}",
               "update": r"KB\d{4,8} [0-9a-fA-F-]{36} \d{1,9}", "removeproduct": r"\{[0-9A-Fa-f-]{36}\}"}  # fmt: skip


class ResultError(Exception):
    """Why a result cannot be used, in words."""


@dataclass(frozen=True, slots=True)
class Captured:
    """What one step brought: `problem` says why it shows nothing ("" = it shows what the step proves)."""

    step: Step
    stdout: bytes
    stderr: bytes
    problem: str


@dataclass(frozen=True, slots=True)
class Outcome:
    synthetic: bool
    host: Mapping[str, Any]
    captured: tuple[Captured, ...]
    left_out: tuple[tuple[str, str], ...]
    """(step, why it was not run, or not taken)"""

    @property
    def system(self) -> str:
        """Return the host's build as a name of a folder: 20348.2113."""
        build, ubr = self.host.get("build"), self.host.get("ubr")
        if not (isinstance(build, str) and re.fullmatch(r"\d{4,6}", build) and isinstance(ubr, int) and ubr >= 0):
            raise ResultError("the result does not say of which Windows build it is")
        return f"{build}.{ubr}"

    @property
    def shown(self) -> dict[str, str]:
        """Return the parts that are shown and the step whose capture shows each."""
        found: dict[str, str] = {}
        for one in self.captured:
            if not one.problem:
                for part in one.step.proves:
                    found.setdefault(part, one.step.name)
        return found


def read_result(file: Path) -> Outcome:
    """Read a result. Raise ResultError for what is no result of a kit."""
    try:
        with zipfile.ZipFile(file) as archive:
            document = _document(archive)
            found, left = [], []
            known = {step.name: step for step in steps()}
            for entry in document["steps"]:
                step = known.get(entry["name"])
                if step is None:
                    left.append((f"{entry['name']!r}"[:60], "no step of this version's kit"))
                elif entry["state"] != "ran":
                    left.append((step.name, str(entry.get("reason") or entry["state"])[:200]))
                elif entry["sha256"] != step.sha256:
                    left.append((step.name, "its text has changed since that kit was made"))
                else:
                    found.append(_captured(archive, step, entry))
            return Outcome(bool(document["synthetic"]), document["host"], tuple(found), tuple(left))
    except (zipfile.BadZipFile, OSError) as error:
        raise ResultError(f"{file} is no zip file that can be read: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ResultError(f"{file}: result.json is not as the kit's driver writes it: {error!r}") from error


def _document(archive: zipfile.ZipFile) -> dict[str, Any]:
    document = json.loads(_read(archive, "result.json").decode("utf-8-sig"))
    if document["schema"] != SCHEMA:
        raise ResultError(f"result.json is of schema {document['schema']!r}, not {SCHEMA}")
    if not isinstance(document["synthetic"], bool) or not isinstance(document["host"], dict):
        raise ResultError("result.json does not say whether it is synthetic, or of which host it is")
    return dict(document)


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    by_name = {info.filename.replace("\\", "/"): info for info in archive.infolist()}  # PowerShell 5.1 packs with \
    info = by_name.get(name)
    if info is None:
        raise ResultError(f"{name} is missing")
    if info.file_size > _MOST:
        raise ResultError(f"{name} is larger than {_MOST} bytes")
    with archive.open(info) as stream:
        return stream.read(_MOST)


def _captured(archive: zipfile.ZipFile, step: Step, entry: Mapping[str, Any]) -> Captured:
    stdout, stderr = (_read(archive, f"captures/{step.name}.{stream}") for stream in ("stdout", "stderr"))
    for stream, data in (("stdout", stdout), ("stderr", stderr)):
        if hashlib.sha256(data).hexdigest() != entry[f"{stream}_sha256"]:
            raise ResultError(f"captures/{step.name}.{stream} is not what result.json says")
    text = step.text
    filled = {name: str(value) for name, value in dict(entry.get("filled") or {}).items() if name in _FILL_FORMS}
    for name, value in filled.items():
        if not re.fullmatch(_FILL_FORMS[name], value):
            raise ResultError(f"{step.name}: {value!r} cannot stand for {name}")
        text = text.replace(FILLS[name], value)
    same = FILLS["url"] in text or wp.digest(text) == entry["run_sha256"]  # an address is not told
    problem = judge(step, stdout, entry["exit_code"], filled) if same else "another text was run than the kit's"
    return Captured(step, stdout, stderr, problem)


def judge(step: Step, stdout: bytes, code: object, filled: Mapping[str, str]) -> str:
    """Say why a step's output does not show that its text works, "" if it does."""
    text = stdout.decode("utf-8", "replace").replace("\r\n", "\n")
    if code != 0:
        return f"exit code {code}"
    for wanted in step.must:
        line = wanted.replace(FILLS["sha256"], filled.get("sha256", FILLS["sha256"]))
        if not any(said.startswith(line) for said in text.split("\n")):
            return f"no line begins with {line!r}"
    for unwanted in step.never:
        if any(said.startswith(unwanted) for said in text.split("\n")):
            return f"a line begins with {unwanted!r}"
    return ""


def keep(outcome: Outcome, folder: Path = CAPTURES, registry: Path = REGISTRY) -> list[str]:
    """Write the captures below the folder and register what they show; return the parts that are new.

    Raise ResultError for a synthetic result: it shows nothing of Windows.
    """
    if outcome.synthetic:
        raise ResultError("this result is synthetic: it shows nothing, and is not kept")
    place = folder / outcome.system
    place.mkdir(parents=True, exist_ok=True)
    for one in outcome.captured:
        (place / f"{one.step.name}.stdout").write_bytes(one.stdout)
        (place / f"{one.step.name}.stderr").write_bytes(one.stderr)
    about = {"host": dict(outcome.host), "steps": {
        one.step.name: {"sha256": one.step.sha256, "problem": one.problem} for one in outcome.captured}}
    (place / "about.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    parts = wp.parts()
    known = {part: dict(hashes) for part, hashes in PROVEN.items()}
    new = []
    for part, step in sorted(outcome.shown.items()):
        if wp.digest(parts[part]) not in known.setdefault(part, {}):
            known[part][wp.digest(parts[part])] = f"{outcome.system}/{step}"
            new.append(part)
    registry.write_text(registry_text(known, registry.read_text()))
    return new


def registry_text(known: Mapping[str, Mapping[str, str]], before: str) -> str:
    """Return the registry's source with these entries in the place of the ones before."""
    head, found, _ = before.partition("PROVEN: Mapping[str, Mapping[str, str]] = ")
    if not found:
        raise ResultError("the registry file has no PROVEN")
    lines = ""
    for part, hashes in sorted(known.items()):
        entries = "".join(f'        "{sha}":\n            "{capture}",\n' for sha, capture in sorted(hashes.items()))
        lines += f"    {json.dumps(part)}: {{\n{entries}    }},\n" if entries else ""
    return f"{head}{found}{{\n{lines}}}\n" if lines else f"{head}{found}{{}}\n"
