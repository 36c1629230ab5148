"""Failed collection is no result of SCA policies either: whatever breaks while a host is asked, no verdict turns.

Allowed is what it would have been, or UNKNOWN. First the tools that the probes themselves use are broken while they run
here; then (`make soak`) a real host's answers to whole policies are broken, probe by probe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.assess.content.sca.baseline import ScaBaseline
from patchctl.model.assessment import ERROR, NOT_APPLICABLE, UNKNOWN
from patchctl.model.evidence import NOT_APPLICABLE as GUARDED
from patchctl.model.evidence import OK, Evidence, Probe, Snapshot
from patchctl.model.evidence import UNKNOWN as LOST
from tests.assess.sca.ask import load
from tests.assess.sca.test_on_hosts import collect, policies, read
from tests.collect.shells import ask
from tests.conftest import SOAK
from tests.lab import Lab

RULES = (
    "f:{at}/plain", "f:{at}/none", "not f:{at}/none", "not f:{at}/plain",
    "f:{at}/plain -> r:^good", "f:{at}/plain -> r:^bad", "not f:{at}/plain -> r:^bad", "not f:{at}/plain -> r:^good",
    "f:{at}/none -> r:x", "f:{at}/long -> r:^last$", "not f:{at}/long -> r:^last$",
    "d:{at}/tree", "d:{at}/none", "not d:{at}/none", "d:{at}/tree -> r:^zz$", "d:{at}/tree -> r:^no$",
    "not d:{at}/tree -> r:^zz$", "not d:{at}/tree -> r:^no$", "d:{at}/tree -> r:^c -> r:^good",
    "not d:{at}/tree -> r:^c -> r:^good", "not d:{at}/tree -> r:^c -> r:^bad", "d:{at}/tree -> r:^c -> r:^bad",
    "c:cat {at}/plain -> r:^good", "not c:cat {at}/plain -> r:^good", "not c:cat {at}/plain -> r:^bad",
    "c:cat {at}/long -> r:^last$", "not c:cat {at}/long -> r:^last$", "c:no-such-program -> r:x",
    "p:init-of-this-test", "not p:init-of-this-test",
)
TOOLS = ("find", "head", "sed", "tr", "awk", "od", "timeout", "env", "ps")
"""Programs of the probes' own texts. Those that a policy runs mean what they say, as for Wazuh."""
WAYS = {
    "fails": "echo {tool}: Input/output error >&2; return 1",
    "killed": 'command {tool} "$@" | command head -c 60; return 137',
    "killed at once": "return 137",
    "not there": "echo {tool}: not found >&2; return 127",
}


def house(dialect: int, at: Path) -> ScaBaseline:
    """Compile a policy of one check a rule over files of a test's own folder, which is made."""
    (at / "tree/sub").mkdir(parents=True)
    for name, text in (("plain", "good\nother\n"), ("long", "x\n" * 4_000 + "last\n"), ("tree/c1", "good\n"),
                       ("tree/sub/c2", "other\n"), ("tree/zz", "")):  # fmt: skip
        (at / name).write_text(text)
    checks = "".join(
        f"  - {{id: {number}, {'title' if dialect == 4 else 'name'}: T, condition: all,\n"
        f"     rules: ['{rule.format(at=at)}']}}\n"
        for number, rule in enumerate(RULES)
    )
    return load(f"policy:\n  id: p\n  name: P\nchecks:\n{checks}")


def answer(baseline: ScaBaseline, stub: str = "") -> dict[str, str]:
    """Run a baseline's probes here, with `stub` before each; return rule -> verdict."""
    def run(probes: Sequence[Probe]) -> Snapshot:
        return ask(("dash",), [replace(p, root=False, command=f"{stub}\n{p.command}") for p in probes])

    snapshot = run(baseline.probes())
    if later := baseline.follow_up(snapshot):
        snapshot = replace(snapshot, evidence={**snapshot.evidence, **run(later).evidence})
    return {found.rule: found.verdict for found in baseline.evaluate(snapshot)}


