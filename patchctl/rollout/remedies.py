"""What may be adjusted before a failed attempt is tried again, within the budget of limits.retries.

A retry without a reason to end differently is refused: the same signature with the same adjustments stops, unless the
evidence shows that something did change meanwhile (another process holds the lock, another package failed).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from patchctl.model.rollout import Diagnosis


class Step(Struct, frozen=True):
    """One escalation of a remedy."""

    adjustment: str
    """What the next attempt carries: known to the job kind of `phase`, which does something about it."""
    phase: str
    """start (done by the platform before the install, or its patience for the lock) | stage (by delivery) | "" (the
    delay is all there is to it)"""
    delay: float
    """Seconds to wait before the next attempt."""


class Remedy(Struct, frozen=True):
    name: str
    steps: tuple[Step, ...]
    """Tried in this order, one a retry."""
    adjusts: str
    """What it changes, in words."""
    proof: str
    """How one can tell that it changed something."""


class Retry(Struct, frozen=True):
    adjustments: tuple[str, ...]
    """All adjustments of the next attempt."""
    added: str
    """The one that is new ("" = none: only time has passed)."""
    delay: float


CATALOGUE: dict[str, Remedy] = {
    remedy.name: remedy
    for remedy in (
        Remedy(
            "wait-for-lock", (Step("wait-for-lock", "start", 30), Step("wait-longer-for-lock", "start", 300)),
            "waits for the package manager's lock, longer each time", "the lock has another holder, or none",
        ),
        Remedy(
            "dpkg-configure-a", (Step("dpkg-configure-a", "start", 5),),
            "runs `dpkg --configure -a` (configuration files are kept) before the install",
            "no package is half-installed or half-configured any more",
        ),
        Remedy(
            "fix-broken", (Step("fix-broken", "start", 5),),
            "lets apt complete what an earlier run left half-done, removing nothing", "no dependency is unmet any more",
        ),
        Remedy(
            "apt-clean", (Step("apt-clean", "start", 5),),
            "empties apt's own download cache", "there is more free space than before",
        ),
        Remedy(
            "pacman-unlock", (Step("pacman-unlock", "start", 5),),
            "removes pacman's lock if no process holds it, and lets files of a package that was cut off be overwritten",
            "the lock is gone and every planned package is in the database",
        ),
        Remedy(
            "rpm-remove-duplicates", (Step("rpm-remove-duplicates", "start", 5),),
            "removes the older of two versions that a cut transaction left side by side",
            "no package is there twice any more",
        ),
        Remedy(
            "rpm-rebuilddb", (Step("rpm-rebuilddb", "start", 5),),
            "builds the indexes of the rpm database anew", "rpm lists the installed packages again",
        ),
        Remedy(
            "dnf-clean", (Step("dnf-clean", "start", 5),),
            "empties dnf's own cache of packages", "there is more free space than before",
        ),
        Remedy(
            "refetch", (Step("refetch", "stage", 15), Step("deliver-from-controller", "stage", 60)),
            "drops what was downloaded and fetches it again, then sends it from the controller's cache",
            "every artefact has its planned SHA-256",
        ),
        Remedy(
            "wait", (Step("wait", "", 60), Step("wait-longer", "", 300)),
            "lets time pass, for links and mirrors that come back by themselves", "the error differs or is gone",
        ),
    )
}
_PHASES = {step.adjustment: step.phase for remedy in CATALOGUE.values() for step in remedy.steps}


def adjustments_for(kind: str, adjustments: Sequence[str]) -> tuple[str, ...]:
    """Return those adjustments that a job of this kind knows what to do with."""
    return tuple(name for name in adjustments if _PHASES.get(name) == kind)


def take_up(diagnosis: Diagnosis | None, adjustments: tuple[str, ...]) -> tuple[str, ...]:
    """Return what a host that somebody takes up again is adjusted with: what its last failure's remedy repairs.

    Without it a host whose policy allows no retry, or none more, would fail again as it did. Patience for a lock is not
    carried along: whoever takes a host up again has looked.
    """
    remedy = CATALOGUE.get(diagnosis.remedy) if diagnosis is not None and diagnosis.transient else None
    steps = remedy.steps if remedy is not None and remedy.name not in ("wait", "wait-for-lock") else ()
    known = tuple(step.adjustment for step in steps if step.adjustment in adjustments)
    return known or tuple(step.adjustment for step in steps[:1])


def choose_retry(
    diagnosis: Diagnosis,
    failures: Sequence[tuple[str, str, str]],
    adjustments: tuple[str, ...],
    retries: int,
    limit: int,
) -> Retry | None:
    """Return what to do differently next time, or None when a retry has no reason to end otherwise.

    `failures`: (signature, evidence, adjustments joined by ",") of the attempts so far, this one not included;
    `adjustments`: those this attempt had; `retries`: how many were made; `limit`: how many are allowed.
    """
    if not diagnosis.transient or retries >= limit:
        return None
    remedy = CATALOGUE.get(diagnosis.remedy)
    for step in remedy.steps if remedy else ():
        if step.adjustment not in adjustments:
            return Retry((*adjustments, step.adjustment), step.adjustment, step.delay)
    before = failures[-1] if failures else ("", "", "")
    repeated = before[0] == diagnosis.signature and before[2] == ",".join(adjustments)
    moved = before[0] == diagnosis.signature and before[1] != diagnosis.evidence
    if not moved and (repeated or remedy):
        return None
    return Retry(adjustments, "", remedy.steps[-1].delay if remedy else 30.0)
