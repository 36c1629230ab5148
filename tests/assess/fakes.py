"""A kind of baseline for tests: each rule compares what a command prints. Small enough to be right at a glance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from patchctl.assess.contract import Profile, Request
from patchctl.model.assessment import FAIL, NOT_APPLICABLE, PASS, UNKNOWN, Finding, Item, Remediation, Rule
from patchctl.model.evidence import NOT_APPLICABLE as NA
from patchctl.model.evidence import Probe, Snapshot


@dataclass(frozen=True)
class FakeRule:
    rule: Rule
    command: str
    expect: str
    root: bool = False
    when: str = ""
    follow: str = ""
    """Command to ask once `command` has answered; its output is judged instead."""

    def probe(self) -> Probe:
        return Probe(f"fake.{_short(self.command)}", self.command, root=self.root, when=self.when)

    def second(self) -> Probe:
        return Probe(f"fake.{_short(self.follow)}", self.follow)


@dataclass(frozen=True)
class FakeBaseline:
    name: str
    title: str
    kind: str
    source: str
    digest: str
    shell: str
    checks: tuple[FakeRule, ...]

    @property
    def rules(self) -> Sequence[Rule]:
        return [check.rule for check in self.checks]

    def probes(self) -> Sequence[Probe]:
        return [check.probe() for check in self.checks]

    def follow_up(self, snapshot: Snapshot) -> Sequence[Probe]:
        """A chain: each answer may ask for more, so that the limit of round trips can be met."""
        return [c.second() for c in self.checks if c.follow and snapshot.output(c.probe().id) is not None]

    def evaluate(self, snapshot: Snapshot) -> Sequence[Finding]:
        return [self._judge(check, snapshot) for check in self.checks]

    def _judge(self, check: FakeRule, snapshot: Snapshot) -> Finding:
        probe = check.second() if check.follow else check.probe()
        base = Finding(snapshot.host, self.name, check.rule.id, UNKNOWN, check.rule.title, check.rule.severity,
                       check.expect, collected_at=snapshot.taken_at)
        found = snapshot.evidence.get(probe.id)
        if found is not None and found.status == NA:
            return replace(base, verdict=NOT_APPLICABLE, reason=found.reason)
        said = snapshot.output(probe.id)
        if said is None:
            return replace(base, reason=snapshot.reason(probe.id))
        right = said.strip() == check.expect
        item = Item(probe.command, check.expect, said.strip(), right)
        return replace(base, verdict=PASS if right else FAIL, actual=said.strip(), items=(item,))

    def explain(self, rule: str, snapshot: Snapshot | None = None) -> Sequence[str]:
        check = {c.rule.id: c for c in self.checks}[rule]
        return [f"runs {check.command}", f"expects {check.expect}"]


class FakeKind:
    name = "fake"
    compiled = 0

    def recognises(self, path: str, head: bytes) -> bool:
        return head.lstrip().startswith(b'{"fake"')

    def profiles(self, data: bytes, source: str) -> Sequence[Profile]:
        return [Profile("", json.loads(data)["fake"], len(json.loads(data)["rules"]))]

    def compile(self, data: bytes, source: str, request: Request) -> FakeBaseline:
        FakeKind.compiled += 1
        return make_baseline(json.loads(data), request.name, source)


def make_baseline(content: dict[str, Any], name: str = "fake", source: str = "fake.json") -> FakeBaseline:
    checks = tuple(
        FakeRule(
            Rule(one["id"], one.get("title", ""), one.get("severity", "medium"), weight=one.get("weight", 1.0),
                 groups=tuple(one.get("groups", ())),
                 remediation=Remediation("script", one["fix"], tuple(one.get("files", ()))) if "fix" in one else None),
            one["command"], one["expect"], one.get("root", False), one.get("when", ""), one.get("follow", ""),
        )
        for one in content["rules"]
    )
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return FakeBaseline(name, content["fake"], "fake", source, digest, content.get("shell", "sh"), checks)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


KIND = FakeKind()
