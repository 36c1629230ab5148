"""Reads policies/*.yaml into model/policy.py values."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from patchctl.documents.check import check_document
from patchctl.documents.loader import Document, parse_document, read_source
from patchctl.documents.policy_schema import (
    FAILURE_NOTES,
    WITHOUT_EFFECT,
    ApprovalSection,
    ApprovalTest,
    PolicyFile,
)
from patchctl.documents.source import Findings
from patchctl.model.errors import DocumentsError
from patchctl.model.policy import ApprovalRule, Limits, Notify, PackageOffer, Policy, RingSpec, WindowSpec


class PolicyDocument(Struct, frozen=True):
    """A policy with its file, so that checks across files can point at places in it."""

    policy: Policy
    document: Document
    tests: Sequence[ApprovalTest] = ()


def load_policy(path: Path) -> Policy:
    """Given the path of a policy file, return the policy. Raise DocumentsError with every problem in it."""
    findings = Findings()
    found = read_policy(path, str(path), findings)
    if found is None or findings.problems:
        raise DocumentsError(findings.sorted())
    return found.policy


def read_policy(path: Path, name: str, findings: Findings) -> PolicyDocument | None:
    """Like load_policy, but problems go to `findings`; `name` is how messages call the file."""
    source = read_source(path, name, findings)
    document = parse_document(source, findings) if source else None
    if source is None or document is None:
        return None
    content = check_document(document, PolicyFile, findings)
    if content is None:
        return None
    for key in WITHOUT_EFFECT:
        if key in content.model_fields_set and getattr(content, key):
            findings.note(document.problem((key,), "without-effect", f"{key!r} is accepted, but has no effect yet",
                                           "remove it, or keep it for a later version", key=True))
    if content.on_failure in FAILURE_NOTES:
        message, hint = FAILURE_NOTES[content.on_failure]
        findings.note(document.problem(("on_failure",), "without-effect", message, hint))
    return PolicyDocument(_policy(content, name, source.text), document, tuple(content.tests))


def _policy(content: PolicyFile, name: str, text: str) -> Policy:
    rings = tuple(
        RingSpec(r.name, r.hosts, r.size, WindowSpec(r.window) if r.window else None, r.soak, r.approval)
        for r in content.rings
    )
    limits = content.limits
    return Policy(
        name=content.policy, hosts=content.hosts, owner=content.owner,
        approve=tuple(_rule(entry) for entry in content.approve),
        reject=tuple(_rule(entry) for entry in content.reject),
        remove=tuple(ApprovalRule(entry.package, hosts=entry.hosts, reason=entry.reason) for entry in content.remove),
        timezone=content.timezone, blackout=tuple(content.blackout), rings=rings,
        limits=Limits(limits.concurrency, limits.errors, limits.unreachable, limits.changed, limits.host_time,
                      limits.retries, limits.confirm),
        reboot=content.reboot, on_failure=content.on_failure,
        health=tuple(entry.check() for entry in content.health),
        notify=Notify(tuple(content.notify.halted), tuple(content.notify.finished)),
        offers=tuple(
            PackageOffer(
                p.package, p.version, p.file, p.sha256, p.size, p.file.rpartition("/")[2], p.security, p.severity,
                p.uninstall)
            for p in content.packages
        ),
        refresh=content.refresh, stage=content.stage, deadline=tuple(content.deadline.items()), bundle=content.bundle,
        source=name, digest=hashlib.sha256(text.encode()).hexdigest(),
        extra=tuple((key, getattr(content, key)) for key in WITHOUT_EFFECT
                    if key in content.model_fields_set and getattr(content, key)),
    )


def _rule(entry: ApprovalSection) -> ApprovalRule:
    return ApprovalRule(entry.package, entry.security, entry.known_exploited, entry.severity, entry.after, entry.hosts,
                        entry.reason, entry.until, tuple(entry.classification))
