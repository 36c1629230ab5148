"""Baselines that come with patchctl: every rule says why, what it serves, and has a passing and a failing case."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

BASELINES = Path(__file__).resolve().parents[2] / "baselines"
EXAMPLE = "ssh-server"
"""A small one to start from; it leaves references out."""


@pytest.mark.parametrize("path", sorted(BASELINES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_rule_says_why_and_has_both_cases(path: Path) -> None:
    rules = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["rules"]
    beside = BASELINES / "tests" / path.name
    cases = yaml.load(beside.read_bytes(), Loader=yaml.CSafeLoader)["cases"] if beside.exists() else {}
    assert len({rule["id"] for rule in rules}) == len(rules)
    for rule in rules:
        expected = {case["expect"] for case in rule.get("tests", ())}
        expected |= {verdict for verdict, end in (("PASS", "pass"), ("FAIL", "fail")) if f"{rule['id']}.{end}" in cases}
        assert expected >= {"PASS", "FAIL"}, rule["id"]
        assert len(rule["title"]) <= 100 and rule.get("rationale", "").endswith((".", ".)")), rule["id"]
        assert rule.get("references") or path.stem == EXAMPLE, rule["id"]
