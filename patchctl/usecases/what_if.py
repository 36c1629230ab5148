"""What another baseline would say of hosts as they are recorded: who would newly fail or pass. No host is touched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct

from patchctl.assess.contract import Baseline
from patchctl.assess.score import BAD, EARNED
from patchctl.assess.waivers import apply_waivers
from patchctl.model.assessment import FAIL, Finding, Waiver
from patchctl.model.evidence import Snapshot
from patchctl.model.hosts import Host
from patchctl.usecases.assess import assess_snapshot
from patchctl.usecases.scan import shell_of


class Outlook(Struct, frozen=True):
    """One host by the old and the new baselines. Rules by id; a rule that only one side has counts there only.

    A finding that a waiver would cover is among the others, with its waiver.
    """

    host: str
    collected: bool
    """False: there is no snapshot of it, so nothing can be said."""
    fails: tuple[Finding, ...] = ()
    """FAIL by the new, and not by the old."""
    unknown: tuple[Finding, ...] = ()
    """UNKNOWN or ERROR by the new, and not by the old: mostly what was never collected."""
    passes: tuple[Finding, ...] = ()
    """PASS by the new, and not compliant by the old."""
    before: float | None = None
    after: float | None = None
    """Scores; None = nothing applied."""


class Accepted(Struct, frozen=True):
    """The waivers of a project, and the hosts that each one's pattern means."""

    waivers: Sequence[Waiver]
    members: Mapping[str, Collection[str]]


def look_ahead(
    hosts: Sequence[Host], recorded: Mapping[str, Snapshot], old: Baseline, new: Baseline, accepted: Accepted,
    now: float, model: str = "default",
) -> list[Outlook]:  # fmt: skip
    """Judge each recorded snapshot by both baselines and return what would be otherwise; waivers count as of `now`."""
    return [_look(host, recorded.get(host.name), old, new, accepted, now, model) for host in hosts]


def _look(
    host: Host, snapshot: Snapshot | None, old: Baseline, new: Baseline, accepted: Accepted, now: float, model: str
) -> Outlook:
    if snapshot is None or not snapshot.evidence:
        return Outlook(host.name, False)
    one = assess_snapshot(snapshot, shell_of(host), [old], model)
    other = assess_snapshot(snapshot, shell_of(host), [new], model)
    was = {finding.rule: finding.verdict for finding in one.findings}
    found, _ = apply_waivers(other.findings, accepted.waivers, accepted.members, now)
    return Outlook(
        host.name, True,
        tuple(f for f in found if f.verdict == FAIL and was.get(f.rule) != FAIL),
        tuple(f for f in found if f.verdict in BAD and f.verdict != FAIL and was.get(f.rule) != f.verdict),
        tuple(f for f in found if f.verdict in EARNED and was.get(f.rule) in BAD),
        one.scores[0].score, other.scores[0].score,
    )  # fmt: skip
