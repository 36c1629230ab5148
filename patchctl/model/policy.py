"""A patch policy as read from policies/*.yaml: who, what is approved, in which rings, under which limits."""

from __future__ import annotations

from msgspec import Struct, field

from patchctl.model.hosts import HealthCheck

CLASSIFICATIONS = (
    "security-updates", "critical-updates", "definition-updates", "update-rollups", "updates", "upgrades", "drivers",
    "feature-packs", "service-packs", "tools", "applications", "connectors", "developer-kits", "guidance",
)
"""What updates of Windows are filed under, Microsoft's own terms in small letters."""


class ApprovalRule(Struct, frozen=True):
    """Conditions of one approve or reject entry; all that are set must hold. The first match wins."""

    package: str = ""
    """Shell-style pattern on the package name; "" = any."""
    security: bool | None = None
    known_exploited: bool | None = None
    severity: str = ""
    """Minimum: low | medium | important | critical."""
    after: float = 0.0
    """Seconds the update must have been known before it is approved."""
    hosts: str = ""
    """Limit pattern; "" = every host of the policy."""
    reason: str = ""
    until: str = ""
    """Date (YYYY-MM-DD) after which the entry no longer holds; "" = no end."""
    classifications: tuple[str, ...] = ()
    """The update is filed under one of these; () = any."""


class Approval(Struct, frozen=True):
    """What a policy says about one update on one host, and why."""

    status: str
    """approved | pending (no rule) | rejected | deferred (due later) | phased | held"""
    reason: str
    """Cites the rule, and tells when the update becomes due."""
    due: float | None = None
    """Unix time at which a deferred update is approved, or a rejection ends; None = now, never or not known."""
    rule: str = ""
    """approve[2] or reject[1], counted from 1; "" = no rule decided."""


class WindowSpec(Struct, frozen=True):
    """When a ring may start hosts. Text as written, e.g. "2nd tue +1d 20:00 4h"; parsed by rollout/windows.py."""

    text: str


class RingSpec(Struct, frozen=True):
    """One ring: `hosts` (limit pattern) or `size` ("5", "10%", "rest"); both = that many of those hosts."""

    name: str
    hosts: str = ""
    size: str = ""
    window: WindowSpec | None = None
    soak: float = 0.0
    """Seconds that must pass after the ring's last host succeeded before the next ring may begin."""
    approval: str = ""
    """"" | operator | second-person: a recorded approval is needed before the ring starts."""


CONFIRM_RANGE = (30.0, 3600.0)
"""Least and most seconds of Limits.confirm: a login takes its time, and who is locked out waits that long."""


class Limits(Struct, frozen=True):
    """Budgets as N or "N%". Crossing one halts the rollout; reaching it does not ("3/40, limit 4")."""

    concurrency: str = "10%"
    errors: str = "0"
    unreachable: str = "5%"
    changed: str = "5%"
    host_time: float = 5400.0
    """Seconds one host may take from its start until verified."""
    retries: int = 2
    """Retries of a transient failure per host."""
    confirm: float = 180.0
    """Seconds in which the controller must log in anew after a fix that concerns the way in, or the host takes it
    back; CONFIRM_RANGE."""


class Notify(Struct, frozen=True):
    """Where news of the rollout goes: a command (argv words) or mailto:ADDRESS."""

    halted: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()


class PackageOffer(Struct, frozen=True):
    """A file that a policy offers to hosts whose package manager has no repository: Windows programs and updates."""

    package: str
    """The program's name as `scan` shows it, or a KB number."""
    version: str
    uri: str
    """http or https."""
    sha256: str
    size: int
    filename: str
    security: bool | None = None
    severity: str = ""
    uninstall: str = ""
    """How it is taken off again: a program with its arguments (.exe), `dism` (an update that is known to let go)."""


class Policy(Struct, frozen=True):
    name: str
    hosts: str = "all"
    """Limit pattern."""
    owner: str = ""
    approve: tuple[ApprovalRule, ...] = ()
    reject: tuple[ApprovalRule, ...] = ()
    remove: tuple[ApprovalRule, ...] = ()
    """What approved updates may replace or remove: of each rule, package, hosts and reason count."""
    timezone: str = "UTC"
    blackout: tuple[str, ...] = ()
    """Date ranges YYYY-MM-DD/YYYY-MM-DD, both days included, in the policy's time zone."""
    rings: tuple[RingSpec, ...] = ()
    limits: Limits = Limits()
    reboot: str = "if_required"
    """never | if_required | always"""
    on_failure: str = "halt"
    """halt | continue (within limits.errors) | rollback (where the platform can)"""
    health: tuple[HealthCheck, ...] = ()
    notify: Notify = Notify()
    offers: tuple[PackageOffer, ...] = ()
    refresh: str = "auto"
    stage: float = 0.0
    """Seconds before a ring's window at which artefacts may be delivered."""
    deadline: tuple[tuple[str, float], ...] = ()
    bundle: str = ""
    source: str = ""
    """File it was read from."""
    digest: str = ""
    """SHA-256 of the file's content: a plan made from another digest is stale."""
    extra: tuple[tuple[str, object], ...] = field(default=())
    """Accepted keys whose feature is not built yet, so that they can be named, never silently dropped."""
