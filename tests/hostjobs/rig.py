"""Everything a host job needs, around real hosts: inventory, connections, store, and a plan made from a scan."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from patchctl.connect.connections import Connections
from patchctl.connect.credentials import Secrets
from patchctl.deliver.cache import ArtefactCache
from patchctl.model.codec import from_json, to_json
from patchctl.model.fingerprint import planned_fingerprint
from patchctl.model.hosts import Connection, HealthCheck, Host, Inventory, Timeouts
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing
from patchctl.model.policy import Limits
from patchctl.model.rollout import HostJob, JobOutcome
from patchctl.platforms import read_facts
from patchctl.store.database import Store, open_store
from patchctl.usecases.hostjobs import HostVisits
from patchctl.usecases.scan import collect_snapshot
from tests.lab import LabHost

TIMEOUTS = Timeouts(connect=3, silence=60, total=120)


class WallClock:
    def now(self) -> float:
        return time.time()


class Rig:
    """A controller in `folder` for these lab hosts. `plan_for` scans a host and plans the named packages."""

    def __init__(self, folder: Path, hosts: Sequence[LabHost], known_hosts: Path) -> None:
        self.folder = folder
        self.lab = {host.name: host for host in hosts}
        self.inventory = Inventory({
            host.name: Host(host.name, Connection(
                address=host.address, port=host.port, user="ops", keys=(str(host.key),), timeouts=TIMEOUTS))
            for host in hosts
        }, {}, {})
        self.connections = Connections(
            self.inventory, known_hosts=[known_hosts], ssh_config=None, secrets=Secrets(None, None))
        self.cache = ArtefactCache(folder / "cache")
        self.store: Store = open_store(f"sqlite:///{folder}/state.db")
        self.clock = WallClock()
        self.rollout = f"test-{secrets.token_hex(3)}"
        self.token = 1
        self.boot_id = ""
        self._jobs = 0

    def close(self) -> None:
        self.connections.close()
        self.store.close()

    def plan_for(
        self, names: Sequence[str], *, health: tuple[HealthCheck, ...] = (), packages: Sequence[str] = ()
    ) -> None:
        """Plan these packages' pending updates on these hosts (none = all of them), and take the plan as ours."""
        plans: dict[str, HostPlan] = {}
        artefacts = {}
        for name in names:
            with closing(self.connections.open(self.inventory.hosts[name])) as session:
                facts = read_facts(collect_snapshot(session, "auto", self.clock))
            assert facts.updates is not None, facts.unknown
            files = {(a.package, a.version): a for a in facts.artefacts}
            changes = tuple(
                Change(u.package, u.arch, u.installed, u.candidate, files[u.package, u.candidate].sha256, u.origin)
                for u in facts.pending() or () if u.package in packages or not packages
            )
            assert {c.package for c in changes} >= set(packages)
            artefacts.update({a.sha256: a for a in facts.artefacts if a.sha256 in {c.sha256 for c in changes}})
            plans[name] = HostPlan(
                name, "all", 0, "apt", changes, health=health, fingerprint=planned_fingerprint(changes))
        self.use(Plan(
            self.rollout, "test", time.time(), "tester@rig", "", "", "UTC", (),
            (PlannedRing("all", (tuple(names),)),), plans, artefacts, Limits(host_time=120), 10))

    def use(self, plan: Plan) -> None:
        self.plan = plan
        self.visits = HostVisits(plan, self.inventory, self.connections, self.cache, self.store, self.clock)

    def replan(self, host: str, **fields: Any) -> None:
        self.use(replace(self.plan, hosts={**self.plan.hosts, host: replace(self.plan.hosts[host], **fields)}))

    def attempt(self, number: int = 1) -> str:
        return f"{self.plan.rollout}.0123abcd.{number}"

    def job(
        self, kind: str, host: str, number: int = 1, *, boot_id: str = "", data: Mapping[str, Any] | None = None,
        adjustments: tuple[str, ...] = (),
    ) -> JobOutcome:
        """Perform one job; job and outcome go through JSON on their way, as they would to a worker elsewhere."""
        self._jobs += 1
        job = HostJob(
            f"job-{self._jobs}", self.plan.rollout, host, kind, self.attempt(number), self.token, boot_id,
            adjustments, self.attempt(number - 1) if number > 1 else "", data=dict(data or {}))
        outcome = self.visits.perform(from_json(HostJob, to_json(job)))
        assert outcome.job == job.id
        assert (outcome.host, outcome.kind, outcome.attempt) == (host, kind, job.attempt)
        return from_json(JobOutcome, to_json(outcome))

    def poll_until_over(self, host: str, number: int = 1, seconds: float = 120) -> JobOutcome:
        """Poll until the attempt is over; unreachable is no end."""
        deadline = time.monotonic() + seconds
        while (outcome := self.job("poll", host, number)).result in ("running", "unreachable"):
            assert time.monotonic() < deadline, outcome
            time.sleep(0.3)
        return outcome

    def install(self, host: str, number: int = 1) -> JobOutcome:
        """preflight, stage, start, poll to the end."""
        for kind, wanted in (("preflight", "ok"), ("stage", "ok"), ("start", "started")):
            outcome = self.job(kind, host, number)
            assert outcome.result == wanted, outcome
        return self.poll_until_over(host, number)


def installs(host: LabHost, package: str) -> int:
    """How often dpkg configured a version of the package after the base was made, by the host's own log."""
    log = host.exec("cat /var/log/dpkg.log 2>/dev/null || :")
    return sum(1 for line in log.splitlines() if f" upgrade {package}:" in line or f" install {package}:" in line)


def apt_runs(host: LabHost) -> int:
    """How often apt installed something here through patchctl, by apt's own history."""
    lines = host.exec("cat /var/log/apt/history.log 2>/dev/null || :").splitlines()
    return sum(1 for line in lines if line.startswith("Commandline: ") and "./" in line and ".deb" in line)
