"""A Plan: exactly what a rollout will do, host by host. A JSON document; read and written by model/codec.py.

A plan changes packages (Change) or repairs findings (Fix and HostFix); its `kind` tells which.
"""

from __future__ import annotations

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.facts import Artefact
from patchctl.model.hosts import HealthCheck
from patchctl.model.policy import Limits, Notify

PLAN_SCHEMA = "patchctl/plan-file/1"
PATCH, REMEDIATE = "patch", "remediate"


class Change(Struct, frozen=True):
    """One package from one exact version to another on one host. `pulled` = not approved itself, needed by one."""

    package: str
    arch: str
    from_version: str
    to_version: str
    sha256: str = ""
    origin: str = ""
    security: bool | None = None
    pulled: bool = False
    reason: str = ""
    """Which approval rule let it through, or what it is needed by."""
    carrier: str = ""
    """"" = a file of the plan, by sha256; else who fetches and verifies it on the host: windows-update."""
    replaces: str = ""
    """SHA-256 of the file of the version it starts from, where that is taken off before the other is put in place."""


class Fix(Struct, frozen=True):
    """How one rule's finding is repaired: the same on every host."""

    name: str
    """BASELINE/RULE"""
    baseline: str
    rule: str
    title: str
    severity: str
    kind: str
    """declarative (rendered by a check type: what it does is known before) | script | bash (only what it says is)"""
    script: str
    files: tuple[str, ...] = ()
    """Paths that are copied aside before it runs, besides those that a declarative fix names itself."""
    disruption: str = ""
    reboot: bool = False
    """It counts only after a reboot."""
    access: bool = False
    """It changes how people and we ourselves get in: taken back unless a new login proves that the door is open."""
    sets: tuple[tuple[str, str], ...] = ()
    """As Remediation.sets."""


class HostFix(Struct, frozen=True):
    """One fix on one host: what the finding was, and what repairing it would change."""

    name: str
    was: str
    """The finding's verdict when planned."""
    expected: str = ""
    actual: str = ""
    evidence: str = ""
    """Hash over what was found; a host where it differs at preflight has changed."""
    preview: tuple[str, ...] = ()
    """Lines of what changes, from what to what."""
    preview_unknown: str = ""
    """Why that could not be told before ("" = it could)."""
    waived: str = ""
    """Until when, by whom and why it is waived: it is repaired because that was asked for ("" = it is not waived)."""


class LeftFinding(Struct, frozen=True):
    """A finding that the plan does not repair."""

    name: str
    verdict: str
    severity: str
    state: str
    """waived | by-hand | unknown"""
    reason: str
    """Until when and why it is waived; what to do by hand; why it is not known."""


class PlannedBaseline(Struct, frozen=True):
    """What findings are judged by, again before and after the change."""

    name: str
    kind: str
    digest: str
    """Of the baseline that the findings were judged by."""
    reference: str
    """As given for --baseline; read again where `content` is empty, and refused if the digest differs."""
    content: str = ""
    """The rules concerned, as JSON of model/native.py: then nothing has to be read again."""
    parameters: tuple[tuple[str, str], ...] = ()
    tailoring: str = ""


class Undo(Struct, frozen=True):
    """How a host gets back to the versions that its plan starts from: known, or refused, before anything changes."""

    changes: tuple[Change, ...] = ()
    """The plan's changes backwards; `origin` says where each earlier version was found, `sha256` names its file."""
    removals: tuple[str, ...] = ()
    """Packages that the plan installs anew."""
    why_not: str = ""
    """Why the host cannot be rolled back, naming the packages; "" = it can, and all files are known by hash."""


class HostPlan(Struct, frozen=True):
    """What happens on one host. No changes = the host is already where the policy wants it."""

    host: str
    ring: str
    wave: int
    platform: str = ""
    changes: tuple[Change, ...] = ()
    removals: tuple[str, ...] = ()
    """Packages that must go for the changes; planned and shown, never a surprise."""
    not_approved: tuple[tuple[str, str, str], ...] = ()
    """(package, candidate, reason) of pending updates that this plan leaves alone."""
    reboot: str = "if_required"
    reboot_expected: bool | None = None
    reboot_reason: str = ""
    """Why a reboot is expected, or why that is not known."""
    skip: str = ""
    """Why the host is not touched ("" = it is): frozen, unreachable, unknown state ... with the reason."""
    skip_state: str = ""
    """Host state that goes with `skip`: skipped | frozen | unreachable | blocked."""
    failure: HostFailure | None = None
    """Why the host could not be looked at, where that is why it is skipped."""
    fingerprint: str = ""
    """Hash over the installed versions the changes start from; a host that differs at preflight has changed."""
    health: tuple[HealthCheck, ...] = ()
    boot_id: str = ""
    site: str = ""
    max_down: tuple[tuple[str, int], ...] = ()
    """(group, limit) for every group with max_down the host is in."""
    away_until: float | None = None
    """Unix time until which the host may be away without counting as unreachable; None = not at all."""
    late: bool = False
    """The run itself depends on this host (jump host, relay, controller): last and alone."""
    download_bytes: int = 0
    metadata_age: float | None = None
    """Seconds since the host's package lists were refreshed, when it was looked at."""
    notes: tuple[str, ...] = ()
    """What a reader must know about this host: broken packages, a freeze that has ended ..."""
    fixes: tuple[HostFix, ...] = ()
    findings_left: tuple[LeftFinding, ...] = ()
    undo: Undo | None = None
    """The way back; None = nobody has looked for one."""

    @property
    def changes_something(self) -> bool:
        """Whether packages are to be changed or removed, or findings repaired."""
        return bool(self.changes or self.removals or self.fixes)

    @property
    def work(self) -> int:
        """How many changes are planned, of packages or fixes."""
        return len(self.changes) + len(self.fixes)

    def backwards(self) -> HostPlan:
        """Return the plan that takes this one back. Without a known way back it changes nothing."""
        undo = self.undo or Undo()
        return replace(self, changes=undo.changes, removals=undo.removals)


class PlannedRing(Struct, frozen=True):
    name: str
    waves: tuple[tuple[str, ...], ...]
    windows: str = ""
    """Window text; "" = any time."""
    soak: float = 0.0
    approval: str = ""


class Plan(Struct, frozen=True):
    rollout: str
    """The rollout's id, e.g. 2026-11-monthly, unique in the store."""
    policy: str
    created_at: float
    created_by: str
    policy_digest: str
    membership_digest: str
    """Hash over the sorted host names that the policy selects."""
    timezone: str
    blackout: tuple[str, ...]
    rings: tuple[PlannedRing, ...]
    hosts: dict[str, HostPlan]
    artefacts: dict[str, Artefact]
    """By SHA-256."""
    limits: Limits
    concurrency: int
    """Hosts at work at once, resolved from limits.concurrency."""
    on_failure: str = "halt"
    notify: Notify = Notify()
    schema: str = PLAN_SCHEMA
    policy_source: str = ""
    inventory_sources: tuple[str, ...] = ()
    limit: str = ""
    """The --limit the plan was made with."""
    undoes: str = ""
    """The rollout that this one takes back ("" = it is none of that kind)."""
    next_due: float | None = None
    """Unix time at which the next update that is not approved yet becomes due."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know: policy keys without effect yet, hosts left out and why."""
    kind: str = PATCH
    """patch (packages) | remediate (findings)"""
    fixes: dict[str, Fix] = field(default_factory=dict)
    """BASELINE/RULE -> how it is repaired."""
    baselines: tuple[PlannedBaseline, ...] = ()
