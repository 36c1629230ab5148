"""Plans a remediation: assess (or take the last assessment), choose findings, ask what their fixes would change."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from patchctl.assess.contract import Baseline
from patchctl.collect.fixing import preview_probe, read_previews
from patchctl.collect.parse import parse_output
from patchctl.connect.fanout import visit
from patchctl.model.assessment import ERROR, FAIL, UNKNOWN, Finding, Remediation, Rule, Waiver
from patchctl.model.errors import HostFailure, UsageError
from patchctl.model.evidence import Snapshot
from patchctl.model.hosts import Host, Inventory
from patchctl.model.localtime import parse_zone
from patchctl.model.plan import REMEDIATE, Fix, HostFix, LeftFinding, Plan
from patchctl.model.policy import Policy
from patchctl.model.ports import Clock, Observer
from patchctl.model.text import one_line
from patchctl.platforms.registry import platform_for
from patchctl.rollout.fixplan import FixSurvey, outline_fixes
from patchctl.rollout.hostplan import HostOutline
from patchctl.rollout.membership import select_members
from patchctl.rollout.plan import arrange_plan, name_rollout
from patchctl.store.database import Store
from patchctl.usecases.access import Fleet, with_total
from patchctl.usecases.assess import AssessmentOrder, AssessmentResult, assess_hosts, assess_recorded
from patchctl.usecases.fixes import evidence_of, is_at_least, make_fix, name_of, plan_baseline
from patchctl.usecases.replay import recorded_snapshots
from patchctl.usecases.scan import Opener, ask, shell_of

NO_PREVIEW_SCRIPT = "what this script changes cannot be foretold; it is shown, and only the files it names are kept"


class RemediateRequest(Struct, frozen=True):
    """What to repair."""

    policy: Policy
    inventory: Inventory
    baselines: Sequence[Baseline]
    references: Sequence[str]
    """What was given for --baseline, in the same order."""
    folder: Path
    """The project's baselines."""
    actor: str
    waivers: Sequence[Waiver] = ()
    members: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Host pattern of a waiver -> its hosts."""
    rules: Sequence[str] = ()
    """Ids or shell patterns; () = all."""
    severity: str = ""
    """The least severity that is repaired; "" = any."""
    limit: str = ""
    recorded: str = ""
    """Judge recorded snapshots instead of visiting hosts: latest, a day, a run or a tag."""
    include_waived: bool = False
    """Repair findings all the same that a waiver covers."""
    content_fixes: bool = False
    """Use the scripts that SCAP content carries."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    tailoring: Path | None = None
    forks: int = 50
    timeout: float | None = None
    controllers: tuple[str, ...] = ()


def make_fix_plan(
    request: RemediateRequest, store: Store, connections: Opener, clock: Clock, observer: Observer, *,
    save: bool = True,
) -> Plan:  # fmt: skip
    """Return the plan that repairs the chosen findings. `save=False` leaves nothing in the store (--check).

    Raises UsageError when no host or no rule is selected; hosts that fail are in the plan, with the reason.
    """
    chosen = choose_rules(request.baselines, request.rules, request.severity)
    names = select_members(request.inventory, request.policy, request.limit)
    hosts = tuple(with_total(request.inventory.hosts[name], request.timeout) for name in names)
    order = AssessmentOrder(
        Fleet(request.inventory, hosts), request.baselines, request.references, request.waivers, request.members,
        actor=request.actor,
    )  # fmt: skip
    result = _assess(request, order, store, connections, clock, observer, save=save)
    fixes = _fixes(request, chosen)
    surveys = {
        one.host: _survey(one.host, result, fixes, chosen, waived=request.include_waived) for one in result.hosts
    }
    if not request.recorded:
        surveys |= _preview(request, surveys, fixes, connections, observer)
    now = clock.now()
    zone = parse_zone(request.policy.timezone)
    seen = store.times_seen() if any(host.intermittent is not None for host in hosts) else {}

    def outline(host: Host) -> HostOutline:
        survey = surveys.get(host.name)
        if survey is not None and host.intermittent is not None:
            survey = replace(survey, seen_at=seen.get(host.name, (None, 0.0))[0])
        return outline_fixes(host, survey, request.policy, now, zone)

    name = f"fix-{'-'.join(baseline.name for baseline in request.baselines)}"[:80]
    known = {row.rollout for row in store.rollouts()}
    plan = arrange_plan(
        request.policy, request.inventory, outline, now=now, actor=request.actor, limit=request.limit,
        controllers=request.controllers, rollout=name_rollout(request.policy, now, known, name),
    )  # fmt: skip
    used = {fix.name for host in plan.hosts.values() for fix in host.fixes}
    return replace(
        plan, kind=REMEDIATE, fixes={name: fix for name, fix in fixes.items() if name in used},
        baselines=tuple(
            plan_baseline(baseline, reference, request.folder, request.parameters, request.tailoring)
            for baseline, reference in zip(request.baselines, request.references, strict=True)
        ),
    )  # fmt: skip


