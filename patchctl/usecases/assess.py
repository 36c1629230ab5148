"""Assesses hosts: one script each, at most two more for what depends on it, verdicts from what came back."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.assess.contract import MAX_TRIPS, Baseline
from patchctl.assess.score import BAD, count_verdicts, score_host
from patchctl.assess.waivers import WaiverUse, apply_waivers, judge_waivers
from patchctl.collect.parse import parse_output
from patchctl.connect.contract import Session
from patchctl.connect.fanout import visit
from patchctl.model.assessment import ERROR, NOT_APPLICABLE, UNKNOWN, Finding, Rule, Score, Waiver
from patchctl.model.errors import HostError, HostFailure
from patchctl.model.evidence import UNKNOWN as NOT_KNOWN
from patchctl.model.evidence import Evidence, Probe, Snapshot
from patchctl.model.hosts import Host
from patchctl.model.ports import Clock, Observer
from patchctl.model.text import one_line
from patchctl.store.assessments import BEGUN, SNAPSHOTS, AssessedBaseline, Assessment, AssessmentRun, Assessments
from patchctl.store.database import Store
from patchctl.usecases.access import Fleet
from patchctl.usecases.scan import BATCH, Opener, ask, collect_probes, scan_probes, shell_of

OS_PROBES = frozenset({"linux.os-release", "linux.uname", "linux.boot-id", "linux.user", "windows.os", "windows.boot"})
"""What an assessment asks of a scan's probes: which system this is, and which boot. The rest are the baselines' own."""

REACHED = ("ok", "partial")
"""Statuses of hosts that could be looked at as they should be."""


class HostAssessment(Struct, frozen=True):
    """What one host came to by all baselines."""

    snapshot: Snapshot
    status: str
    error: Mapping[str, Any] | None
    findings: tuple[Finding, ...] = ()
    scores: tuple[Score, ...] = ()
    foreign: tuple[str, ...] = ()
    """Baselines of which nothing applies to this host."""

    @property
    def host(self) -> str:
        return self.snapshot.host


# --- asking


def assessment_probes(shell: str, baselines: Iterable[Baseline]) -> tuple[Probe, ...]:
    """Return the probes of the first script: which system it is, and what baselines of this shell ask, each once."""
    chosen = {probe.id: probe for probe in scan_probes(shell, "never") if probe.id in OS_PROBES}
    for baseline in baselines:
        if baseline.shell == shell:
            for probe in baseline.probes():
                chosen.setdefault(probe.id, probe)
    return tuple(chosen.values())


def collect_for(session: Session, baselines: Sequence[Baseline], probes: Sequence[Probe], clock: Clock) -> Snapshot:
    """Ask one host what the baselines want to know, in at most MAX_TRIPS round trips; the snapshot tells how many.

    Raise HostError when nothing could be run. A follow-up that fails leaves what was read before, and its own probes
    UNKNOWN with the reason.
    """
    snapshot = collect_probes(session, probes, clock)
    own = [b for b in baselines if b.shell == shell_of(session.host)]
    refused = snapshot.failure is not None
    while snapshot.evidence and snapshot.complete and snapshot.round_trips < MAX_TRIPS:
        wanted = {p.id: p for b in own for p in b.follow_up(snapshot) if p.id not in snapshot.evidence}
        if not wanted:
            break
        more = _follow_up(session, tuple(wanted.values()), snapshot, refused=refused)
        snapshot = replace(
            snapshot, evidence={**snapshot.evidence, **more.evidence}, complete=more.complete,
            seconds=snapshot.seconds + more.seconds, round_trips=snapshot.round_trips + 1,
        )  # fmt: skip
    return snapshot


def _follow_up(session: Session, probes: Sequence[Probe], first: Snapshot, *, refused: bool) -> Snapshot:
    host = session.host
    become = host.connection.become.method != "none" and not refused
    try:
        nonce, result = ask(session, probes, become=become)
    except HostError as error:
        reason = one_line(error.message)
        lost = {p.id: Evidence(p.id, NOT_KNOWN, reason=reason, volatile=p.volatile) for p in probes}
        return Snapshot(host.name, first.taken_at, lost, complete=False)
    return parse_output(
        result.stdout, probes, nonce, host=host.name, taken_at=first.taken_at, as_root=result.as_root,
        seconds=result.seconds, lost=result.lost,
    )  # fmt: skip


# --- judging


def assess_snapshot(
    snapshot: Snapshot, shell: str, baselines: Sequence[Baseline], model: str = "default"
) -> HostAssessment:
    """Judge what a snapshot shows, whenever it was taken. A host that was not reached has no findings and no score."""
    status, error = judge_visit(snapshot)
    if not snapshot.evidence:
        empty = tuple(Score(snapshot.host, b.name, {}, None, model) for b in baselines)
        return HostAssessment(snapshot, status, error, scores=empty)
    findings: list[Finding] = []
    scores: list[Score] = []
    foreign: list[str] = []
    for baseline in baselines:
        found = _findings(snapshot, shell, baseline)
        findings += found
        scores.append(score_host(snapshot.host, baseline.name, baseline.rules, found, model))
        if not any(finding.verdict != NOT_APPLICABLE for finding in found):
            foreign.append(baseline.name)
    return HostAssessment(snapshot, status, error, tuple(findings), tuple(scores), tuple(foreign))


def _findings(snapshot: Snapshot, shell: str, baseline: Baseline) -> list[Finding]:
    """Return a finding for each rule, in the baseline's order."""
    if baseline.shell != shell:
        reason = f"{baseline.name} is for hosts that speak {baseline.shell}"
        return [_finding(snapshot, baseline, rule, NOT_APPLICABLE, reason) for rule in baseline.rules]
    try:
        found = {finding.rule: finding for finding in baseline.evaluate(snapshot)}
    except Exception as error:  # noqa: BLE001 - a defect met in one host's evidence: told as ERROR of every rule
        reason = one_line(f"patchctl failed to judge it: {type(error).__name__}: {error}")
        return [_finding(snapshot, baseline, rule, ERROR, reason) for rule in baseline.rules]
    return [
        found.get(rule.id) or _finding(snapshot, baseline, rule, UNKNOWN, "it was not judged")
        for rule in baseline.rules
    ]


