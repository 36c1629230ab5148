"""Carries out one HostJob: opens a fresh connection, does what the kind says, returns a JobOutcome. Never raises.

Kinds and results are those of model/rollout.py. Everything may be repeated: what must not happen twice is decided on
the host, by the runner (collect/runner.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, Protocol

from patchctl.collect import runner
from patchctl.collect.runner import Cleanup, Controller, Look, Poll, Reboot, Reply, Start
from patchctl.deliver.cache import ArtefactCache, ArtefactError
from patchctl.deliver.fetch import Fetcher
from patchctl.model.errors import HostError, HostFailure, PatchctlError
from patchctl.model.evidence import OK, Evidence, Probe, Snapshot
from patchctl.model.failpoints import hit
from patchctl.model.hosts import Host, Inventory
from patchctl.model.plan import HostPlan, Plan
from patchctl.model.ports import Clock
from patchctl.model.rollout import HostJob, JobOutcome
from patchctl.model.text import one_line
from patchctl.model.units import format_bytes
from patchctl.platforms.contract import InstallRequest, Platform
from patchctl.platforms.registry import platform_named
from patchctl.rollout.health import find_regressions
from patchctl.usecases.hostjobs_health import check_health, health_probes
from patchctl.usecases.hostjobs_stage import Staged, artefacts_of, keep_earlier, stage_artefacts
from patchctl.usecases.hostjobs_verify import all_in_place, list_changed, list_pending, list_waiting, read_versions
from patchctl.usecases.hostjobs_visit import AnswerLostError, Opener, RefusedError, Visit
from patchctl.usecases.scan import collect_snapshot

SPOOL_BYTES = 8 * 1024 * 1024
"""Room for the runner's own files, its bounded log included."""
UNPACKED = 4
"""Unpacked, a package takes up to about this many times its compressed size while the old files are still there."""
BOOT_BYTES = 150 * 1024 * 1024
"""Room a new kernel with its initial ram disk takes below /boot."""
LOCK_TIME = 120
"""Seconds the install waits for the package manager's lock ..."""
LOCK_ADJUSTMENTS = {"wait-for-lock": 1200, "wait-longer-for-lock": 2400}
"""... and as a remedy; the longest that an attempt has counts."""
_KERNEL = re.compile(r"linux-image-|kernel-core|kernel-default")
HINTS = {
    "veto": "the host's owner removes the file (/etc/patchctl/hold, %ProgramData%\\patchctl\\hold) when it may go on",
    "fenced": "if that controller is gone for good: patchctl state takeover --limit HOST",
}
# Words of the runner -> error codes that the diagnosis understands.
_CODES = {
    "busy": "attempt-lock", "staging-missing": "artefact-not-staged", "spool-full": "disk-spool", "fenced": "fenced",
    "veto": "veto", "cannot-detach": "cannot-detach", "foreign-attempt": "fenced",
}


class VisitStore(Protocol):
    """What a visit needs of the store."""

    @property
    def store_id(self) -> str: ...

    @property
    def epoch(self) -> int: ...

    def save_snapshot(self, snapshot: Snapshot) -> str: ...

    def save_snapshots(self, snapshots: Sequence[Snapshot], kind: str = "scan") -> list[str]: ...


