"""Rollouts as the journal tells them, for the reports' tests: of any size, with every way to end."""

from __future__ import annotations

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing
from patchctl.model.policy import Limits
from patchctl.model.rollout import Event
from patchctl.report.digest import RolloutDigest, Sealed, digest_rollout
from patchctl.rollout.journal import fold_all, initial, to_document

START = 1_794_517_200.0  # 2026-11-12 21:00:00 UTC, 22:00 in Amsterdam

PACKAGES = (
    ("openssl", "3.0.15-1~deb12u1", "3.0.17-1~deb12u3", True),
    ("libssl3", "3.0.15-1~deb12u1", "3.0.17-1~deb12u3", True),
    ("linux-image-amd64", "6.1.128-1", "6.1.147-1", True), ("tzdata", "2024b-0+deb12u1", "2025b-0+deb12u2", False),
)  # fmt: skip


def make_plan(names, *, frozen=(), rollout="2026-11-monthly", packages=PACKAGES) -> Plan:
    names = list(names)
    canary, rest = names[:1], names[1:]
    changes = tuple(
        Change(p, "amd64", a, b, f"{n:02x}" * 32, "Debian-Security:12", security, pulled=p == "libssl3",
               reason="approve[2] {security: true, after: 3d}")
        for n, (p, a, b, security) in enumerate(packages)
    )  # fmt: skip
    waiting = (("bash", "5.2.15-2+b9", "approve[3] {after: 7d}: due 2026-11-26 20:00 CET"),)
    hosts = {}
    for n, name in enumerate(names):
        hosts[name] = HostPlan(
            name, "canary" if name in canary else "rest", n // 10, "apt", changes[: 3 + n % 2] if n % 7 else changes,
            not_approved=waiting if n % 5 else (),
            site="ams" if n % 2 else "oslo", boot_id="0" * 8,
            skip="frozen: forensics for INC4711, until 2026-12-01" if name in frozen else "",
            skip_state="frozen" if name in frozen else "",
        )  # fmt: skip
    return Plan(
        rollout=rollout, policy="monthly", created_at=START - 90_000, created_by="jane@ctl", policy_digest="5d" * 32,
        membership_digest="9e" * 32, timezone="Europe/Amsterdam", blackout=(), concurrency=4, hosts=hosts,
        rings=(
            PlannedRing("canary", (tuple(canary),), "2nd tue +1d 20:00 4h", 86400.0),
            PlannedRing("rest", tuple(tuple(rest[i : i + 10]) for i in range(0, len(rest), 10)),
                        "2nd tue +2d 22:00 4h", 0, "second-person"),
        ),
        artefacts={"00" * 32: Artefact("openssl", "3.0.17-1~deb12u3", "amd64", "00" * 32, 5, "openssl.deb")},
        limits=Limits(errors="2%"), policy_source="policies/monthly.yaml", next_due=START + 13.9 * 86400,
    )  # fmt: skip


class Story:
    """Writes a journal event by event."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.events: list[Event] = []
        self.at = START
        self.say("rollout-created")
        self.say("rollout-started", {"token": 1})

    def say(self, kind, data=None, host="", reason="", actor="patchctl", after=1.0):
        self.at += after
        self.events.append(
            Event(self.plan.rollout, len(self.events) + 1, self.at, actor, kind, host, data or {}, reason)
        )

    def job(self, host, kind, result, data=None, error=None, number=1):
        name = f"{host}.{kind}.{len(self.events)}"
        attempt = f"{self.plan.rollout}.{sum(host.encode()):08x}.{number}"
        self.say("job-intended", {"job": name, "kind": kind, "attempt": attempt, "number": number, "token": 1}, host)
        ended = {"job": name, "kind": kind, "result": result, "data": data or {}}
        if error:
            ended["error"] = error
        self.say("job-ended", ended, host, after=20.0)

    def succeed(self, host):
        health = [{"kind": "unit", "target": "ssh.service", "ok": True, "detail": ""}]
        self.job(host, "preflight", "ok", {"boot_id": "aaaa1111-0000", "health_before": health})
        self.job(host, "start", "started", {"boot_id": "aaaa1111-0000"})
        changes = [
            {"package": c.package, "arch": c.arch, "from": c.from_version, "to": c.to_version}
            for c in self.plan.hosts[host].changes
        ]
        self.job(host, "poll", "finished", {"rc": 0, "changes": changes, "conffiles": ["/etc/ssh/sshd_config"],
                                               "transactions": ["dnf history info 12"]})
        self.job(host, "boot", "rebooted", {"boot_id": "bbbb2222-0000"})
        self.job(host, "verify", "ok", {"health_after": health, "reboot_required": False})
        self.settle(host, "succeeded")

    def fail(self, host, message="dpkg lock held by unattended-upgr[4711] 31 min", evidence="E: Could not get lock"):
        for attempt in (1, 2, 3):
            self.job(host, "poll", "finished", {"rc": 100, "log": evidence}, number=attempt)
            diagnosis = {
                "cls": "package-manager", "signature": "dpkg-lock-held", "evidence": evidence, "message": message,
                "transient": True, "remedy": "wait-lock",
            }  # fmt: skip
            again = attempt < 3
            data = {"state": "failed", "counts": "errors", "retry": again, "diagnosis": diagnosis}
            data["adjustments"] = ["wait-lock"] if again else []
            self.say("host-concluded", data, host, message)
            if again:
                self.say("host-retried", {}, host, "next attempt")
        self.settle(host, "failed", message, "errors")

    def settle(self, host, state, reason="", counts=""):
        self.say("host-settled", {"state": state, "counts": counts, "changed": state == "succeeded"}, host, reason)

    def digest(self) -> RolloutDigest:
        state = fold_all(initial(self.plan), self.events)
        sealed = [Sealed(n, f"{n:064x}", event) for n, event in enumerate(self.events, 8000)]
        return digest_rollout(self.plan, sealed, to_document(state))


def tell(names, *, failed=(), unreachable=(), frozen=(), blocked=(), **options) -> Story:
    """A whole rollout: canary first, an approval, then the rest."""
    names = list(names)
    story = Story(make_plan(names, frozen=frozen, **options))
    story.say("ring-opened", {"ring": "canary"})
    for n, name in enumerate(names):
        if n == 1:
            story.say("ring-finished", {"ring": "canary"})
            story.say("ring-approved", {"ring": "rest"}, reason="CHG-4711, canary looks good", actor="ops@ctl")
            story.say("ring-opened", {"ring": "rest"})
        if name in frozen:
            continue
        if name in failed:
            story.fail(name)
        elif name in unreachable:
            error = {"code": "tcp-timeout", "message": "no answer on port 22", "hint": "", "status": "unreachable"}
            story.job(name, "preflight", "unreachable", error=error)
            story.settle(name, "unreachable", "no answer on port 22 for 15 s", "unreachable")
        elif name in blocked:
            story.settle(name, "blocked", "relay oslo-r1, TCP 22 timeout since 23:12")
        else:
            story.succeed(name)
    story.say("ring-finished", {"ring": "rest"})
    story.say("rollout-completed", {})
    return story