def _finding(snapshot: Snapshot, baseline: Baseline, rule: Rule, verdict: str, reason: str) -> Finding:
    return Finding(
        snapshot.host, baseline.name, rule.id, verdict, rule.title, rule.severity, reason=reason,
        collected_at=snapshot.taken_at,
    )  # fmt: skip


def judge_visit(snapshot: Snapshot) -> tuple[str, dict[str, Any] | None]:
    """Return (status, error) of a host as `hosts` of the output has them."""
    failure = snapshot.failure
    if failure is not None:
        return failure.status, {"code": failure.code, "message": failure.message, "hint": failure.hint or None}
    missing = [e for e in snapshot.evidence.values() if e.status == NOT_KNOWN]
    if not snapshot.complete:
        reason = missing[0].reason if missing else "the end of the script was not seen"
        return "partial", {"code": "incomplete", "message": one_line(reason), "hint": None}
    if not missing:
        return "ok", None
    need_root = sum(e.reason == "needs root" for e in missing)
    if need_root == len(missing):
        message = f"{need_root} of {len(snapshot.evidence)} probes need root"
        return "partial", {"code": "needs-root", "message": message, "hint": "set become: for this host"}
    why = next(e.reason for e in missing if e.reason != "needs root")
    return "partial", {"code": "probe-failed", "message": one_line(why), "hint": None}


# --- a run


class AssessmentResult(Struct):
    """Everything one run came to."""

    run: AssessmentRun
    hosts: list[HostAssessment] = field(default_factory=list)
    snapshots: dict[str, int] = field(default_factory=dict)
    """host -> id of the snapshot judged."""
    waivers: list[WaiverUse] = field(default_factory=list)