class HostVisits:
    """Performs the jobs of one rollout. Safe to use from several threads."""

    def __init__(
        self, plan: Plan, inventory: Inventory, connections: Opener, cache: ArtefactCache, store: VisitStore,
        clock: Clock,
    ) -> None:
        self._plan = plan
        self._inventory = inventory
        self._connections = connections
        self._fetcher = Fetcher(cache)
        self._store = store
        self._clock = clock
        self._name = re.sub(r"[^A-Za-z0-9._@:-]", "-", plan.created_by).lstrip("-._@:")[:100] or "patchctl"
        self._kinds: dict[str, Callable[[HostJob, Host, Visit], JobOutcome]] = {
            "preflight": self._preflight, "stage": self._stage, "start": self._start, "poll": self._poll,
            "reboot": self._reboot, "boot": self._boot, "verify": self._verify, "cleanup": self._cleanup,
        }

    def perform(self, job: HostJob) -> JobOutcome:
        """Carry out the job and say what came of it, whatever happens."""
        try:
            return self._visit(job, self._kinds[job.kind])
        except RefusedError as error:
            return outcome(job, "failed", error=error.failure)
        except HostError as error:
            return outcome(job, "unreachable", error=error.failure)
        except PatchctlError as error:
            return outcome(job, "failed", error=HostFailure(error.code, one_line(error.message), error.hint))
        except Exception as error:  # noqa: BLE001 - one host's surprise must not end a rollout: it becomes its outcome
            what = one_line(f"{type(error).__name__}: {error}")
            failure = HostFailure("internal-error", what, "report this as a bug")
            # A start that broke somewhere may have happened all the same: only the host knows.
            return outcome(job, "unreachable" if job.kind == "start" else "failed", error=failure)

    def _visit(self, job: HostJob, work: Callable[[HostJob, Host, Visit], JobOutcome]) -> JobOutcome:
        host = self._inventory.hosts[job.host]
        controller = Controller(self._store.store_id, self._store.epoch, job.token, self._name)
        with closing(self._connections.open(host)) as session:
            return work(job, host, Visit(session, controller))

    def _preflight(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        plan, platform = self._plans(job)
        reply = visit.ask(Look())
        space = free_space(reply)
        data: dict[str, Any] = {"boot_id": reply.boot_id, "free_bytes": space.get(runner.BASE, (0, ""))[0]}
        if reply.get("fenced"):
            return outcome(job, "failed", {**data, "holder": holder_of(reply)}, HostFailure(
                "fenced", one_line(reply.get("fenced")), HINTS["fenced"]))
        names = _package_names(plan)
        fingerprint = platform.fingerprint_probe(names)
        lock = platform.lock_probe()
        evidence = visit.probe([fingerprint, *([lock] if lock else ()), *health_probes(plan.health, visit.shell)])
        found = evidence.get(fingerprint.id)
        if found is None or found.status != "ok":
            reason = found.reason if found else "no answer"
            raise RefusedError("fingerprint-unknown", f"the installed versions could not be read: {one_line(reason)}")
        if lock is not None:
            data.update(read_lock(evidence.get(lock.id)))
        data["health_before"] = check_health(host, plan.health, evidence, reach=visit.reach)
        data["changed"] = list_changed(
            plan.changes, found.output, again=bool(job.previous or self._plan.undoes), removals=plan.removals
        )
        if all_in_place(plan, read_versions(found.output)):
            return outcome(job, "done", {**data, "changed": []})
        if reply.get("veto"):
            return outcome(job, "veto", {**data, "reason": one_line(reply.get("veto"))})
        if data["changed"]:
            return outcome(job, "changed", data)
        short = find_shortage(self._plan, plan, space)
        return outcome(job, "failed", data, short) if short else outcome(job, "ok", data)

    def _stage(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        staged = self._put_in_place(job, visit)
        data: dict[str, Any] = {
            "have": list(staged.have), "delivered": list(staged.delivered), "bytes": staged.size,
            "not_kept": list(staged.not_kept),
        }
        if not staged.missing:
            data["not_kept_earlier"] = list(self._keep_earlier(job, visit))
            return outcome(job, "ok", data)
        first = next(iter(staged.missing.values()))
        more = f" (and {len(staged.missing) - 1} more)" if len(staged.missing) > 1 else ""
        return outcome(job, "failed", data, HostFailure(first.code, one_line(first.message) + more, first.hint))

    def _keep_earlier(self, job: HostJob, visit: Visit) -> tuple[str, ...]:
        """Before anything is changed, have the way back here: by then its files may be nowhere else any more."""
        plan, platform = self._plans(job)
        if job.undo or plan.undo is None or not plan.undo.changes:
            return ()
        return keep_earlier(
            visit, platform, artefacts_of(self._plan, plan.backwards()), self._directory(visit), self._fetcher,
            seconds=self._plan.limits.host_time,
        )

    def _put_in_place(self, job: HostJob, visit: Visit) -> Staged:
        plan, platform = self._plans(job)
        artefacts = artefacts_of(self._plan, plan)
        directory = self._directory(visit)
        try:
            return stage_artefacts(
                visit, platform, artefacts, directory, self._fetcher, seconds=self._plan.limits.host_time,
                adjustments=job.adjustments,
            )
        except ArtefactError as error:
            return Staged(missing={artefact.sha256: error for artefact in artefacts} or {"": error})

    def _start(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        plan, platform = self._plans(job)
        artefacts = artefacts_of(self._plan, plan)
        directory = self._directory(visit)
        inside = tuple(name for name in job.adjustments if name not in LOCK_ADJUSTMENTS)
        patience = max(LOCK_ADJUSTMENTS.get(name, LOCK_TIME) for name in ("", *job.adjustments))
        payload = platform.install_script(
            InstallRequest(plan.changes, artefacts, plan.removals, directory, inside, patience)
        )
        listing = platform.fingerprint_probe(_package_names(plan)).command
        files = [(artefact.sha256, artefact.filename) for artefact in artefacts]
        request = Start(job.attempt, payload, listing, directory, files)
        hit("start.host.before")
        reply = visit.ask(request)
        if reply.get("code") == "staging-missing" and not self._put_in_place(job, visit).missing:
            reply = visit.ask(request)  # somebody tidied up between staging and start
        hit("start.host.after")
        data: dict[str, Any] = {"unit": reply.get("unit"), "boot_id": reply.boot_id, "holder": holder_of(reply)}
        if reply.state in ("started", "adopted"):
            return outcome(job, reply.state, {**data, "was": reply.get("was")})
        if reply.state in ("veto", "fenced"):
            reason = one_line(reply.get("reason"))
            failure = HostFailure(reply.state, reason, HINTS[reply.state])
            return outcome(job, reply.state, {**data, "reason": reason}, failure)
        return refusal(job, reply, data)

    def _poll(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        reply = visit.ask(Poll(job.attempt))
        # By single spaces: where the result file is empty, the time after it must not be taken for the exit code.
        code, began, ended = [*reply.get("result").split(" "), "", "", ""][:3]
        seconds = int(ended) - int(began) if began.isdigit() and ended.isdigit() else _number(reply.get("age"))
        marks = reply.all("mark")
        data: dict[str, Any] = {
            "step": _last_mark(marks, "step"), "rc": _number(code), "log": "\n".join(reply.all("log")).strip("\n"),
            "changes": [], "conffiles": _marks(marks, "conffile"), "boot_id": reply.boot_id,
            "transactions": _marks(marks, "transaction"),
            "lock_holder": _lock_holder(marks), "seconds": seconds,
            "reason": one_line(reply.get("reason")),
        }
        if reply.get("foreign"):
            raise RefusedError("fenced", f"the attempt on the host belongs to store {one_line(reply.get('foreign'))}")
        if reply.get("compared"):
            data["changes"] = runner.compare_packages(reply.all("before"), reply.all("after"))
            if not data["changes"] and "patchctl: reboot-required" in marks:
                data["changes"] = None  # done, and shown by Windows only after the reboot
        if reply.state == "finished" and data["rc"] is None:
            return outcome(job, "interrupted", {**data, "reason": "its result cannot be read"})
        return outcome(job, reply.state, data)

    def _reboot(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        reply = visit.ask(Reboot(job.boot_id))
        data = {"boot_id": reply.boot_id}
        if reply.state in ("requested", "rebooted"):
            return outcome(job, reply.state, data)
        return refusal(job, reply, data)

    def _boot(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        reply = visit.ask(Look(paths=()))
        boot_id = reply.boot_id
        if reply.get("settling"):  # it is back, and still completes what was installed
            return outcome(job, "waiting", {"boot_id": boot_id, "reason": one_line(reply.get("settling"))})
        if not boot_id:
            raise AnswerLostError("answer-lost", "the host answered without a boot id", "ask again")
        return outcome(job, "rebooted" if boot_id != job.boot_id else "waiting", {"boot_id": boot_id})

    def _verify(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        plan, platform = self._plans(job)
        before = job.data.get("health_before")
        probes: tuple[Probe, ...] = health_probes(plan.health, visit.shell)
        snapshot = visit.collect(lambda session: collect_snapshot(session, "auto", self._clock, probes))
        if snapshot.failure is not None:
            return outcome(job, "unreachable", error=snapshot.failure)
        identity = self._store.save_snapshot(snapshot)
        facts = platform.read(snapshot)
        health = check_health(host, plan.health, snapshot.evidence, before or [], reach=visit.reach)
        data: dict[str, Any] = {
            "pending": list_pending(plan, facts), "health_after": health,
            "health_regressed": find_regressions(before, health), "reboot_required": facts.reboot.required,
            "reboot_reasons": [
                *facts.reboot.reasons, *(f"{name} takes effect with it" for name in list_waiting(plan, facts))],
            "boot_id": facts.boot_id, "snapshot": identity,
            "failed_units_new": _new_units(before, health),
            "broken": None if facts.broken is None else list(facts.broken),
        }
        if facts.packages is None:
            reason = one_line(facts.why_unknown("packages") or snapshot.reason("packages"))
            return outcome(job, "failed", data, HostFailure("packages-unknown", f"not verified: {reason}"))
        if facts.broken:
            words = f"broken after the install: {one_line('; '.join(facts.broken))}"
            # Debian's hosts had this code first; it stays for those who look for it.
            if plan.platform == "apt":
                return outcome(job, "failed", data, HostFailure("dpkg-broken", words))
            return outcome(job, "failed", data, HostFailure("packages-broken", words))
        bad = data["pending"] or data["health_regressed"]
        return outcome(job, "failed" if bad else "ok", data)

    def _cleanup(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        reply = visit.ask(Cleanup(job.attempt, self._directory(visit)))
        residue = [one_line(line) for line in reply.all("residue")]
        data = {"residue": residue, "boot_id": reply.boot_id}
        if reply.state != "clean":
            return refusal(job, reply, data)
        if residue:
            return outcome(job, "failed", data, HostFailure("residue", f"left on the host: {', '.join(residue)}"))
        return outcome(job, "ok", data)

    def _plans(self, job: HostJob) -> tuple[HostPlan, Platform]:
        plan = self._plan.hosts[job.host]
        return plan.backwards() if job.undo else plan, platform_named(plan.platform)

    def _directory(self, visit: Visit) -> str:
        return visit.way.staging_directory(self._plan.rollout)


def outcome(
    job: HostJob, result: str, data: dict[str, Any] | None = None, error: HostFailure | None = None
) -> JobOutcome:
    return JobOutcome(job.id, job.host, job.kind, result, job.attempt, error, data or {})


def refusal(job: HostJob, reply: Reply, data: dict[str, Any]) -> JobOutcome:
    word = reply.get("code")
    reason = one_line(reply.get("reason")) or f"unexpected answer {one_line(reply.state)!r}"
    return outcome(job, "failed", data, HostFailure(_CODES.get(word, "runner-refused"), reason, HINTS.get(word, "")))


def holder_of(reply: Reply) -> str:
    """Return who stands in the way: another attempt, else the controller that the host's fence names."""
    fence = reply.get("fence").split()
    return one_line(reply.get("holder") or (f"{fence[3]} (store {fence[0]})" if len(fence) > 3 else ""))


def _package_names(plan: HostPlan) -> list[str]:
    return sorted({change.package for change in plan.changes} | set(plan.removals))


def free_space(reply: Reply) -> dict[str, tuple[int, str]]:
    """Return path -> (free bytes, mount point) of those that Look was asked for and the host could tell."""
    lines = [line.split(" ", 2) for line in reply.all("space")]
    return {line[0]: (int(line[1]) * 1024, line[2]) for line in lines if len(line) == 3 and line[1].isdigit()}


def find_shortage(whole: Plan, plan: HostPlan, space: dict[str, tuple[int, str]]) -> HostFailure | None:
    """Return what is too full for the download, the unpacking or a new kernel; file systems that are unknown pass."""
    size = sum(whole.artefacts[c.sha256].size for c in plan.changes if c.sha256 in whole.artefacts)
    wanted = [(runner.BASE, size + SPOOL_BYTES), ("/", size * UNPACKED)]
    if any(_KERNEL.match(change.package) for change in plan.changes):
        wanted.append(("/boot", BOOT_BYTES))
    needs: dict[str, int] = {}
    free: dict[str, int] = {}
    for path, need in wanted:
        if path in space:
            available, mount = space[path]
            needs[mount] = needs.get(mount, 0) + need
            free[mount] = available
    for mount, need in needs.items():
        if free[mount] < need:
            message = f"{one_line(mount)} has {format_bytes(free[mount])} free, about {format_bytes(need)} are needed"
            return HostFailure("disk-full", message, "make room, then retry")
    return None


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None


def _marks(marks: tuple[str, ...], word: str) -> list[str]:
    start = f"patchctl: {word} "
    return [one_line(mark[len(start):]) for mark in marks if mark.startswith(start)]


def _last_mark(marks: tuple[str, ...], word: str) -> str:
    found = _marks(marks, word)
    return found[-1] if found else ""


def _lock_holder(marks: tuple[str, ...]) -> str:
    """Return who holds the package manager's lock, as `unattended-upgr[4711]`, by the payload's latest word on it."""
    words = (_last_mark(marks, "lock-held") or _last_mark(marks, "waiting for lock")).split()
    return f"{words[2]}[{words[1]}]" if len(words) == 3 else ""


def read_lock(found: Evidence | None) -> dict[str, str]:
    """Return who holds which lock of the package manager, by a platform's lock_probe. Nobody and unknown are alike:
    the install waits for whoever it meets, and names him.
    """
    words = one_line(found.output).split() if found is not None and found.status == OK else []
    return {"lock": words[0], "lock_holder": f"{words[2]}[{words[1]}]"} if len(words) == 3 else {}


def _new_units(before: list[dict[str, Any]] | None, after: list[dict[str, Any]]) -> list[str]:
    known = {str(unit) for check in before or () for unit in check.get("units", ())}
    return sorted({str(unit) for check in after for unit in check.get("units", ())} - known) if before else []
