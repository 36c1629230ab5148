"""Builds the kit: every text that patchctl runs on Windows, to the letter, with a driver that runs them and a README.

A step is one run of one text; what it proves are parts of usecases/windows_proof.py. Steps that change the host carry
that mark, and the driver leaves them out unless it is told otherwise.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from patchctl.assess.checks.registry import all_checks
from patchctl.collect.fixing_windows import render_listing
from patchctl.collect.powershell import compile_powershell
from patchctl.collect.runner import Cleanup, Look, Poll, Start, Takeover
from patchctl.connect.winrm_psrp import PIPELINE
from patchctl.connect.winrm_script import bootstrap, command_line, input_lines
from patchctl.model.evidence import Probe
from patchctl.model.facts import Artefact
from patchctl.model.text import quote_powershell
from patchctl.platforms.windows import PLATFORM
from patchctl.usecases import windows_proof as wp

HERE = Path(__file__).parent
BASELINE = HERE.parents[2] / "baselines" / "windows-server.yaml"
CONTENT = b"patchctl windows proof\r\n"
SCHEMA = "patchctl/windows-proof-kit/1"
_DATE = (2026, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    text: str
    proves: tuple[str, ...]
    must: tuple[str, ...]
    """What its stdout has to hold, all of it, to count as shown; its exit code has to be 0."""
    changing: bool = False
    needs: str = ""
    """What the owner has to name: msi, msu, cab, exe, update, removekb, removeproduct, url, reboot."""
    data: bytes = b""
    """What the text gets as pipeline input."""
    repeat: str = ""
    """The driver runs it again while its stdout holds this."""
    copies: str = ""
    """Where the driver puts the owner's file first."""
    never: tuple[str, ...] = field(default=())
    """What its stdout must not hold."""

    @property
    def sha256(self) -> str:
        return wp.digest(self.text)


@cache
def steps() -> tuple[Step, ...]:
    """Return all steps in the order in which they are run: those that only read first."""
    return (*_reading(), *_changing())


def _probe(
    name: str, command: str, proves: Sequence[str], *, must: Sequence[str] = ("",), never: Sequence[str] = ()
) -> Step:
    """Return the step of one probe. `must`, `never`: beginnings of its output lines ("" = that there is any)."""
    probe = Probe(name, command, root=True, cap=16 * 1024 * 1024)
    said = f"{wp.NONCE}={name} "
    return Step(name, compile_powershell((probe,), wp.NONCE), (*proves, "collect.frame", "transport.bootstrap"),
                (f"{wp.NONCE}#BEGIN", f"{wp.NONCE}>{name} 0 ", f"{wp.NONCE}#END 1 .", *(said + line for line in must)),
                never=tuple(said + line for line in never))


def _reading() -> Iterator[Step]:
    parts = wp.parts()
    for part in [name for name in parts if name.startswith("scan.")]:
        search = part.startswith("scan.updates")
        yield _probe(part, parts[part], [part], must=['{"kind":"search"'] if search else [""],
                     never=["patchctl: "] if search else [])
    whole = compile_powershell(PLATFORM.probes("never"), wp.NONCE)
    yield Step("scan", whole, ("collect.frame",), (f"{wp.NONCE}#END {len(PLATFORM.probes('never'))} .",))
    yield _psrp()
    yield _runner("look", Look(), "seen")
    yield Step("resolve", parts["resolve"], ("resolve",), ("@@ changes", "@@ end"))
    yield _probe("fingerprint", parts["fingerprint"], ["fingerprint"], must=[])
    yield _probe("earlier", parts["earlier"], ["earlier"], must=["update|KB0000000|unknown"], never=["error|"])
    yield _probe("health.unit", parts["health.unit"], ["health.unit"], must=["active"])
    yield _probe("health.no_new_failed_units", parts["health.no_new_failed_units"], ["health.no_new_failed_units"],
                 must=[])
    for name, questions in baseline_questions().items():
        text = questions[0].batch.script(sorted({question.text for question in questions}))
        yield _probe(f"check.{name}", text, [f"check.{name}"], must=["@@ ", "@."], never=["@!"])
    for name in wp.SCA_KINDS:
        yield _probe(f"sca.{name}", parts[f"sca.{name}"], [f"sca.{name}"])


