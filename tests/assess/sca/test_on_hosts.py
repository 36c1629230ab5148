"""SCA policies on a real host: every one imports, nearly all checks come to a verdict, and a second reader agrees.

Own small policies always; Wazuh's policies too where PATCHCTL_SCA_POLICIES names a folder that holds them (from
github.com/wazuh/wazuh, folder ruleset/sca).
"""

from __future__ import annotations

import os
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from patchctl.assess.content.registry import kind_of
from patchctl.assess.content.sca.baseline import ScaBaseline
from patchctl.assess.contract import Request
from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.assessment import ERROR, NOT_APPLICABLE, NOT_CHECKED, UNKNOWN, Finding
from patchctl.model.evidence import Probe, Snapshot
from tests.assess.sca.ask import POLICIES
from tests.assess.sca.oracle import Oracle
from tests.conftest import SOAK
from tests.lab import Lab, LabHost

NONCE = "0123456789abcdef"
SAMPLE, SEED = 100, 20261125


def policies() -> list[Path]:
    """Return the policies for Linux that are at hand."""
    given = os.environ.get("PATCHCTL_SCA_POLICIES")
    more = sorted(Path(given).rglob("*.yml")) if given else []
    return [p for p in (*sorted(POLICIES.glob("lab-*.yml")), *more) if "win" not in p.name]


def read(path: Path) -> ScaBaseline:
    data = path.read_bytes()
    made = kind_of(path.name, data).compile(data, path.name, Request(path.stem))
    assert isinstance(made, ScaBaseline)
    return made


def collect(host: LabHost, probes: list[Probe]) -> Snapshot:
    script = compile_script(probes, NONCE).encode()
    done = subprocess.run(host.exec_argv("exec sh"), input=script, stdout=subprocess.PIPE)
    return parse_output(done.stdout, probes, NONCE, host=host.name, taken_at=0.0, as_root=True, seconds=0.0, lost="")


@dataclass
class Assessed:
    path: Path
    baseline: ScaBaseline
    snapshot: Snapshot
    findings: dict[str, Finding]


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[LabHost]:
    (one,) = lab.up(1)
    yield one
    lab.down(one)


@pytest.fixture(scope="module")
def assessed(host: LabHost) -> list[Assessed]:
    """Every policy on one host, without its requirements, so that policies for other systems are evaluated too."""
    found = []
    for path in policies():
        baseline = replace(read(path), requirements=None)
        snapshot = collect(host, list(baseline.probes()))
        if later := baseline.follow_up(snapshot):
            snapshot = replace(snapshot, evidence={**snapshot.evidence, **collect(host, list(later)).evidence})
        found.append(Assessed(path, baseline, snapshot, {f.rule: f for f in baseline.evaluate(snapshot)}))
    return found


@pytest.mark.parametrize("path", list(Path(os.environ.get("PATCHCTL_SCA_POLICIES", POLICIES)).rglob("*.yml")),
                         ids=lambda p: f"{p.parent.name}-{p.stem}")  # fmt: skip
def test_every_policy_at_hand_imports(path: Path) -> None:
    made = read(path)
    checks = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["checks"]
    assert len(made.rules) == len(checks)
    assert sum(1 for r in made.rules if r.limits) <= max(1, len(checks) // 50)
    assert len(made.probes()) <= 12, "a policy costs few probes"


@pytest.mark.lab
def test_nearly_all_checks_come_to_a_verdict(assessed: list[Assessed]) -> None:
    verdicts = Counter(f.verdict for a in assessed for f in a.findings.values())
    total = sum(verdicts.values())
    print(f"{total} checks of {len(assessed)} policies: {dict(verdicts)}")
    assert verdicts[ERROR] == 0
    assert (verdicts[UNKNOWN] + verdicts[NOT_CHECKED]) / total <= 0.02 + 1 / total
    for one in assessed:
        assert one.snapshot.complete
        assert not one.baseline.follow_up(one.snapshot)
        for finding in one.findings.values():
            doubtful = finding.verdict in (UNKNOWN, NOT_CHECKED, NOT_APPLICABLE)
            assert not doubtful or finding.reason, (one.path.name, finding.rule)


@pytest.mark.lab
def test_own_policies_hold_on_a_debian_host(assessed: list[Assessed]) -> None:
    four, five = assessed[0].findings, assessed[1].findings
    assert {r: f.verdict for r, f in four.items() if f.verdict != "PASS"} == {
        "1002": "NOT_APPLICABLE", "1008": "NOT_APPLICABLE", "1012": "NOT_CHECKED",
    }  # fmt: skip
    assert {r: f.verdict for r, f in five.items() if f.verdict != "PASS"} == {"2002": "NOT_APPLICABLE", "2008": "FAIL"}


@pytest.mark.lab
def test_a_sample_agrees_with_asking_the_host_directly(host: LabHost, assessed: list[Assessed]) -> None:
    def run(words: list[str]) -> tuple[int, bytes]:
        argv = host.exec_argv('exec "$@" 2>&1', *words)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=60)
        return done.returncode, done.stdout

    written: list[tuple[Assessed, dict[str, Any], dict[str, str]]] = []
    for one in assessed:
        document = yaml.load(one.path.read_bytes(), Loader=yaml.CSafeLoader)
        limited = {rule.id for rule in one.baseline.rules if rule.limits}
        for check in document["checks"]:
            if str(check["id"]) not in limited and check.get("regex_type") != "pcre2":
                written.append((one, check, document.get("variables") or {}))
    chosen = random.Random(SEED).sample(written, min(SAMPLE, len(written)))
    if os.environ.get(SOAK):
        chosen = written
    wrong = []
    for one, check, variables in chosen:
        finding = one.findings[str(check["id"])]
        direct = Oracle(one.baseline.dialect, run, variables).check(check["condition"], check["rules"])
        if direct != finding.verdict:
            wrong.append((one.path.name, check["id"], f"{finding.verdict}, not {direct}", check["rules"]))
    print(f"{len(chosen)} checks compared with the host itself, {len(wrong)} differ")
    assert not wrong
