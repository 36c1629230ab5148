"""Puts waivers on findings, and tells what became of each waiver. A waived finding is still shown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from patchctl.assess.score import BAD
from patchctl.model.assessment import Finding, Waiver

ACTIVE, EXPIRED, UNUSED = "active", "expired", "unused"


class WaiverUse(Struct, frozen=True):
    """A waiver in one assessment: active (it covers findings), expired (they are back), unused (nothing to cover)."""

    waiver: Waiver
    state: str
    findings: int
    """Findings it covers, or would if it had not expired."""


def apply_waivers(
    findings: Sequence[Finding], waivers: Sequence[Waiver], members: Mapping[str, Collection[str]], now: float
) -> tuple[list[Finding], list[int]]:
    """Return the findings with the waiver that covers each, and for each waiver how many it covers (or would).

    Only findings that are not compliant can be waived. `members`: host pattern of a waiver -> names of hosts; `now`:
    Unix time. Of several waivers the one that ends last counts.
    """
    by_rule: dict[str, list[int]] = {}
    for index, waiver in enumerate(waivers):
        by_rule.setdefault(waiver.rule, []).append(index)
    covered = [0] * len(waivers)
    done = []
    for finding in findings:
        chosen: Waiver | None = None
        for index in by_rule.get(finding.rule, ()) if finding.verdict in BAD else ():
            waiver = waivers[index]
            if waiver.baseline not in ("", finding.baseline) or finding.host not in members[waiver.hosts]:
                continue
            covered[index] += 1
            if now < waiver.until_at and (chosen is None or waiver.until_at > chosen.until_at):
                chosen = waiver
        done.append(replace(finding, waiver=chosen) if chosen is not None else finding)
    return done, covered


def judge_waivers(waivers: Sequence[Waiver], covered: Sequence[int], now: float) -> list[WaiverUse]:
    """Return what became of each waiver, given how many findings it covers (or would)."""
    return [
        WaiverUse(waiver, UNUSED if not count else EXPIRED if now >= waiver.until_at else ACTIVE, count)
        for waiver, count in zip(waivers, covered, strict=True)
    ]