def _psrp() -> Step:
    """Return the step that starts the pipeline of `client: psrp`, on the machine itself, with a small script."""
    line = command_line(bootstrap(wp.NONCE, need_elevation=False, data=False))
    lines = "".join(part.decode() for part in input_lines("[Console]::Out.Write('through'); exit 7", ()))
    said = base64.b64encode(b"through").decode()
    text = f"{quote_powershell(lines)} | & {{{PIPELINE}}} {quote_powershell(line)}\n"
    return Step("psrp", text, ("transport.psrp",), (f"o{said}", "x7"))


def baseline_questions() -> dict[str, list[Any]]:
    """Return by batch what the shipped Windows baseline asks, and where it asks nothing, the check types' examples."""
    found: dict[str, list[Any]] = {}
    kinds = all_checks()

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in kinds and kinds[key].shell == "powershell" and isinstance(value, dict):
                    for question in kinds[key].questions(value):
                        found.setdefault(question.batch.name, []).append(question)
                else:
                    walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(yaml.safe_load(BASELINE.read_text()))
    return dict(sorted((wp.check_questions() | found).items()))


def _runner(name: str, request: Any, state: str, *, changing: bool = False, proves: tuple[str, ...] = (),
            **more: Any) -> Step:
    kind = type(request).__name__.lower()
    return Step(name, wp.render(request), (f"runner.{kind}", *proves, "transport.bootstrap"),
                (f"{wp.NONCE} boot ", f"{wp.NONCE} state {state}", *more.pop("must", ()), f"{wp.NONCE} end"),
                changing, **more)


def _changing() -> Iterator[Step]:
    artefact = Artefact("proof", "1", "", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "proof.txt")
    yield _runner("takeover", Takeover(), "taken", changing=True)
    for name, text in wp.staging_texts(artefact, CONTENT).items():
        must = {"receive": (), "drop": (), "accept": (f"{wp.NONCE} have {artefact.sha256}", f"{wp.NONCE} end")}
        yield Step(f"stage.{name}", text, (f"stage.{name}",), must.get(name, (f"{wp.NONCE} end",)), True,
                   data=CONTENT if name == "receive" else b"")
    yield Step("stage.again", wp.staging_texts(artefact, CONTENT)["list"], ("stage.list",), (f"{wp.NONCE} end",), True)
    yield Step("download", wp.parts()["download"], ("download",), (f"have {wp.ZERO_SHA}",), True, "url",
               copies=f"{wp.STAGE}-download")
    for kind in ("nothing", *(kind for kind in wp.PAYLOADS if kind != "nothing")):
        yield from _attempt(kind)
    yield from _repair()
    yield _runner("reboot", wp.REQUESTS[3], "requested", changing=True, needs="reboot")


_NEEDS = {"nothing": "", "update-agent": "update", "remove-kb": "removekb", "remove-msi": "removeproduct",
          "take-back-msi": "msi"}  # fmt: skip


def _attempt(kind: str) -> Iterator[Step]:
    """Start, wait for and clean up one attempt, as a rollout does."""
    attempt, folder = f"proof-{kind}.1", f"{wp.STAGE}-{kind}"
    needs = _NEEDS.get(kind, kind)
    name = "proof.msi" if kind == "take-back-msi" else f"proof.{kind}"
    files = ((wp.ZERO_SHA, name),) if kind in (*wp.FILE_KINDS, "take-back-msi") else ()
    start = Start(attempt, wp.payload(kind), wp.parts()["fingerprint"], folder, files)
    yield _runner(f"start.{kind}", start, "started", changing=True, needs=needs,
                  copies=f"{folder}\\{name}" if files else "")
    yield _runner(f"poll.{kind}", Poll(attempt), "finished", changing=True, needs=needs,
                  repeat=f"{wp.NONCE} state running", must=(f"{wp.NONCE} result 0 ",),
                  proves=(f"payload.{kind}", "runner.program", "runner.start"))
    yield _runner(f"cleanup.{kind}", Cleanup(attempt, folder), "clean", changing=True, needs=needs)