@pytest.mark.parametrize("dialect", [pytest.param(4, marks=pytest.mark.soak), 5])
def test_a_broken_tool_of_the_probes_turns_no_verdict(dialect: int, tmp_path: Path) -> None:
    baseline = house(dialect, tmp_path / "at")
    right = answer(baseline)
    assert UNKNOWN not in right.values() and len({*right.values()}) == 3, right
    wrong, unknown = [], 0
    ways = WAYS if os.environ.get(SOAK) else {way: WAYS[way] for way in ("killed", "killed at once")}
    for tool in TOOLS:
        for way, body in ways.items():
            found = answer(baseline, f"{tool}() {{ {body.format(tool=tool)}; }}")
            unknown += sum(verdict == UNKNOWN for verdict in found.values())
            wrong += [f"{tool} {way}: {RULES[int(rule)]} {right[rule]} became {verdict}"
                      for rule, verdict in found.items() if verdict not in (right[rule], UNKNOWN)]
    assert unknown
    assert not wrong, "\n".join(wrong)


def spoilt(evidence: Evidence) -> Iterator[tuple[str, Evidence | None]]:
    """Yield ways in which one probe can fail; None = it is not there."""
    lines = evidence.output.splitlines(keepends=True)
    yield "not collected", None
    yield "late", replace(evidence, status=LOST, output="", reason="timeout after 60 s")
    yield "late with output", replace(evidence, status=LOST, reason="the connection was lost")
    yield "no root", replace(evidence, status=LOST, output="", reason="needs root")
    yield "guarded", replace(evidence, status=GUARDED, output="", reason="its condition failed")
    yield "empty", replace(evidence, output="")
    for part in (4, 2):
        cut = "".join(lines[: len(lines) - len(lines) // part])
        yield f"cut by 1/{part}", replace(evidence, output=cut, truncated=True)
        yield f"ended after all but 1/{part}", replace(evidence, output=cut)


def turned(baseline: ScaBaseline, snapshot: Snapshot) -> tuple[int, int, list[str]]:
    """Break each probe of a snapshot in each way; return (verdicts, unknown ones, those that turned)."""
    right = {f.rule: f.verdict for f in baseline.evaluate(snapshot)}
    tried = unknown = 0
    wrong = []
    for probe, evidence in snapshot.evidence.items():
        for way, broken in spoilt(evidence):
            others = {k: v for k, v in snapshot.evidence.items() if k != probe}
            found = baseline.evaluate(replace(snapshot, evidence=others | ({probe: broken} if broken else {})))
            for finding in found:
                tried += 1
                unknown += finding.verdict == UNKNOWN
                if finding.verdict not in (right[finding.rule], UNKNOWN, ERROR):
                    wrong.append(f"{probe} {way}: {finding.rule} {right[finding.rule]} became {finding.verdict}")
    return tried, unknown, wrong


@pytest.mark.parametrize("dialect", [4, 5])
def test_a_broken_probe_turns_no_verdict(dialect: int, tmp_path: Path) -> None:
    baseline = house(dialect, tmp_path / "at")
    snapshot = ask(("dash",), [replace(p, root=False) for p in baseline.probes()])
    more = ask(("dash",), [replace(p, root=False) for p in baseline.follow_up(snapshot)])
    tried, unknown, wrong = turned(baseline, replace(snapshot, evidence={**snapshot.evidence, **more.evidence}))
    assert tried and unknown
    assert not wrong, "\n".join(wrong)


@pytest.mark.lab
@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_broken_answer_of_a_host_turns_a_verdict(lab: Lab) -> None:
    (host,) = lab.up(1)
    tried = unknown = 0
    wrong: list[str] = []
    for path in policies():
        baseline = replace(read(path), requirements=None)
        snapshot = collect(host, list(baseline.probes()))
        assert all(e.status in (OK, NOT_APPLICABLE) for e in snapshot.evidence.values()), path
        if later := baseline.follow_up(snapshot):
            snapshot = replace(snapshot, evidence={**snapshot.evidence, **collect(host, list(later)).evidence})
        one = turned(baseline, snapshot)
        tried, unknown, wrong = tried + one[0], unknown + one[1], wrong + [f"{path.name} {w}" for w in one[2]]
    lab.down(host)
    print(f"{tried} verdicts with one probe broken, {unknown} unknown, {len(wrong)} turned")
    assert unknown
    assert not wrong, "\n".join(wrong[:40])
