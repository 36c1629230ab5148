"""From findings to fixes and back: what a plan keeps of baselines, and the baselines that a plan judges by again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from patchctl.assess.content.native import NativeKind
from patchctl.assess.contract import Baseline, Request
from patchctl.model.assessment import SEVERITIES, Finding, Remediation, Rule
from patchctl.model.codec import canonical_json, from_json
from patchctl.model.errors import PlanStaleError
from patchctl.model.native import NativeBaseline
from patchctl.model.plan import Fix, Plan, PlannedBaseline
from patchctl.usecases.baselines import find_content, load_baselines

_ACCESS = re.compile(
    r"/etc/(ssh/|sudoers|pam\.d/|security/|nsswitch|hosts\.(allow|deny)|nftables|passwd|shadow|login\.access)"
    r"|\b(sshd|nft|iptables|ip6tables|ufw|firewall-cmd|usermod|userdel|faillock)\b"
    r"|\\(WinRM|SCHANNEL|MSV1_0|Lsa|LanmanServer)\b|LocalAccountTokenFilterPolicy|NetFirewallProfile|LocalUser|LocalGroupMember"
    r"|LogonRight|net\.exe user|'(WinRM|MpsSvc|Schedule)'"
)
"""What tells that a fix concerns how people get in. Too much costs one more login, too little could lock us out."""


def name_of(baseline: str, rule: str) -> str:
    """Return how a fix is called in plans, journals and reports."""
    return f"{baseline}/{rule}"


def evidence_of(finding: Finding) -> str:
    """Return the hash over what a finding was judged by: it differs as soon as something else is found."""
    items = [[i.source, i.expected, i.actual, i.ok] for i in finding.items]
    return hashlib.sha256(canonical_json([finding.verdict, finding.reason, items])).hexdigest()


def make_fix(baseline: str, rule: Rule, remediation: Remediation) -> Fix:
    """Return the fix that a rule's remediation is."""
    texts = "\n".join((remediation.script, *remediation.files))
    return Fix(
        name_of(baseline, rule.id), baseline, rule.id, rule.title, rule.severity, remediation.kind, remediation.script,
        tuple(path for path in remediation.files if path.startswith("/")), remediation.disruption, remediation.reboot,
        access=bool(_ACCESS.search(_without_functions(texts))), sets=remediation.sets,
    )  # fmt: skip


def _without_functions(text: str) -> str:
    """Leave out the shell functions that every declarative script carries."""
    return re.sub(r"^pc_\w+\(\) \{$.*?^\}$", "", text, flags=re.M | re.S)


def is_at_least(severity: str, least: str) -> bool:
    """Say whether a severity reaches another; an unknown one reaches nothing but itself."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least) if severity in SEVERITIES else False


def plan_baseline(
    baseline: Baseline, reference: str, folder: Path, parameters: Mapping[str, str], tailoring: Path | None
) -> PlannedBaseline:
    """Return what a plan keeps of a baseline. One of our own is kept whole, so that nothing has to be read again."""
    values = tuple(sorted(parameters.items()))
    planned = PlannedBaseline(baseline.name, baseline.kind, baseline.digest, reference, parameters=values,
                              tailoring=str(tailoring.resolve()) if tailoring is not None else "")  # fmt: skip
    if baseline.kind != "native":
        path = find_content(reference, folder, parameters).path.resolve()
        _, sign, profile = reference.rpartition("#")
        return replace(planned, reference=f"{path}#{profile}" if sign else str(path))
    native = from_json(NativeBaseline, find_content(reference, folder, parameters).data)
    without_tests = replace(native, rules=tuple(replace(rule, tests=()) for rule in native.rules))
    return replace(planned, content=without_tests.to_bytes().decode())


def planned_baselines(plan: Plan) -> Sequence[Baseline]:
    """Return the baselines that a plan's findings are judged by. Raise PlanStaleError when one has changed."""
    found = []
    for one in plan.baselines:
        if one.content:
            request = Request(one.name, parameters=dict(one.parameters))
            found.append(NativeKind().compile(one.content.encode(), one.reference, request))
            continue
        tailoring = Path(one.tailoring) if one.tailoring else None
        baseline, = load_baselines([one.reference], Path(), tailoring=tailoring, parameters=dict(one.parameters))
        if baseline.digest != one.digest:
            raise PlanStaleError("plan-stale", f"baseline {one.reference} was changed since the plan was made",
                                 "plan again: patchctl remediate")
        found.append(baseline)
    return found
