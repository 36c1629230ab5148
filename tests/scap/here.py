"""Asks and judges this very machine, by our own script and by oscap, for content made by a test."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from patchctl.assess.content.xccdf import KIND
from patchctl.assess.content.xccdf.baseline import Judge, XccdfBaseline
from patchctl.assess.contract import MAX_TRIPS, Request
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.evidence import Probe, Snapshot
from tests.scap.oracle import OSCAP_NAMES

NONCE = "0123456789abcdef"


def ask(probes: Sequence[Probe]) -> Snapshot:
    """Run probes on this machine through the project's own script."""
    root = os.geteuid() == 0
    done = subprocess.run(["sh"], input=compile_script(probes, NONCE).encode(), capture_output=True, check=False,
                          timeout=300, env={"PATH": os.environ["PATH"], "PROBED": "yes"})
    return parse_output(done.stdout, probes, NONCE, host="here", taken_at=time.time(), as_root=root, seconds=0.0,
                        lost="")


def visit(baseline: XccdfBaseline) -> Snapshot:
    """Ask all that a baseline wants to know, in as many round trips as that takes."""
    snapshot = ask(baseline.probes())
    trips = 1
    while trips < MAX_TRIPS and (more := baseline.follow_up(snapshot)):
        later = ask(more)
        trips += 1
        snapshot = Snapshot(snapshot.host, snapshot.taken_at, {**snapshot.evidence, **later.evidence})
    return snapshot


def ours(xccdf: str, files: Mapping[str, str], profile: str = "", tailoring: str = "") -> tuple[XccdfBaseline, Judge]:
    """Compile a plain benchmark with its OVAL files beside, visit this machine, and return who judges it."""
    given = {name: text.encode() for name, text in files.items()}
    found = KIND.compile(
        xccdf.encode(), "xccdf.xml", Request("test", profile, tailoring=tailoring.encode(), files=given))
    assert isinstance(found, XccdfBaseline)
    return found, Judge(found, visit(found))


@dataclass(frozen=True)
class Theirs:
    """What oscap says: rule -> verdicts in our words (several with multi-check), scores, values of variables."""

    verdicts: Mapping[str, Sequence[str]]
    scores: Mapping[str, float]
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)


def oscap(folder: Path, xccdf: str, files: Mapping[str, str], *options: str) -> Theirs:
    """Write the content into a folder and let oscap evaluate it on this machine."""
    (folder / "xccdf.xml").write_text(xccdf)
    for name, text in files.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        ["oscap", "xccdf", "eval", *options, "--oval-results", "--results", "results.xml", "xccdf.xml"],
        cwd=folder, capture_output=True, text=True, errors="replace", check=False, timeout=300,
        env={"PATH": os.environ["PATH"], "PROBED": "yes"})
    assert done.returncode in (0, 2), done.stderr[-2000:] or f"oscap ended with {done.returncode}"
    tree = etree.parse(os.fspath(folder / "results.xml"))
    verdicts: dict[str, list[str]] = {}
    for result in tree.iter("{*}rule-result"):
        verdict = result.findtext("{*}result")
        if verdict != "notselected":
            verdicts.setdefault(result.get("idref").removeprefix("xccdf_t_rule_"), []).append(OSCAP_NAMES[verdict])
    scores = {s.get("system").rpartition(":")[2]: float(s.text) / float(s.get("maximum", "100")) * 100
              for s in tree.iter("{*}score")}
    if scores.get("absolute"):  # 1 or 0, whatever the maximum
        scores["absolute"] = 100.0
    values: dict[str, list[str]] = {}
    for path in folder.glob("*.result.xml"):
        for item in etree.parse(os.fspath(path)).iter("{*}variable_item"):
            variable = item.findtext("{*}var_ref")
            values[variable] = [e.text or "" for e in item if etree.QName(e).localname == "value"]
    return Theirs(verdicts, scores, values)
