"""Host jobs of a remediation: what preflight, start, poll and verification mean where findings are repaired.

Everything else (veto, fence, claim, detached runner, reboot, cleanup) is as for packages: hostjobs.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from patchctl.assess.contract import Baseline
from patchctl.collect import fixing
from patchctl.collect.runner import BASE, Look, Start
from patchctl.connect.contract import Session
from patchctl.model.assessment import FAIL, PASS, Finding
from patchctl.model.errors import HostFailure
from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.failpoints import hit
from patchctl.model.hosts import Host
from patchctl.model.plan import HostFix, HostPlan
from patchctl.model.rollout import HostJob, JobOutcome
from patchctl.model.text import one_line
from patchctl.platforms import windows
from patchctl.rollout.health import find_regressions
from patchctl.usecases.assess import assess_snapshot, assessment_probes, collect_for
from patchctl.usecases.fixes import evidence_of, name_of, planned_baselines
from patchctl.usecases.hostjobs import HINTS, HostVisits, find_shortage, free_space, holder_of, outcome, refusal
from patchctl.usecases.hostjobs_health import check_health, health_probes
from patchctl.usecases.hostjobs_visit import RefusedError, Visit
from patchctl.usecases.remediate import read_boot_id
from patchctl.usecases.scan import shell_of

_SHOWN = 300
"""Characters of an actual value that are kept in the journal."""


class FixVisits(HostVisits):
    """Performs the jobs of one remediation. Safe to use from several threads."""

    _baselines: Sequence[Baseline] | None = None

    def _preflight(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        plan = self._plan.hosts[job.host]
        reply = visit.ask(Look())
        space = free_space(reply)
        data: dict[str, Any] = {"boot_id": reply.boot_id, "free_bytes": space.get(BASE, (0, ""))[0]}
        if reply.get("fenced"):
            failure = HostFailure("fenced", one_line(reply.get("fenced")), HINTS["fenced"])
            return outcome(job, "failed", {**data, "holder": holder_of(reply)}, failure)
        # What is told without asking (Fix.sets) is told by the findings, and those are compared anyway.
        asked = [fix for fix in plan.fixes if not self._plan.fixes[fix.name].sets]
        shown = [fix for fix in asked if not fix.preview_unknown and not job.previous]
        probe = fixing.preview_probe([self._plan.fixes[fix.name] for fix in shown])
        snapshot = self._ask(plan, visit, [probe] if shown else [])
        if snapshot.failure is not None:
            raise RefusedError(snapshot.failure.code, snapshot.failure.message, snapshot.failure.hint)
        found = self._judge(plan, snapshot)
        data["health_before"] = check_health(host, plan.health, snapshot.evidence, reach=visit.reach)
        data["changed"] = _list_changed(plan, found, again=bool(job.previous))
        if shown and not data["changed"]:
            told = fixing.read_previews(snapshot.output(probe.id) or "", len(shown))
            data["changed"] = _list_other_changes(shown, told)
        if all(fix.name in found and found[fix.name].verdict == PASS for fix in plan.fixes):
            return outcome(job, "done", {**data, "changed": []})
        if reply.get("veto"):
            return outcome(job, "veto", {**data, "reason": one_line(reply.get("veto"))})
        if data["changed"]:
            return outcome(job, "changed", data)
        short = find_shortage(self._plan, plan, space)
        return outcome(job, "failed", data, short) if short else outcome(job, "ok", data)

    def _stage(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        # The fixes travel with the start.
        return outcome(job, "ok", {"have": [], "delivered": [], "bytes": 0, "not_kept": []})

    def _start(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        plan = self._plan.hosts[job.host]
        fixes = [self._plan.fixes[fix.name] for fix in plan.fixes]
        if job.previous:  # what an earlier attempt has repaired already is left alone
            found = self._judge(plan, self._ask(plan, visit))
            fixes = [fix for fix in fixes if fix.name not in found or found[fix.name].verdict != PASS]
        way = visit.way.fixing
        payload = way.render_payload(
            fixes, job.attempt, secrets.token_hex(16), round(self._plan.limits.confirm)
        )
        request = Start(job.attempt, payload, way.render_listing(job.attempt))
        hit("start.host.before")
        reply = visit.ask(request)
        hit("start.host.after")
        data: dict[str, Any] = {"unit": reply.get("unit"), "boot_id": reply.boot_id, "holder": holder_of(reply)}
        if reply.state in ("started", "adopted"):
            return outcome(job, reply.state, {**data, "was": reply.get("was")})
        if reply.state in ("veto", "fenced"):
            reason = one_line(reply.get("reason"))
            return outcome(job, reply.state, {**data, "reason": reason}, HostFailure(reply.state, reason,
                                                                                     HINTS[reply.state]))
        return refusal(job, reply, data)

    def _poll(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        if any(self._plan.fixes[fix.name].access for fix in self._plan.hosts[job.host].fixes):
            visit.run(visit.way.fixing.render_answer(job.attempt), timeout=60.0)  # we got in: that is what it waits for
        found = super()._poll(job, host, visit)
        if found.result in ("finished", "interrupted"):
            told = found.data["changes"] or ()
            found.data["changes"] = [{"fix": c["package"], "from": "", "to": c["to"]} for c in told]
            found.data["backup"] = visit.way.fixing.backup_folder(job.attempt)
        return found

    def _verify(self, job: HostJob, host: Host, visit: Visit) -> JobOutcome:
        plan = self._plan.hosts[job.host]
        before = job.data.get("health_before")
        snapshot = self._ask(plan, visit)
        if snapshot.failure is not None:
            return outcome(job, "unreachable", error=snapshot.failure)
        (identity,) = self._store.save_snapshots([snapshot], "assess")
        found = self._judge(plan, snapshot)
        health = check_health(host, plan.health, snapshot.evidence, before or [], reach=visit.reach)
        boot_id = read_boot_id(snapshot)
        waiting = boot_id in ("", job.boot_id) and [f.name for f in plan.fixes if self._plan.fixes[f.name].reboot]
        results = [_result(fix.name, fix.was, found.get(fix.name)) for fix in plan.fixes]
        pending = [one for one in results if one["is"] != PASS and not (waiting and one["fix"] in waiting)]
        data: dict[str, Any] = {
            "fixes": results, "pending": [_pending_line(one) for one in pending],
            "unrepaired": [one["fix"] for one in pending], "health_after": health,
            "health_regressed": find_regressions(before, health), "reboot_required": bool(waiting),
            "reboot_reasons": [f"{name} counts only after a reboot" for name in waiting or ()], "boot_id": boot_id,
            "snapshot": identity, "failed_units_new": [], "broken": [], "notes": _newly_failing(plan, found),
        }
        bad = data["pending"] or data["health_regressed"]
        return outcome(job, "failed" if bad else "ok", data)

    def _ask(self, plan: HostPlan, visit: Visit, besides: Sequence[Probe] = ()) -> Snapshot:
        """Ask all that the plan's baselines want to know, and for the host's health."""
        extra: tuple[Probe, ...] = (*health_probes(plan.health, visit.shell), *besides)

        def collect(session: Session) -> Snapshot:
            baselines = self._compiled()
            probes = {p.id: p for p in (*assessment_probes(shell_of(session.host), baselines), *extra)}
            return collect_for(session, baselines, tuple(probes.values()), self._clock)

        return visit.collect(collect)

    def _judge(self, plan: HostPlan, snapshot: Snapshot) -> dict[str, Finding]:
        """Return BASELINE/RULE -> what it comes to."""
        shell = "powershell" if plan.platform == windows.PLATFORM.name else "sh"
        one = assess_snapshot(snapshot, shell, self._compiled())
        return {name_of(finding.baseline, finding.rule): finding for finding in one.findings}

    def _compiled(self) -> Sequence[Baseline]:
        if self._baselines is None:
            self._baselines = planned_baselines(self._plan)
        return self._baselines


def _list_changed(plan: HostPlan, found: dict[str, Finding], *, again: bool) -> list[str]:
    """Return where findings are not as planned; `again`: an earlier attempt may have repaired some."""
    changed = []
    for fix in plan.fixes:
        finding = found.get(fix.name)
        if finding is None:
            changed.append(f"{fix.name}: planned {fix.was}, not judged any more")
        elif again and finding.verdict in (PASS, FAIL):
            continue
        elif finding.verdict != fix.was:
            changed.append(one_line(f"{fix.name}: planned {fix.was}, found {finding.verdict} {finding.reason}"))
        elif evidence_of(finding) != fix.evidence:
            changed.append(one_line(f"{fix.name}: planned on {fix.actual}; found {finding.actual}"))
    return changed


def _list_other_changes(shown: Sequence[HostFix], told: Sequence[tuple[str, ...] | None]) -> list[str]:
    """Return which fixes would not change now what the plan shows: somebody was at their files since."""
    changed = []
    for fix, now in zip(shown, told, strict=True):
        if now is None:
            changed.append(f"{fix.name}: what it would change cannot be told any more")
        elif now != fix.preview:
            other = next((line for line in now if line not in fix.preview), "") or "less than planned"
            changed.append(one_line(f"{fix.name}: it would not change what the plan shows any more: {other}"))
    return changed


def _result(name: str, was: str, finding: Finding | None) -> dict[str, Any]:
    verdict = finding.verdict if finding is not None else "UNKNOWN"
    actual = (finding.reason or finding.actual) if finding is not None else "it was not judged"
    return {"fix": name, "was": was, "intended": PASS, "is": verdict, "actual": one_line(actual, _SHOWN)}


def _pending_line(one: dict[str, Any]) -> str:
    return one_line(f"{one['fix']}: was {one['was']}, intended {one['intended']}, is {one['is']}: {one['actual']}")


def _newly_failing(plan: HostPlan, found: dict[str, Finding]) -> list[str]:
    """Name rules that fail now and did not when planned: perhaps for what was done here, perhaps not."""
    known = {fix.name for fix in plan.fixes} | {left.name for left in plan.findings_left}
    names = sorted(name for name, finding in found.items() if finding.verdict == FAIL and name not in known)
    return [f"fails now and did not when planned: {', '.join(names[:5])}"] if names else []