def choose_rules(baselines: Sequence[Baseline], patterns: Sequence[str], severity: str) -> dict[str, Rule]:
    """Return BASELINE/RULE -> rule of what is to be repaired. Raise UsageError for a pattern that names no rule."""
    known = {name_of(b.name, rule.id): rule for b in baselines for rule in b.rules}
    ids = {rule.id for rule in known.values()}
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(rule, pattern) for rule in ids):
            near = difflib.get_close_matches(pattern, ids, n=1)
            hint = f"did you mean {near[0]}?" if near else "see: patchctl baseline show NAME"
            raise UsageError("no-rule", f"no rule is called {pattern!r}", hint)
    return {
        name: rule for name, rule in known.items()
        if (not patterns or any(fnmatch.fnmatchcase(rule.id, pattern) for pattern in patterns))
        and (not severity or is_at_least(rule.severity, severity))
    }


def _assess(
    request: RemediateRequest, order: AssessmentOrder, store: Store, connections: Opener, clock: Clock,
    observer: Observer, *, save: bool,
) -> AssessmentResult:  # fmt: skip
    if request.recorded:
        found = recorded_snapshots(store.assessments, [host.name for host in order.fleet.hosts], request.recorded)
        return assess_recorded(order, found, clock.now(), observer)
    return assess_hosts(
        order, connections, forks=request.forks, clock=clock, observer=observer, store=store if save else None
    )


def _fixes(request: RemediateRequest, chosen: Mapping[str, Rule]) -> dict[str, Fix]:
    """Return the fixes of those rules that can be repaired."""
    found = {}
    for baseline in request.baselines:
        for rule in baseline.rules:
            name = name_of(baseline.name, rule.id)
            remediation = _usable(request, baseline, rule)
            if name in chosen and remediation is not None:
                found[name] = make_fix(baseline.name, rule, remediation)
    return found


def _usable(request: RemediateRequest, baseline: Baseline, rule: Rule) -> Remediation | None:
    if baseline.kind != "native" and (baseline.shell != "sh" or not request.content_fixes):
        return None
    return rule.remediation


def _survey(
    host: str, result: AssessmentResult, fixes: Mapping[str, Fix], chosen: Mapping[str, Rule], *, waived: bool
) -> FixSurvey:
    one = next(found for found in result.hosts if found.host == host)
    snapshot = one.snapshot
    if not snapshot.evidence:
        failure = snapshot.failure or HostFailure("not-collected", "nothing was collected", "assess it again")
        return FixSurvey(failure)
    wanted: list[HostFix] = []
    left: list[LeftFinding] = []
    for finding in one.findings:
        name = name_of(finding.baseline, finding.rule)
        if finding.verdict not in (FAIL, UNKNOWN, ERROR):
            continue
        fix = fixes.get(name)
        why = _why_left(finding, name, chosen, fix, waived=waived)
        if why is not None or fix is None:
            state, reason = why or ("by-hand", "")
            left.append(LeftFinding(name, finding.verdict, finding.severity, state, one_line(reason, 600)))
            continue
        unknown = NO_PREVIEW_SCRIPT if fix.kind != "declarative" else "not asked: planned from records"
        known = dict(fix.sets)
        told = tuple(
            one_line(f"{item.source}: {item.actual} -> {known[item.source]}") for item in finding.items
            if item.ok is False and item.source in known
        )
        wanted.append(HostFix(name, FAIL, finding.expected, finding.actual, evidence_of(finding), told,
                              "" if told else unknown, describe_waiving(finding.waiver)))
    platform = platform_for(snapshot)
    blocked = ""
    if wanted and snapshot.failure is not None:
        blocked = f"{snapshot.failure.code}: {snapshot.failure.message}"
    elif wanted and _lacks_root(snapshot):
        blocked = "needs-root: nothing can be repaired without root; set become: for this host"
    boot_id = read_boot_id(snapshot)
    return FixSurvey(
        None, platform.name if platform is not None else "", boot_id, tuple(wanted), tuple(left),
        tuple(fix.name for fix in wanted if fixes[fix.name].reboot), blocked,
    )  # fmt: skip


