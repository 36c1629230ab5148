"""Findings below the table of scores: what one host showed is not said of the others."""

from __future__ import annotations

from typing import Any

from patchctl.report.assessment import finding_lines


def finding(host: str, actual: str, reason: str = "", verdict: str = "FAIL") -> dict[str, Any]:
    return {"host": host, "baseline": "b", "rule": "r", "title": "T", "severity": "high", "verdict": verdict,
            "expected": "a line", "actual": actual, "reason": reason, "waiver": None}


def test_hosts_that_answered_alike_are_told_in_one_line() -> None:
    assert finding_lines([finding("a", "none"), finding("b", "none")]) == [
        "FAIL    high     r", "        T", "        on a, b", "        expected a line; found none"]


def test_where_hosts_answered_differently_it_says_whose_answer_is_shown() -> None:
    assert finding_lines([finding("a", "none"), finding("b", "no file"), finding("c", "none")])[2:] == [
        "        on a, b, c", "        a: expected a line; found none",
        "        otherwise on 1 of these 3 hosts: -o wide shows each"]
    unknown = finding_lines([finding("a", "", "timeout", "UNKNOWN"), finding("b", "", "needs root", "UNKNOWN")])
    assert unknown[3:] == ["        a: why: timeout", "        otherwise on 1 of these 2 hosts: -o wide shows each"]
