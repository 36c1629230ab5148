"""From a seed: a plan, its hosts and what is wrong with each of them."""

from __future__ import annotations

import random

from msgspec.structs import replace

from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing, Undo
from patchctl.model.policy import Limits
from patchctl.model.rollout import Signature
from tests.sim.simhost import Scenario, SimHost

START = 1_796_000_000.0
"""2026-11-30 00:53:20 UTC"""
SIGNATURES = (
    Signature(
        "dpkg-lock-held", "package-manager",
        r"Could not get lock \S+\. It is held by process (?P<pid>\d+) \((?P<who>\S+)\)",
        "dpkg lock held by {who}[{pid}]", transient=True, remedy="wait-for-lock",
    ),
    Signature("postinst-failed", "patch", r"post-installation script subprocess returned", "a postinst fails"),
    Signature(
        "dpkg-interrupted", "package-manager", r"dpkg was interrupted", "an earlier dpkg run was cut off",
        transient=True, remedy="dpkg-configure-a",
    ),
)
LOCKED = "E: Could not get lock /var/lib/dpkg/lock. It is held by process 4711 (unattended-upgr)"
BROKEN = "subprocess installed post-installation script subprocess returned error exit status 1"

TROUBLES: tuple[Scenario, ...] = (
    Scenario("clean"),
    Scenario("clean-slow", install=140.0),
    Scenario("reboot", reboot_required=True),
    Scenario("reboot-slow", reboot_required=True, boot_time=300.0),
    Scenario("reboot-lost-request", reboot_required=True, lost_replies=("reboot",)),
    Scenario("never-back", reboot_required=True, boot_time=float("inf")),
    Scenario("lock-held", failures=1, failure_log=LOCKED),
    Scenario("lock-held-for-ever", failures=-1, failure_log=LOCKED),
    Scenario("postinst", failures=-1, failure_log=BROKEN),
    Scenario("postinst-in-place", failures=-1, failure_log=BROKEN, done_all_the_same=True),
    Scenario("postinst-half-done", failures=-1, failure_log=BROKEN, half_done=True),
    Scenario("sshd-cut", install=90.0, cut=(3.0, 63.0)),
    Scenario("start-reply-lost", lost_replies=("start",)),
    Scenario("replies-lost", lost_replies=("preflight", "stage", "poll", "verify", "cleanup")),
    Scenario("power-cut", power_cut=7.0),
    Scenario("changed", changed=True),
    Scenario("done", done=True),
    Scenario("veto", veto=True),
    Scenario("gone", gone="unreachable"),
    Scenario("wrong-key", gone="host-key"),
    Scenario("late", late_by=8.0),
    Scenario("disk-full", disk_full=True),
    Scenario("unhealthy", unhealthy=True),
    Scenario("foreign", foreign=True),
)

TURNS_BACK: tuple[Scenario, ...] = (
    Scenario("back", unhealthy=True),
    Scenario("back-from-half", failures=-1, failure_log=BROKEN, half_done=True),
    Scenario("back-second-time", unhealthy=True, undo_failures=1, failure_log=LOCKED),
    Scenario("back-fails", unhealthy=True, undo_failures=-1, failure_log=BROKEN),
    Scenario("back-half-way", unhealthy=True, undo_failures=-1, failure_log=BROKEN, half_done=True),
    Scenario("back-cut", unhealthy=True, undo_power_cut=7.0),
    Scenario("back-lost", unhealthy=True, lost_replies=("start", "poll", "verify", "cleanup")),
    Scenario("back-reboot", unhealthy=True, reboot_required=True),
    Scenario("back-still-sick", unhealthy=True, unhealthy_for_good=True),
    Scenario("back-sshd-cut", unhealthy=True, install=90.0, cut=(3.0, 63.0)),
    Scenario("no-way-back", unhealthy=True, no_way_back=True),
    Scenario("power-cut", power_cut=7.0),
    Scenario("clean"),
)
"""For on_failure: rollback."""

GOOD = tuple(trouble for trouble in TROUBLES if trouble.name in (
    "clean", "reboot", "reboot-lost-request", "lock-held", "sshd-cut", "start-reply-lost", "replies-lost", "power-cut",
))


def make_fleet(seed: int, count: int, **changes: object) -> tuple[Plan, list[SimHost]]:
    """Return plan and hosts. Rings: one canary, the rest, each in waves; limits wide open unless `changes` says so.

    With on_failure="rollback", hosts are among those that turn back.
    """
    troubles = TURNS_BACK if changes.get("on_failure") == "rollback" else TROUBLES
    rng = random.Random(seed)
    names = [f"h{number:02d}" for number in range(1, count + 1)]
    hosts = []
    for name in names:
        some = GOOD if name == names[0] else troubles  # a canary that fails would halt the rest, see test_gates.py
        scenario = rng.choice(some)
        hosts.append(SimHost(name, replace(scenario, install=scenario.install + rng.randrange(15))))
    plan = make_plan(names, seed, **changes)
    lost = Undo(why_not="openssl 1.0: no longer listed")
    barred = {host.name: replace(plan.hosts[host.name], undo=lost) for host in hosts if host.scenario.no_way_back}
    return replace(plan, hosts={**plan.hosts, **barred}), hosts


def make_plan(names: list[str], seed: int = 0, **changes: object) -> Plan:
    """Return a plan in which every host updates openssl from 1.0 to 2.0."""
    rng = random.Random(f"plan {seed}")
    canary, rest = names[:1], names[1:]
    width = max(1, len(rest) // 2)
    waves = tuple(tuple(rest[i:i + width]) for i in range(0, len(rest), width))
    reboot = rng.choice(("if_required", "if_required", "never", "always"))
    hosts = {}
    for ring, members in (("canary", (tuple(canary),)), ("rest", waves)):
        for number, wave in enumerate(members):
            for name in wave:
                change = Change("openssl", "amd64", "1.0", "2.0", "ab" * 32)
                undo = Undo((Change("openssl", "amd64", "2.0", "1.0", "cd" * 32),))
                hosts[name] = HostPlan(name, ring, number, "sim", (change,), reboot=reboot, undo=undo)
    plan = Plan(
        rollout=f"sim-{seed}", policy="sim", created_at=START, created_by="ann@ctl", policy_digest="", timezone="UTC",
        membership_digest="", blackout=(), hosts=hosts, artefacts={}, concurrency=max(1, len(names) // 3),
        rings=(PlannedRing("canary", (tuple(canary),), soak=120.0), PlannedRing("rest", waves)),
        limits=Limits(errors="100%", unreachable="100%", changed="100%", host_time=3600.0),
    )
    return replace(plan, **changes)