def read_boot_id(snapshot: Snapshot) -> str:
    """Return the host's boot id, whatever its system; "" = not known."""
    said = (snapshot.output("linux.boot-id") or snapshot.output("windows.boot") or "").split()
    return said[0] if said else ""


def _lacks_root(snapshot: Snapshot) -> bool:
    user = (snapshot.output("linux.user") or "").split()
    return any(e.reason == "needs root" for e in snapshot.evidence.values()) or bool(user and user[-1] != "0")


def describe_waiving(waiver: Waiver | None) -> str:
    """Return until when, by whom and why a finding is waived; "" = it is not."""
    return one_line(f"until {waiver.until} by {waiver.approver}: {waiver.reason}", 600) if waiver is not None else ""


def _why_left(
    finding: Finding, name: str, chosen: Mapping[str, Rule], fix: Fix | None, *, waived: bool
) -> tuple[str, str] | None:
    """Return (state, reason) of a finding that is not repaired, or None. `waived`: waived ones are repaired too."""
    if name not in chosen:
        return "not-chosen", "not asked for"
    if finding.waiver is not None and not waived:
        return "waived", describe_waiving(finding.waiver)
    if finding.verdict != FAIL:
        return "unknown", finding.reason or "it could not be told"
    if fix is None:
        rule = chosen[name]
        text = rule.description or rule.rationale or rule.title
        return "by-hand", f"{rule.title}. Expected {finding.expected}; is {finding.actual}. {text}"
    return None


def _preview(
    request: RemediateRequest, surveys: Mapping[str, FixSurvey], fixes: Mapping[str, Fix], connections: Opener,
    observer: Observer,
) -> dict[str, FixSurvey]:
    """Ask the hosts what declarative fixes would change there; return the surveys with the answers."""
    todo = {
        name: [fix for fix in survey.fixes if fixes[fix.name].kind == "declarative"]
        for name, survey in surveys.items() if survey.fixes and not survey.blocked
    }
    hosts = [
        with_total(request.inventory.hosts[name], request.timeout) for name, wanted in todo.items()
        if wanted and shell_of(request.inventory.hosts[name]) == "sh"
    ]
    if not hosts:
        return {}

    def work(host: Host) -> dict[str, HostFix]:
        observer.step(host.name, "asking what the fixes would change")
        probe = preview_probe([fixes[fix.name] for fix in todo[host.name]])
        with closing(connections.open(host)) as session:
            nonce, result = ask(session, (probe,), become=host.connection.become.method != "none")
        snapshot = parse_output(
            result.stdout, (probe,), nonce, host=host.name, taken_at=0.0, as_root=result.as_root,
            seconds=result.seconds, lost=result.lost,
        )  # fmt: skip
        evidence = snapshot.evidence[probe.id]
        why = one_line(evidence.reason) or "its commands cannot all be foretold here"
        told = read_previews(evidence.output, len(todo[host.name]))
        return {
            fix.name: replace(fix, preview=lines, preview_unknown="") if lines is not None
            else replace(fix, preview_unknown=f"what it changes could not be asked: {why}")
            for fix, lines in zip(todo[host.name], told, strict=True)
        }

    sites = Fleet(request.inventory, tuple(hosts)).site_forks
    answers: dict[str, FixSurvey] = {}
    observer.started("preview", len(hosts))
    try:
        for host, told in visit(hosts, work, request.forks, site_forks=sites):
            failure = told if isinstance(told, HostFailure) else None
            survey = surveys[host.name]
            if isinstance(told, HostFailure):
                why = f"what it changes could not be asked: {told.message}"
                fixed = tuple(replace(f, preview_unknown=why) if f in todo[host.name] else f for f in survey.fixes)
            else:
                fixed = tuple(told.get(fix.name, fix) for fix in survey.fixes)
            answers[host.name] = replace(survey, fixes=fixed)
            observer.finished(host.name, failure.status if failure else "ok", failure.message if failure else "")
    finally:
        observer.ended()
    return answers
