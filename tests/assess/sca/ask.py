"""Small helpers of the SCA tests: compile a policy from text, run its probes here, make snapshots without a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from patchctl.assess.content.registry import kind_of
from patchctl.assess.content.sca.baseline import ScaBaseline
from patchctl.assess.contract import Request
from patchctl.model.evidence import OK, Evidence, Snapshot
from tests.collect.shells import ask

POLICIES = Path(__file__).parent / "policies"


def load(text: str, **parameters: str) -> ScaBaseline:
    """Compile a policy's text."""
    data = text.encode()
    made = kind_of("p.yml", data).compile(data, "p.yml", Request("p", parameters=parameters))
    assert isinstance(made, ScaBaseline)
    return made


def policy(dialect: int, *rules: str, condition: str = "all", extra: str = "", more: str = "") -> ScaBaseline:
    """Compile a policy of one check with these rules."""
    name = "title" if dialect == 4 else "name"
    lines = "".join(f"      - {_quoted(rule)}\n" for rule in rules)
    return load(
        f"policy:\n  id: p\n  name: P\n{more}checks:\n  - id: 1\n    {name}: T\n{extra}    condition: {condition}\n"
        f"    rules:\n{lines}"
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def answer_here(baseline: ScaBaseline, shell: Sequence[str] = ("dash",)) -> Snapshot:
    """Run a baseline's probes on this machine, the ones that follow too."""
    snapshot = ask(shell, [replace(p, root=False) for p in baseline.probes()])
    if later := baseline.follow_up(snapshot):
        more = ask(shell, [replace(p, root=False) for p in later])
        snapshot = replace(snapshot, evidence={**snapshot.evidence, **more.evidence})
    assert not baseline.follow_up(snapshot)
    return snapshot


def say(baseline: ScaBaseline, answers: Mapping[Any, tuple[str, Sequence[str]]]) -> Snapshot:
    """Return a snapshot in which a host gave these answers: question -> (status word, lines)."""
    evidence = {}
    for batch in baseline.batches:
        out = []
        for number, key in enumerate(batch.keys):
            if key in answers:
                word, lines = answers[key]
                lines = [*lines, "e 0"] if word == "tree" else lines  # find says that it came to its end
                out += [f"+{number}", *(f" {line}" for line in lines), f"={word}"]
        evidence[batch.probe.id] = Evidence(batch.probe.id, OK, "\n".join(out) + "\n", 0)
    return Snapshot("h", 0.0, evidence)


def verdict(baseline: ScaBaseline, snapshot: Snapshot) -> str:
    """Return the verdict on a policy's only check."""
    (found,) = baseline.evaluate(snapshot)
    return found.verdict
