"""Rule, Finding, Waiver, Score: the values between baselines of any kind, snapshots, the store and reports."""

from __future__ import annotations

from msgspec import Struct, field

PASS, FAIL, ERROR, UNKNOWN, NOT_APPLICABLE = "PASS", "FAIL", "ERROR", "UNKNOWN", "NOT_APPLICABLE"
NOT_CHECKED, NOT_SELECTED, INFORMATIONAL, FIXED = "NOT_CHECKED", "NOT_SELECTED", "INFORMATIONAL", "FIXED"
VERDICTS = (PASS, FAIL, ERROR, UNKNOWN, NOT_APPLICABLE, NOT_CHECKED, NOT_SELECTED, INFORMATIONAL, FIXED)
"""XCCDF 1.2 section 6.6.4.4 (result types), in our words. Never merged, never mapped to one another."""

SEVERITIES = ("unknown", "info", "low", "medium", "high", "critical")


class Remediation(Struct, frozen=True):
    """How a rule's finding can be repaired. A native check type may render `script` from what it checks."""

    kind: str
    """declarative (rendered by the check type) | script (sh -eu) | bash (SCAP content: goes on after errors)"""
    script: str = ""
    """Text for the host's shell; exit code 0 = done. Idempotent."""
    files: tuple[str, ...] = ()
    """Paths the script may change: copied aside before it runs."""
    disruption: str = ""
    """What it interrupts, in words: "restarts sshd" ("" = nothing known)."""
    reboot: bool = False
    """The change counts only after a reboot."""
    sets: tuple[tuple[str, str], ...] = ()
    """(source of an item, what it will be), where that is known without asking the host again."""


class Rule(Struct, frozen=True):
    """One rule of a baseline, whatever its content's own language is."""

    id: str
    title: str
    severity: str = "unknown"
    description: str = ""
    rationale: str = ""
    references: tuple[tuple[str, str], ...] = ()
    """(system, identifier): ("cis", "5.2.1"), ("stig", "V-238196")."""
    groups: tuple[str, ...] = ()
    """Titles of the groups it stands in, outermost first."""
    weight: float = 1.0
    group_weights: tuple[float, ...] = ()
    remediation: Remediation | None = None
    limits: tuple[str, ...] = ()
    """Constructs of this rule that are not interpreted, each named; a rule with limits may end as NOT_CHECKED."""
    group_ids: tuple[str, ...] = ()
    """What tells groups of one title apart, as many as `groups`; () where titles do."""


class Item(Struct, frozen=True):
    """One thing that was looked at: where, what it should be, what it was."""

    source: str
    """Where it was read: a path, `sshd -T`, `sysctl kernel.x` ..."""
    expected: str = ""
    actual: str = ""
    ok: bool | None = None
    """None = it could not be told."""


class Waiver(Struct, frozen=True):
    """Why a finding is accepted for a time. Always shown; never hides a finding."""

    reason: str
    approver: str
    until: str
    """RFC 3339 with time zone."""
    rule: str = ""
    hosts: str = "all"
    source: str = ""
    """file:line it was read from."""
    granted: str = ""
    """Day it was granted, YYYY-MM-DD."""
    baseline: str = ""
    """Only findings of this baseline; "" = of any."""
    until_at: float = 0.0
    """`until` as Unix time: from this second on the finding is back."""


class Finding(Struct, frozen=True):
    """What one rule came to on one host at one time."""

    host: str
    baseline: str
    rule: str
    verdict: str
    title: str = ""
    severity: str = "unknown"
    expected: str = ""
    actual: str = ""
    items: tuple[Item, ...] = ()
    reason: str = ""
    """Why it is UNKNOWN, ERROR, NOT_APPLICABLE or NOT_CHECKED, in words."""
    collected_at: float = 0.0
    """Unix time of the snapshot it was read from."""
    waiver: Waiver | None = None


class Score(Struct, frozen=True):
    """Counts and a score of 0 to 100 for one host, group or fleet and one baseline; None = nothing applied."""

    host: str
    baseline: str
    counts: dict[str, int] = field(default_factory=dict)
    """Verdict -> number of rules."""
    score: float | None = None
    model: str = "default"
    """XCCDF scoring model: default | flat | flat-unweighted | absolute (XCCDF 1.2 section 7.3)."""
