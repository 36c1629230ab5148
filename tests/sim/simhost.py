"""A simulated host that keeps the runner's protocol: fence, veto, one claim per attempt, reboots, a package state.

tests/sim/test_fidelity.py puts the same questions to it and to the real runner. What goes wrong on a host is its
Scenario, tied to what happens on the host (the second start, 5 s into the install), never to the controller's calls,
so that a run with a crash and one without meet the same troubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

STORE = "store-a"


class Scenario(Struct, frozen=True):
    """What is special about a host. The default is a host on which everything works."""

    name: str = "clean"
    install: float = 20.0
    """Seconds the package manager takes."""
    failures: int = 0
    """So many installs fail first (-1 = all) ..."""
    failure_log: str = ""
    """... with this last line of log."""
    done_all_the_same: bool = False
    """What fails says so only after everything is in place."""
    half_done: bool = False
    """What fails leaves the new version half-configured."""
    reboot_required: bool = False
    boot_time: float = 30.0
    """Seconds until it answers again after a reboot; inf = never."""
    cut: tuple[float, float] = (0.0, 0.0)
    """Seconds after an install's start between which nobody can log in (sshd is being upgraded)."""
    power_cut: float = 0.0
    """Seconds into the first install at which the host loses power (0 = never); it comes back by itself."""
    changed: bool = False
    done: bool = False
    veto: bool = False
    gone: str = ""
    """HostFailure status of every visit: unreachable, auth-failed, host-key ..."""
    late_by: float = 0.0
    """Seconds from the first visit during which it does not answer."""
    disk_full: bool = False
    unhealthy: bool = False
    lost_replies: tuple[str, ...] = ()
    """Job kinds whose first reply is lost after it took effect."""
    foreign: bool = False
    """The fence belongs to another store."""
    undo_failures: int = 0
    """So many installs of the earlier version fail first (-1 = all)."""
    undo_power_cut: float = 0.0
    """Seconds into the first of them at which the host loses power (0 = never)."""
    unhealthy_for_good: bool = False
    """Its service stays down with the earlier version too."""
    no_way_back: bool = False
    """The plan knows no earlier version (tests/sim/fleet.py)."""


@dataclass
class Claim:
    attempt: str
    at: float
    boot: int
    ends: float
    rc: int
    log: str
    state: str = "running"
    target: str = "2.0"
    changes: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Refusal(Exception):  # noqa: N818 - it is an answer, not a bug
    """The visit failed before the request got to the host."""

    status: str


