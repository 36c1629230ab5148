"""Virtual time, the executor that lives in it, and a journal that can be told to crash its controller."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from patchctl.model.errors import HostFailure, StoreError
from patchctl.model.rollout import Event, HostJob, JobOutcome
from tests.sim.simhost import STORE, Refusal, SimHost


class Crash(BaseException):
    """The controller dies here, as with kill -9. Not an Exception: nothing may catch it."""


@dataclass(frozen=True)
class Kill:
    """Die at the nth append or submit of a run. at: append-before | append-after | submit-before | submit-after."""

    at: str
    nth: int

    def __str__(self) -> str:
        return f"{self.at}:{self.nth}"

    @classmethod
    def parse(cls, text: str) -> Kill:
        at, _, nth = text.partition(":")
        return cls(at, int(nth))


class World:
    """The clock, the hosts and everything that is under way between them."""

    def __init__(self, seed: int, hosts: Sequence[SimHost], start: float) -> None:
        self.seed, self.time = seed, start
        self.hosts = {host.name: host for host in hosts}
        self.tokens = 0
        self.problems: list[str] = []
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time

    def next_token(self) -> int:
        self.tokens += 1
        return self.tokens

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.time + seconds, next(self._order), act))

    def advance(self, until: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until `until`, or until `stop` holds after something happened."""
        while self._due and self._due[0][0] <= until and not stop():
            at, _, act = heapq.heappop(self._due)
            self.time = max(self.time, at)
            act()
        if not stop():
            self.time = max(self.time, until)

    def chance(self, *words: object) -> float:
        """Return a number in [0, 1) that depends on the seed and the words only."""
        return random.Random(repr((self.seed, *words))).random()