def _repair() -> Iterator[Step]:
    """Start, wait for and clean up an attempt that repairs what the check types' examples look at."""
    for kind in wp.OTHER_REPAIRS:
        yield from _other_repair(kind)
    attempt, parts = f"{wp.REPAIR}.1", wp.parts()
    start = Start(attempt, parts["payload.repair"], parts["repair.listing"], "", ())
    yield _runner("start.repair", start, "started", changing=True)
    yield Step("answer.repair", parts["repair.answer"], ("repair.answer",), (), True)
    yield _runner("poll.repair", Poll(attempt), "finished", changing=True, repeat=f"{wp.NONCE} state running",
                  must=(f"{wp.NONCE} result 0 ",), proves=("payload.repair", "repair.listing", "runner.start"))
    yield _runner("cleanup.repair", Cleanup(attempt), "clean", changing=True)


def _other_repair(kind: str) -> Iterator[Step]:
    attempt = f"{wp.REPAIR}-{kind}.1"
    start = Start(attempt, wp.parts()[f"payload.repair-{kind}"], render_listing(attempt), "", ())
    yield _runner(f"start.repair-{kind}", start, "started", changing=True)
    yield _runner(f"poll.repair-{kind}", Poll(attempt), "finished", changing=True, repeat=f"{wp.NONCE} state running",
                  must=(f"{wp.NONCE} result 0 ",), proves=(f"payload.repair-{kind}",))
    yield _runner(f"cleanup.repair-{kind}", Cleanup(attempt), "clean", changing=True)


FILLS = {
    "sha256": wp.ZERO_SHA, "boot": wp.BOOT, "update": f"{wp.UPDATE_NAME} {wp.UPDATE_ID} 1",
    "removekb": wp.REMOVED_KB, "removeproduct": wp.PRODUCT, "url": wp.ADDRESS,
}  # fmt: skip
"""What the driver replaces in the texts, if the owner named something for it."""


def manifest() -> dict[str, Any]:
    """Return steps.json."""
    return {
        "schema": SCHEMA, "nonce": wp.NONCE, "fills": FILLS,
        "steps": [
            {"name": s.name, "file": f"scripts/{s.name}.ps1", "sha256": s.sha256, "changing": s.changing,
             "needs": s.needs, "repeat": s.repeat, "copies": s.copies, "fed": bool(s.data),
             "data": f"data/{s.name}.bin" if s.data else ""}
            for s in steps()
        ],
    }  # fmt: skip


def contents() -> dict[str, bytes]:
    """Return the kit's files by name."""
    files = {
        "README.txt": (HERE / "README.txt").read_bytes().replace(b"\n", b"\r\n"),
        "run-proof.ps1": (HERE / "run-proof.ps1").read_bytes(),
        "scripts/bootstrap.ps1": bootstrap(wp.NONCE, need_elevation=True, data=False).encode(),
        "scripts/bootstrap-fed.ps1": bootstrap(wp.NONCE, need_elevation=True, data=True).encode(),
    }
    for step in steps():
        files[f"scripts/{step.name}.ps1"] = step.text.encode()
        if step.data:
            files[f"data/{step.name}.bin"] = step.data
    listed = manifest() | {"files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}}
    files["steps.json"] = json.dumps(listed, indent=1).encode()
    return files


def build() -> bytes:
    """Return the kit as a zip file, the same bytes for the same code."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(contents().items()):
            archive.writestr(zipfile.ZipInfo(f"windows-proof/{name}", _DATE), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()