class SimHost:
    """State of one host; `visit` answers a request at a moment of virtual time."""

    def __init__(self, name: str, scenario: Scenario) -> None:
        self.name, self.scenario = name, scenario
        self.fence: tuple[str, int] | None = ("store-b", 1) if scenario.foreign else None
        self.fence_attempt = ""
        self.veto = scenario.veto
        self.boot, self.down_until = 1, 0.0
        self.claims: dict[str, Claim] = {}
        self.installs: list[tuple[str, float]] = []
        self.undos = 0
        self.overlaps = 0
        self.version = "2.0" if scenario.done else "1.5" if scenario.changed else "1.0"
        self.half_done = False
        self.needs_reboot = False
        self.staged = False
        self.first_visit: float | None = None
        self.lost: set[str] = set()
        self.reboots = 0

    @property
    def boot_id(self) -> str:
        return f"{self.boot:08d}-0000-4000-8000-000000000000"

    def advance(self, now: float) -> None:
        """Let the host live until `now`: installs end, the power fails, reboots end."""
        for claim in self.claims.values():
            if claim.state != "running":
                continue
            undoing = claim.target == "1.0"
            cut = self.scenario.undo_power_cut if undoing else self.scenario.power_cut
            first = self.undos == 1 if undoing else len(self.installs) == 1
            failing_at = claim.at + cut
            if cut and first and failing_at <= min(now, claim.ends):
                claim.state, self.half_done = "interrupted", True
                self._restart(failing_at)
            elif claim.ends <= now:
                claim.state = "finished"
                failing = claim.rc != 0
                if not failing or self.scenario.done_all_the_same or self.scenario.half_done:
                    self.half_done = failing and self.scenario.half_done
                    change = {"package": "openssl", "arch": "amd64", "from": self.version, "to": claim.target}
                    claim.changes = [change] if self.version != claim.target else []
                    self.version = claim.target
                    self.needs_reboot = self.needs_reboot or self.scenario.reboot_required

    def reach(self, now: float) -> None:
        """Raise Refusal when nobody can log in now."""
        self.advance(now)
        if self.first_visit is None:
            self.first_visit = now
        if self.scenario.gone:
            raise Refusal(self.scenario.gone)
        begin, end = self.scenario.cut
        cut = any(begin <= now - at < end for _, at in self.installs)
        if now < self.down_until or now < self.first_visit + self.scenario.late_by or cut:
            raise Refusal("unreachable")

    def loses_reply(self, kind: str) -> bool:
        """Whether this reply gets lost on its way (each kind of the scenario once)."""
        if kind in self.scenario.lost_replies and kind not in self.lost:
            self.lost.add(kind)
            return True
        return False

    # --- the runner's requests

    def start(
        self, attempt: str, token: int, store: str, now: float, adjustments: tuple[str, ...] = (), *, undo: bool = False
    ) -> tuple[str, str]:
        """Return (state, holder or reason) as the runner's START does, in its order of checks."""
        self.advance(now)
        if self.fence is not None and self.fence[0] != store:
            return "fenced", self.fence[0]
        if attempt in self.claims or self._used_up(attempt):
            return "adopted", ""
        if self.fence is not None and self.fence[1] > token:
            return "fenced", f"token {self.fence[1]}"
        if self.veto:
            return "veto", "maintenance"
        if any(claim.state == "running" for claim in self.claims.values()):
            self.overlaps += 1
            return "failed", "busy"
        self.fence, self.fence_attempt = (store, token), attempt
        self.installs.append((attempt, now))
        self.undos += undo
        limit = self.scenario.undo_failures if undo else self.scenario.failures
        count = self.undos if undo else len(self.installs)
        failing = limit < 0 or count <= limit
        rc, log = (100, self.scenario.failure_log) if failing else (0, "done")
        if self.half_done and "dpkg-configure-a" not in adjustments:
            rc, log = 100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"
        target = "1.0" if undo else "2.0"
        self.claims[attempt] = Claim(attempt, now, self.boot, now + self.scenario.install, rc, log, target=target)
        return "started", ""

    def poll(self, attempt: str, now: float) -> str:
        """Return the runner's word for the attempt: running, finished, interrupted, absent."""
        self.advance(now)
        if attempt in self.claims:
            return self.claims[attempt].state
        return "interrupted" if self._used_up(attempt) else "absent"

    def _used_up(self, attempt: str) -> bool:
        """Whether the fence names this attempt or a later one of the same rollout."""
        family, _, number = attempt.rpartition(".")
        last_family, _, last_number = self.fence_attempt.rpartition(".")
        return family == last_family and int(number) <= int(last_number)

    def reboot(self, expected: str, now: float) -> str:
        self.advance(now)
        if expected != self.boot_id:
            return "rebooted"
        if self.veto or any(claim.state == "running" for claim in self.claims.values()):
            return "failed"
        self._restart(now)
        self.reboots += 1
        return "requested"

    def cleanup(self, attempt: str, now: float) -> str:
        self.advance(now)
        if attempt in self.claims and self.claims[attempt].state == "running":
            return "failed"
        family, _, number = attempt.rpartition(".")
        for name in list(self.claims):
            its_family, _, its_number = name.rpartition(".")
            if its_family == family and int(its_number) <= int(number) and self.claims[name].state != "running":
                del self.claims[name]
        self.staged = False
        return "clean"

    def _restart(self, at: float) -> None:
        self.boot += 1
        self.down_until = at + self.scenario.boot_time
        self.needs_reboot = False
        for claim in self.claims.values():
            if claim.state == "running":
                claim.state = "interrupted"