@dataclass
class Controls:
    """Counts one controller's steps and kills it where asked; `between` runs a rival in the middle of an append."""

    kill: Kill | None = None
    stop_after: int | None = None
    between: dict[int, Callable[[], object]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def step(self, at: str) -> None:
        self.counts[at] = self.counts.get(at, 0) + 1
        if self.kill is not None and self.kill == Kill(at, self.counts[at]):
            raise Crash(str(self.kill))

    def requested(self) -> bool:
        return self.stop_after is not None and self.counts.get("append-after", 0) >= self.stop_after


class SimJournal:
    """ports.Journal in memory, shared by all controllers; `through` gives one controller's view."""

    def __init__(self) -> None:
        self.written: list[Event] = []
        self.starts: set[str] = set()
        """Attempts whose start is intended durably."""

    def events(self, rollout: str, after: int = 0) -> Sequence[Event]:
        return self.written[after:]

    def append(self, events: Sequence[Event]) -> None:
        if [event.seq for event in events] != [len(self.written) + 1 + i for i in range(len(events))]:
            raise StoreError("journal-conflict", "another controller wrote")
        self.written.extend(events)
        self.starts.update(e.data["attempt"] for e in events if e.kind == "job-intended" and e.data["kind"] == "start")

    def through(self, controls: Controls) -> SimJournalView:
        return SimJournalView(self, controls)


class SimJournalView:
    def __init__(self, journal: SimJournal, controls: Controls) -> None:
        self._journal, self._controls = journal, controls

    def events(self, rollout: str, after: int = 0) -> Sequence[Event]:
        return self._journal.events(rollout, after)

    def append(self, events: Sequence[Event]) -> None:
        self._controls.step("append-before")
        rival = self._controls.between.pop(self._controls.counts["append-before"], None)
        if rival is not None:
            rival()
        self._journal.append(events)
        self._controls.step("append-after")


class SimExecutor:
    """ports.Executor in virtual time. A visit takes effect some time after it was sent, its answer comes later."""

    def __init__(self, world: World, journal: SimJournal, controls: Controls) -> None:
        self._world, self._journal, self._controls = world, journal, controls
        self._answers: list[JobOutcome] = []
        self._out = 0
        self.dead = False

    def submit(self, job: HostJob) -> None:
        self._controls.step("submit-before")
        self._out += 1
        way = 0.05 + self._world.chance("way", job.host, job.kind, job.id)
        self._world.after(way, lambda: self._arrive(job))
        self._controls.step("submit-after")

    def collect(self, timeout: float) -> list[JobOutcome]:
        self._world.advance(self._world.time + max(timeout, 0.0), lambda: bool(self._answers))
        answers, self._answers = self._answers, []
        self._out -= len(answers)
        return answers

    def in_flight(self) -> int:
        return self._out

    def _arrive(self, job: HostJob) -> None:
        """The request gets to the host. A dead controller's request does so only sometimes."""
        if self.dead and self._world.chance("zombie", job.id) < 0.5:
            return
        host, now = self._world.hosts[job.host], self._world.time
        try:
            host.reach(now)
            outcome = perform(host, job, now, self._check_intent)
        except Refusal as refusal:
            status = refusal.status
            result = "unreachable" if status in ("unreachable", "timeout") else "failed"
            if job.kind in ("poll", "boot", "verify", "start"):
                result = "unreachable"
            failure = HostFailure(status, f"{job.host}: {status}", "", status)
            outcome = JobOutcome(job.id, job.host, job.kind, result, job.attempt, failure)
        else:
            if host.loses_reply(job.kind):
                failure = HostFailure("link-lost", "the link dropped", "", "unreachable")
                outcome = JobOutcome(job.id, job.host, job.kind, "unreachable", job.attempt, failure)
        self._world.after(0.05 + self._world.chance("back", job.id), lambda: self._answers.append(outcome))

    def _check_intent(self, job: HostJob) -> None:
        """An install may only ever begin for an intent that is durable already."""
        if job.attempt not in self._journal.starts:
            self._world.problems.append(f"{job.host}: {job.attempt} was started without a durable intent")


def perform(host: SimHost, job: HostJob, now: float, on_start: Callable[[HostJob], None]) -> JobOutcome:
    """Carry a job out on a host, as usecases/hostjobs.py does with the real runner."""
    data: dict[str, object] = {"boot_id": host.boot_id}
    result, error = "ok", None
    if job.kind == "preflight":
        result = _preflight(host, bool(job.previous), _target(job))
        data.update(health_before=[{"kind": "unit", "target": "app", "ok": True, "detail": ""}])
        if result == "changed":
            data["changed"] = [f"openssl: planned 1.0, found {host.version}"]
    elif job.kind == "stage":
        if host.scenario.disk_full:
            result, error = "failed", HostFailure("disk-full", "no space left on /var (3 MB free)")
        host.staged = not host.scenario.disk_full
    elif job.kind == "start":
        result, said = host.start(job.attempt, job.token, STORE, now, job.adjustments, undo=job.undo)
        data["holder"] = said
        if result == "started":
            on_start(job)
        if result == "failed":
            error = HostFailure("busy", said)
    elif job.kind == "poll":
        result = host.poll(job.attempt, now)
        claim = host.claims.get(job.attempt)
        if claim is not None:
            data.update(step="install", rc=claim.rc if result == "finished" else None, log=claim.log)
            data["changes"] = claim.changes if result == "finished" else []
    elif job.kind == "reboot":
        result = host.reboot(job.boot_id, now)
        data["boot_id"] = host.boot_id if result == "rebooted" else job.boot_id
    elif job.kind == "boot":
        result = "rebooted" if host.boot_id != job.boot_id else "waiting"
    elif job.kind == "verify":
        result = _verify(host, data, _target(job))
    elif job.kind == "cleanup":
        result = "ok" if host.cleanup(job.attempt, now) == "clean" else "failed"
    return JobOutcome(job.id, job.host, job.kind, result, job.attempt, error, dict(data))


def _target(job: HostJob) -> str:
    return "1.0" if job.undo else "2.0"


def _preflight(host: SimHost, resuming: bool, target: str) -> str:
    if host.veto:
        return "veto"
    if host.version == target and not host.half_done:
        return "done"
    return "changed" if host.scenario.changed and not resuming else "ok"


def _verify(host: SimHost, data: dict[str, object], target: str) -> str:
    pending = [] if host.version == target and not host.half_done else [f"openssl {host.version} -> {target}"]
    broken = ["openssl: half-configured"] if host.half_done else []
    sick = host.scenario.unhealthy and (host.version == "2.0" or host.scenario.unhealthy_for_good)
    regressed = ["unit app: unhealthy"] if sick else []
    data.update(
        pending=pending, health_after=[], health_regressed=regressed, reboot_required=host.needs_reboot,
        reboot_reasons=["kernel"] if host.needs_reboot else [], failed_units_new=[], snapshot="", broken=broken,
    )
    return "failed" if pending or regressed else "ok"
