"""Differences between what rules came to: one host at two times, or one host and its peers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct

from patchctl.assess.score import BAD, EARNED
from patchctl.model.assessment import FAIL, Finding

HOST, CONTENT, UNCLEAR, PEERS = "host", "content", "unclear", "peers"
"""What a difference comes from. UNCLEAR: the content changed too, and the earlier state cannot be judged by it."""
LEAST_PEERS = 5
"""Fewer hosts than this have no usual state."""
USUAL = 0.8
"""Share of hosts that must agree before the others differ."""


class Difference(Struct, frozen=True):
    """One rule that came out otherwise. `before` is the earlier finding, or what is usual among peers."""

    host: str
    baseline: str
    rule: str
    change: str
    """broke | repaired | lost (can no longer be judged) | changed (same verdict, other value) | other | new | gone"""
    cause: str
    before: Finding | None
    after: Finding | None
    peers: tuple[int, int] = (0, 0)
    """(hosts that are as usual, hosts compared), for cause `peers`."""

    @property
    def finding(self) -> Finding:
        """Return the later finding, or the earlier one where the rule is gone."""
        found = self.after or self.before
        assert found is not None, "a difference has two sides"
        return found


def compare(before: Sequence[Finding], after: Sequence[Finding], cause: str) -> list[Difference]:
    """Return how the findings of one host by one baseline differ, in the later ones' order, rules that went last."""
    old = {finding.rule: finding for finding in before}
    new = {finding.rule: finding for finding in after}
    found = []
    for rule in [*new, *(r for r in old if r not in new)]:
        change = name_change(old.get(rule), new.get(rule))
        if change:
            one = new.get(rule) or old[rule]
            found.append(Difference(one.host, one.baseline, rule, change, cause, old.get(rule), new.get(rule)))
    return found


def name_change(before: Finding | None, after: Finding | None) -> str:
    """Return the word for a change; "" = there is none."""
    if before is None or after is None:
        return "gone" if before is not None else "new" if after is not None else ""
    if before.verdict == after.verdict:
        return "" if _value(before) == _value(after) else "changed"
    if after.verdict == FAIL:
        return "broke"
    if after.verdict in BAD:
        return "lost"
    return "repaired" if after.verdict in EARNED and before.verdict in BAD else "other"


def compare_peers(findings: Mapping[str, Sequence[Finding]]) -> list[Difference]:
    """Return where hosts differ from what is usual among them. `findings`: host -> its findings by one baseline.

    Usual is what at least USUAL of at least LEAST_PEERS hosts share: verdict and value alike. Where hosts agree on
    nothing there is no usual state, and no difference.
    """
    by_rule: dict[str, list[Finding]] = {}
    for host in sorted(findings):
        for finding in findings[host]:
            by_rule.setdefault(finding.rule, []).append(finding)
    found = []
    for rule, all_of_it in by_rule.items():
        if len(all_of_it) < LEAST_PEERS:
            continue
        states = Counter((f.verdict, _value(f)) for f in all_of_it)
        (usual, count), *_ = states.most_common(1)
        if count < USUAL * len(all_of_it):
            continue
        example = next(f for f in all_of_it if (f.verdict, _value(f)) == usual)
        for finding in all_of_it:
            if (finding.verdict, _value(finding)) != usual:
                change = name_change(example, finding)
                found.append(Difference(
                    finding.host, finding.baseline, rule, change, PEERS, example, finding, (count, len(all_of_it))
                ))  # fmt: skip
    return found


def _value(finding: Finding) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What was read, without why it could not be: reasons name times and processes that differ each night."""
    return finding.actual, tuple((item.source, item.actual) for item in finding.items)