class AssessmentOrder(Struct, frozen=True):
    """What to assess by what."""

    fleet: Fleet
    baselines: Sequence[Baseline]
    references: Sequence[str]
    """What was given for --baseline, in the same order."""
    waivers: Sequence[Waiver] = ()
    members: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Host pattern of a waiver -> its hosts."""
    model: str = "default"
    actor: str = ""

    def begin(self, now: float, origin: str) -> AssessmentRun:
        """Return the run that begins now."""
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
        used = tuple(
            AssessedBaseline(b.name, b.digest, b.kind, reference, b.title)
            for b, reference in zip(self.baselines, self.references, strict=True)
        )
        return AssessmentRun(f"{moment}-{secrets.token_hex(2)}", now, self.actor, origin, used)


def assess_hosts(
    order: AssessmentOrder, connections: Opener, *, forks: int, clock: Clock, observer: Observer, store: Store | None
) -> AssessmentResult:
    """Visit the hosts, judge what they answer, store both. Failures are results, never exceptions.

    The run counts as told only once the caller says so (Assessments.mark_told).
    """
    probes = {
        shell: assessment_probes(shell, order.baselines) for shell in {shell_of(host) for host in order.fleet.hosts}
    }

    def work(host: Host) -> Snapshot:
        observer.step(host.name, "connecting")
        with closing(connections.open(host)) as session:
            observer.step(host.name, "collecting")
            return collect_for(session, order.baselines, probes[shell_of(host)], clock)

    def visits() -> Iterator[tuple[Host, Snapshot]]:
        for host, outcome in visit(order.fleet.hosts, work, forks, site_forks=order.fleet.site_forks):
            if isinstance(outcome, HostFailure):
                outcome = Snapshot(host.name, clock.now(), failure=outcome)
            yield host, outcome

    observer.started("assess", len(order.fleet.hosts))
    try:
        return _run(order, visits(), BEGUN, clock.now(), store, observer)
    finally:
        observer.ended()


def assess_recorded(
    order: AssessmentOrder, recorded: Mapping[str, Snapshot], now: float, observer: Observer
) -> AssessmentResult:
    """Judge recorded snapshots; nothing is stored, no host is touched. Hosts without one are `unknown`."""
    missing = HostFailure("not-collected", "there is no snapshot of it", "assess it once without --from-snapshot",
                          "unknown")
    given = (
        (host, recorded.get(host.name) or Snapshot(host.name, 0.0, failure=missing)) for host in order.fleet.hosts
    )
    return _run(order, given, SNAPSHOTS, now, None, observer)


def _run(
    order: AssessmentOrder, visits: Iterator[tuple[Host, Snapshot]], origin: str, now: float, store: Store | None,
    observer: Observer,
) -> AssessmentResult:  # fmt: skip
    result = AssessmentResult(order.begin(now, origin))
    covered = [0] * len(order.waivers)
    keeper = _Keeper(store, order, result) if store is not None else None
    if store is not None:
        store.assessments.save_run(result.run)
    try:
        for host, snapshot in visits:
            one = assess_snapshot(snapshot, shell_of(host), order.baselines, order.model)
            if order.waivers:
                findings, counts = apply_waivers(one.findings, order.waivers, order.members, now)
                covered = [a + b for a, b in zip(covered, counts, strict=True)]
                one = replace(one, findings=tuple(findings))
            result.hosts.append(one)
            if keeper is not None:
                keeper.keep(one)
            observer.finished(one.host, one.status, one.error["message"] if one.error else "")
    finally:
        if keeper is not None:
            keeper.flush()
    place = {host.name: at for at, host in enumerate(order.fleet.hosts)}
    result.hosts.sort(key=lambda one: place[one.host])
    result.waivers = judge_waivers(order.waivers, covered, now)
    return result


class _Keeper:
    """Stores snapshots and what they came to, in batches."""

    def __init__(self, store: Store, order: AssessmentOrder, result: AssessmentResult) -> None:
        self._store = store
        self._digests = {baseline.name: baseline.digest for baseline in order.baselines}
        self._result = result
        self._waiting: list[HostAssessment] = []

    def keep(self, one: HostAssessment) -> None:
        self._waiting.append(one)
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        ids = self._store.save_snapshots([one.snapshot for one in batch], "assess")
        rows: list[tuple[Assessment, Sequence[Finding]]] = []
        for one, number in zip(batch, ids, strict=True):
            self._result.snapshots[one.host] = int(number)
            rows += [self._row(one, score, int(number)) for score in one.scores]
        self._store.assessments.save(rows)

    def _row(self, one: HostAssessment, score: Score, snapshot: int) -> tuple[Assessment, Sequence[Finding]]:
        run = self._result.run
        row = Assessment(
            run.run, one.host, score.baseline, run.at, self._digests[score.baseline], one.status,
            one.snapshot.taken_at, snapshot, score.counts, score.score,
        )  # fmt: skip
        return row, [f for f in one.findings if f.baseline == score.baseline]


# --- what it means


Key = tuple[str, str, str]
"""(host, baseline, rule)"""


def bad_findings(findings: Iterable[Finding]) -> set[Key]:
    """Return the findings that are not compliant and that no waiver covers."""
    return {(f.host, f.baseline, f.rule) for f in findings if f.verdict in BAD and f.waiver is None}


def known_before(assessments: Assessments, baselines: Iterable[str]) -> tuple[set[Key], set[str]]:
    """Return the bad findings of the last time each host was reached, and the hosts that were away the last time.

    Runs that were killed, or could not write what they found, do not count: nobody was told of their findings.
    """
    bad: set[Key] = set()
    away: set[str] = set()
    for name in baselines:
        for _, findings in assessments.findings(list(assessments.latest(name, told=True).values())):
            bad |= bad_findings(findings)
        last = assessments.latest(name, reached=False, told=True).values()
        away |= {row.host for row in last if row.status not in REACHED}
    return bad, away


def exit_code(result: AssessmentResult, fail_on: str, known: tuple[set[Key], set[str]] = (set(), set())) -> int:
    """Return 13, 12, 4, 2, 3 or 0.

    A run that reached no host, and one in which nothing applied, are never a success, whatever --fail-on says.
    `known`: what was bad and who was away the last time, for --fail-on new.
    """
    statuses = [one.status for one in result.hosts]
    if all(s == "host-key" for s in statuses):
        return 13
    reached = [one for one in result.hosts if one.findings]
    if not reached:
        return 12 if all(s == "auth-failed" for s in statuses) else 4
    if all(score.score is None for one in reached for score in one.scores):
        return 2
    if fail_on == "never":
        return 0
    bad = bad_findings(finding for one in reached for finding in one.findings)
    away = {one.host for one in result.hosts if one.status not in REACHED}
    if fail_on == "new":
        bad, away = bad - known[0], away - known[1]
    return 4 if away else 3 if bad else 0


def count_all(hosts: Iterable[HostAssessment]) -> dict[str, int]:
    """Return verdict -> number over all hosts."""
    return count_verdicts(finding for one in hosts for finding in one.findings)
