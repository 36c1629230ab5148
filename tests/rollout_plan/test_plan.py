"""Promises of a plan: exact, complete, deterministic; unknown blocks; a plan that no longer fits names what moved."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.model.codec import from_json, to_json
from patchctl.model.errors import HostFailure, PlanStaleError, UsageError
from patchctl.model.facts import Artefact, HostFacts, OsRelease, RebootNeed, Update
from patchctl.model.fingerprint import found_fingerprint, list_differences, planned_fingerprint
from patchctl.model.hosts import Connection, Freeze, Group, HealthCheck, Host, Inventory
from patchctl.model.plan import Plan
from patchctl.model.policy import Approval, ApprovalRule, Limits, Policy, RingSpec, WindowSpec
from patchctl.patch.approvals import judge_update
from patchctl.rollout.hostplan import Survey, choose_updates, list_unresolved
from patchctl.rollout.plan import build_plan, check_fresh, name_rollout

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC).timestamp()
OPENSSL = Update("openssl", "amd64", "3.0.1", "3.0.2", "Debian-Security", True)
LIBSSL = Update("libssl3", "amd64", "3.0.1", "3.0.2", "Debian-Security", True)
BASH = Update("bash", "amd64", "5.2-1", "5.2-2", "Debian", False)
KERNEL = Update("linux-image-amd64", "amd64", "6.1.1", "6.1.2", "Debian-Security", True)
KERNEL_NEW = Update("linux-image-6.1.0-2-amd64", "amd64", "", "6.1.2", "Debian-Security", True, "new")


def artefact(update: Update, size: int = 1000) -> Artefact:
    sha256 = hashlib.sha256(f"{update.package} {update.candidate}".encode()).hexdigest()
    return Artefact(update.package, update.candidate, update.arch, sha256, size, f"{update.package}.deb")


def facts(*updates: Update, **more: object) -> HostFacts:
    base = HostFacts(
        os=OsRelease("debian", "12", "debian"), boot_id="b-1", updates=updates, reboot=RebootNeed(False),
        reboot_packages=(), artefacts=tuple(artefact(u) for u in updates),
    )
    return replace(base, **more)  # type: ignore[arg-type]


def survey(*updates: Update, resolution: HostFacts | HostFailure | None = None, **more: object) -> Survey:
    return Survey(facts(*updates, **more), "apt", resolution)


EVERYTHING = Policy(
    "everything", approve=(ApprovalRule(),), digest="d1", source="policies/everything.yaml",
    rings=(RingSpec("canary", size="1"), RingSpec("rest", size="rest", window=WindowSpec("sat 22:00 4h"), soak=60.0)),
    limits=Limits(concurrency="2"), health=(HealthCheck("no_new_failed_units"),),
)
SECURITY = replace(EVERYTHING, approve=(ApprovalRule(security=True),))


def make_inventory(*hosts: Host, groups: dict[str, Group] | None = None) -> Inventory:
    return Inventory({host.name: host for host in hosts}, groups or {}, {}, ("inventories/x.yaml",))


def plan_one(found: Survey | None, policy: Policy = EVERYTHING, host: Host | None = None) -> Plan:
    host = host or Host("web01")
    return plan_all(policy, make_inventory(host), {host.name: found} if found else {})


def plan_all(policy: Policy, inventory: Inventory, surveys: dict[str, Survey], **more: object) -> Plan:
    def judge(host: Host, update: Update) -> Approval:
        return judge_update(policy, host.name, update, None, NOW, lambda pattern, name: name.startswith(pattern))

    return build_plan(policy, inventory, surveys, judge, now=NOW, actor="ops@ctl", **more)  # type: ignore[arg-type]


# -- one host

def test_full_upgrade_has_exact_versions_hashes_and_what_is_pulled_in() -> None:
    plan = plan_one(survey(OPENSSL, KERNEL, KERNEL_NEW))
    host = plan.hosts["web01"]
    assert [(c.package, c.from_version, c.to_version, c.pulled) for c in host.changes] == [
        ("openssl", "3.0.1", "3.0.2", False),
        ("linux-image-amd64", "6.1.1", "6.1.2", False),
        ("linux-image-6.1.0-2-amd64", "", "6.1.2", True),
    ]
    assert all(plan.artefacts[c.sha256].package == c.package for c in host.changes)
    assert host.changes[0].reason == "approve[1] {}"
    assert (host.reboot_expected, host.download_bytes, host.skip) == (True, 3000, "")
    assert (host.ring, host.wave, host.boot_id, host.platform) == ("canary", 1, "b-1", "apt")
    assert host.fingerprint == found_fingerprint("openssl:amd64 3.0.1\nlinux-image-amd64:amd64 6.1.1\n")


def test_partial_approval_takes_what_the_host_resolved() -> None:
    resolved = facts(OPENSSL, LIBSSL)
    plan = plan_one(survey(OPENSSL, replace(LIBSSL, security=False), BASH, resolution=resolved), SECURITY)
    host = plan.hosts["web01"]
    assert [(c.package, c.pulled) for c in host.changes] == [("openssl", False), ("libssl3", True)]
    assert host.changes[1].reason == "needed by approved updates; itself pending"
    assert host.not_approved[-1] == ("bash", "5.2-2", "pending: no approve rule matches")


def test_partial_approval_that_nobody_asked_the_host_about_blocks() -> None:
    timeout = HostFailure("timeout", "no answer in 900 s")
    for resolution, words in ((None, "was not asked"), (timeout, "no answer in 900 s")):
        host = plan_one(survey(OPENSSL, BASH, resolution=resolution), SECURITY).hosts["web01"]
        assert (host.skip_state, host.changes, host.wave) == ("blocked", (), 0)
        assert words in host.skip


def test_what_to_ask_the_host_is_exactly_the_approved_part() -> None:
    def judge(_: Host, update: Update) -> Approval:
        return Approval("approved" if update.security else "pending", "")

    def ask(seen: HostFacts) -> list[str]:
        return [change.package for change in list_unresolved(choose_updates(Host("h"), seen, judge), seen)]

    assert ask(facts(OPENSSL, BASH)) == ["openssl"]
    assert ask(facts(OPENSSL)) == []
    assert ask(facts(OPENSSL, replace(BASH, state="held"))) == [], "held ones never join anyway"
    assert ask(replace(facts(OPENSSL), artefacts=())) == ["openssl"], "a scan of this host shows no hashes"
    assert ask(facts(BASH)) == []


def test_a_host_that_gave_no_hashes_is_asked_and_gets_all_of_them() -> None:
    seen = survey(OPENSSL, resolution=facts(OPENSSL, LIBSSL))
    blank = replace(seen, facts=replace(facts(OPENSSL), artefacts=()))
    host = plan_one(blank, SECURITY).hosts["web01"]
    assert [(c.package, c.pulled) for c in host.changes] == [("openssl", False), ("libssl3", True)]
    assert all(change.sha256 for change in host.changes)


def test_a_part_of_the_updates_is_noted_where_that_is_not_supported() -> None:
    resolved = facts(OPENSSL, LIBSSL)
    mixed = survey(OPENSSL, replace(LIBSSL, security=False), BASH, resolution=resolved)
    assert plan_one(mixed, SECURITY).hosts["web01"].notes == ()
    arch = replace(mixed, platform="pacman")
    assert "partial upgrades" in " ".join(plan_one(arch, SECURITY).hosts["web01"].notes)
    whole = replace(survey(OPENSSL), platform="pacman")
    assert plan_one(whole, SECURITY).hosts["web01"].notes == ()


def test_a_pulled_package_that_is_rejected_blocks_the_host() -> None:
    policy = replace(EVERYTHING, reject=(ApprovalRule(package="linux-image-6*", reason="CHG-1"),))
    host = plan_one(survey(KERNEL, KERNEL_NEW, resolution=facts(KERNEL, KERNEL_NEW)), policy).hosts["web01"]
    assert host.skip_state == "blocked"
    assert 'linux-image-6.1.0-2-amd64 6.1.2, which is reject[1] {package: "linux-image-6*"}' in host.skip
    assert "CHG-1" in host.skip


def test_removals_block() -> None:
    host = plan_one(survey(OPENSSL, removals=("oldlib",))).hosts["web01"]
    assert (host.skip_state, host.skip.startswith("would remove oldlib")) == ("blocked", True)
    resolved = facts(OPENSSL, removals=("oldlib",))
    assert plan_one(survey(OPENSSL, BASH, resolution=resolved), SECURITY).hosts["web01"].skip_state == "blocked"
    ignored = plan_one(survey(OPENSSL, BASH, resolution=facts(OPENSSL), removals=("oldlib",)), SECURITY).hosts["web01"]
    assert ignored.skip == "", "the full upgrade would remove it; the approved part does not"


def test_removals_that_the_policy_names_are_planned() -> None:
    policy = replace(EVERYTHING, remove=(ApprovalRule("old*", reason="replaced"),))
    host = plan_one(survey(OPENSSL, removals=("oldlib:amd64",)), policy).hosts["web01"]
    assert (host.skip, host.removals, [c.package for c in host.changes]) == ("", ("oldlib:amd64",), ["openssl"])
    more = plan_one(survey(OPENSSL, removals=("oldlib", "nginx")), policy).hosts["web01"]
    assert more.skip.startswith("would remove nginx, which the policy does not name"), "one that is not named blocks"
    elsewhere = replace(EVERYTHING, remove=(ApprovalRule("old*", hosts="!web01", reason="replaced"),))
    assert plan_one(survey(OPENSSL, removals=("oldlib",)), elsewhere).hosts["web01"].skip_state == "blocked"
    resolved = survey(OPENSSL, BASH, resolution=facts(OPENSSL, removals=("oldlib",)), removals=("oldlib", "nginx"))
    part = plan_one(resolved, replace(SECURITY, remove=policy.remove)).hosts["web01"]
    assert (part.skip, part.removals) == ("", ("oldlib",)), "what only the rest of the upgrade removes does not count"


def test_an_approved_update_that_cannot_be_had_alone_is_left_out_and_told() -> None:
    host = plan_one(survey(OPENSSL, LIBSSL, BASH, resolution=facts(OPENSSL)), SECURITY).hosts["web01"]
    assert [change.package for change in host.changes] == ["openssl"]
    assert host.not_approved[-1][:2] == ("libssl3", "3.0.2")


def test_a_version_that_moved_while_planning_blocks() -> None:
    newer = facts(replace(OPENSSL, candidate="3.0.3"))
    assert "while planning" in plan_one(survey(OPENSSL, BASH, resolution=newer), SECURITY).hosts["web01"].skip


def test_a_missing_hash_blocks() -> None:
    host = plan_one(survey(OPENSSL, BASH, artefacts=(artefact(BASH),))).hosts["web01"]
    assert (host.skip_state, "no SHA-256 is known for openssl" in host.skip) == ("blocked", True)


@pytest.mark.parametrize(("found", "words"), [
    (None, "never scanned"),
    (Survey(facts(OPENSSL), ""), "no platform for debian 12"),
    (Survey(HostFacts(unknown=(("updates", "package lists are 9 days old"),)), "apt"), "package lists are 9 days old"),
])
def test_unknown_is_blocked_never_nothing_to_do(found: Survey | None, words: str) -> None:
    host = plan_one(found).hosts["web01"]
    assert (host.skip_state, host.changes) == ("blocked", ())
    assert words in host.skip


def test_unreachable_and_frozen_hosts_are_told_with_their_reason() -> None:
    away = plan_one(Survey(HostFailure("tcp-timeout", "10.0.0.1:22 timed out", "", "unreachable"))).hosts["web01"]
    assert (away.skip_state, away.skip) == ("unreachable", "tcp-timeout: 10.0.0.1:22 timed out")
    frozen = Host("web01", frozen=Freeze("audit", "2026-11-22"))
    cold = plan_one(survey(OPENSSL), host=frozen).hosts["web01"]
    assert (cold.skip_state, cold.skip) == ("frozen", "frozen until 2026-11-22: audit")


@pytest.mark.parametrize(("until", "frozen"), [
    ("", True), ("2026-11-21", False), ("2026-11-22", True), ("2026-11-22T09:59:00Z", False),
    ("2026-11-22T10:30:00+00:00", True), ("when Bob says so", True),
])
def test_a_freeze_ends_when_it_says_and_not_before(until: str, frozen: bool) -> None:
    host = plan_one(survey(OPENSSL), host=Host("web01", frozen=Freeze("audit", until))).hosts["web01"]
    assert bool(host.skip) is frozen
    assert frozen or "the freeze has ended" in host.notes[0]


def test_reboot_expectation() -> None:
    def expected(found: Survey, policy: Policy = EVERYTHING, own: str = "") -> bool | None:
        return plan_one(found, policy, Host("web01", reboot=own)).hosts["web01"].reboot_expected

    assert expected(survey(BASH)) is False
    assert expected(survey(BASH, reboot=RebootNeed(True))) is True
    assert expected(survey(BASH, reboot=RebootNeed(None))) is None
    assert expected(survey(BASH), replace(EVERYTHING, reboot="always")) is True
    assert expected(survey(BASH), own="always") is True
    assert expected(survey(), own="always") is False, "nothing changes, so nothing needs a reboot"
    assert plan_one(survey(KERNEL), host=Host("web01", reboot="never")).hosts["web01"].reboot == "never"


def test_reboot_is_expected_for_what_only_a_reboot_takes_into_use() -> None:
    used = (("libssl3", "systemd[1]"), ("libssl3", "dbus-daemon[29]"), ("libpam0g", "systemd[1]"))
    systemd = replace(BASH, package="systemd")
    libpam = replace(BASH, package="libpam0g")

    def expected(*updates: Update, known: tuple[tuple[str, str], ...] | None = used) -> tuple[bool | None, str]:
        host = plan_one(survey(*updates, reboot_packages=known)).hosts["web01"]
        return host.reboot_expected, host.reboot_reason

    assert expected(BASH) == (False, "")
    assert expected(BASH, LIBSSL) == (True, "libssl3: in use by dbus-daemon[29]")
    assert expected(libpam) == (True, "libpam0g: in use by systemd[1]")
    assert expected(libpam, systemd)[0] is None, "init executes itself anew, before or after libpam0g is unpacked"
    assert expected(LIBSSL, systemd)[0] is True, "the message bus keeps the old one in any case"
    assert expected(KERNEL)[0] is True
    unknown, why = expected(BASH, known=None)
    assert unknown is None, "never a no that nobody knows"
    assert "not known which packages" in why
    assert expected(known=None)[0] is False, "nothing changes, so the host's present need decides"


def test_broken_packages_are_flagged_not_hidden() -> None:
    host = plan_one(survey(OPENSSL, broken=("mysql-server",))).hosts["web01"]
    assert host.skip == ""
    assert host.notes == ("broken packages: mysql-server",)


def test_a_host_with_nothing_pending_stays_in_the_plan_to_be_looked_at() -> None:
    plan = plan_one(survey())
    assert plan.hosts["web01"].changes == ()
    assert plan.rings[0].waves == (("web01",),)


# -- the whole plan

def test_rings_waves_limits_and_late_hosts() -> None:
    hosts = [Host(f"web{i}", groups=("db",) if i < 3 else ()) for i in range(8)]
    hosts.append(Host("gw"))
    hosts[5] = replace(hosts[5], connection=Connection(jump=("gw",)))
    inventory = make_inventory(*hosts, groups={"db": Group("db", ("web0", "web1", "web2"), max_down=1)})
    surveys = {host.name: survey(OPENSSL) for host in hosts}
    surveys["web7"] = Survey(HostFailure("tcp", "refused", "", "unreachable"))
    plan = plan_all(EVERYTHING, inventory, surveys)
    assert [ring.name for ring in plan.rings] == ["canary", "rest"]
    assert (plan.rings[1].windows, plan.rings[1].soak, plan.concurrency) == ("sat 22:00 4h", 60.0, 2)
    assert plan.rings[-1].waves[-1] == ("gw",)
    assert plan.hosts["gw"].late
    assert plan.hosts["web0"].max_down == (("db", 1),)
    in_waves = [name for ring in plan.rings for wave in ring.waves for name in wave]
    assert sorted(in_waves) == sorted(set(inventory.hosts) - {"web7"})
    for ring in plan.rings:
        for number, wave in enumerate(ring.waves, 1):
            assert len(wave) <= 2
            assert sum(name in ("web0", "web1", "web2") for name in wave) <= 1
            assert all((plan.hosts[name].ring, plan.hosts[name].wave) == (ring.name, number) for name in wave)


def test_max_down_zero_blocks_instead_of_waiting_for_ever() -> None:
    inventory = make_inventory(Host("db1", groups=("db",)), groups={"db": Group("db", ("db1",), max_down=0)})
    plan = plan_all(EVERYTHING, inventory, {"db1": survey(OPENSSL)})
    assert (plan.hosts["db1"].skip_state, plan.rings[0].waves) == ("blocked", ())


def test_hosts_without_work_come_after_those_with() -> None:
    inventory = make_inventory(*(Host(f"h{i}") for i in range(10)))
    surveys = {f"h{i}": survey(*([OPENSSL] if i % 2 else [])) for i in range(10)}
    plan = plan_all(replace(EVERYTHING, rings=()), inventory, surveys)
    order = [name for wave in plan.rings[0].waves for name in wave]
    assert {int(name[1:]) % 2 for name in order[:5]} == {1}


def test_a_canary_that_tries_nothing_out_is_noted() -> None:
    policy = replace(EVERYTHING, rings=(RingSpec("canary", hosts="a"), RingSpec("rest")))
    inventory = make_inventory(Host("a"), Host("b"))

    def said(a: Survey, b: Survey) -> list[str]:
        return [note for note in plan_all(policy, inventory, {"a": a, "b": b}).notes if note.startswith("ring ")]

    note = "ring canary: nothing is done on a, so the next ring is changed first"
    assert said(survey(), survey(OPENSSL)) == [note]
    assert said(survey(OPENSSL), survey(OPENSSL)) == []
    assert said(survey(), survey()) == []
    inventory = make_inventory(Host("a", groups=("db",)), Host("b"), groups={"db": Group("db", ("a",), max_down=0)})
    assert said(survey(OPENSSL), survey(OPENSSL)) == [note], "blocked"


def test_leftover_hosts_and_unbuilt_keys_are_noted() -> None:
    policy = replace(
        EVERYTHING, rings=(RingSpec("one", size="1"),), extra=(("bundle", "x"),))
    plan = plan_all(policy, make_inventory(Host("a"), Host("b")), {"a": survey(), "b": survey()})
    assert [host.skip_state for host in plan.hosts.values() if host.skip] == ["skipped"]
    assert any("no ring takes 1 hosts" in note for note in plan.notes)
    assert "policy key 'bundle' has no effect yet" in plan.notes


def test_next_due_is_the_earliest_deferred_update() -> None:
    policy = replace(EVERYTHING, approve=(ApprovalRule(security=True, after=3 * 86400), ApprovalRule(after=7 * 86400)))
    assert plan_one(survey(BASH, OPENSSL), policy).next_due == NOW + 3 * 86400


def test_plan_survives_its_file_and_is_the_same_every_time() -> None:
    inventory = make_inventory(*(Host(f"h{i}") for i in range(7)))
    surveys = {f"h{i}": survey(OPENSSL, KERNEL, KERNEL_NEW) for i in range(6)}
    plan = plan_all(EVERYTHING, inventory, surveys)
    assert from_json(Plan, to_json(plan, indent=2)) == plan
    assert to_json(plan_all(EVERYTHING, inventory, dict(reversed(surveys.items())))) == to_json(plan)


def test_nothing_selected_is_an_error() -> None:
    with pytest.raises(UsageError, match="selects no host within --limit b"):
        plan_all(replace(EVERYTHING, hosts="a"), make_inventory(Host("a"), Host("b")), {}, limit="b")


@pytest.mark.parametrize(("known", "name"), [
    ([], "2026-11-everything"),
    (["2026-11-everything"], "2026-11-everything-2"),
    (["2026-11-everything", "2026-11-everything-2"], "2026-11-everything-3"),
])
def test_rollout_names_are_unique(known: list[str], name: str) -> None:
    assert name_rollout(EVERYTHING, NOW, known) == name


def test_rollout_name_follows_the_policys_calendar_and_is_a_safe_file_name() -> None:
    policy = Policy("my policy/№1", timezone="Pacific/Auckland")
    last_hour = datetime(2026, 11, 30, 12, 0, tzinfo=UTC).timestamp()
    assert name_rollout(policy, last_hour, ()) == "2026-12-my-policy-1"


update_lists = st.lists(
    st.builds(
        Update, package=st.sampled_from(["openssl", "bash", "libc6", "linux-image-amd64", "curl"]),
        arch=st.sampled_from(["amd64", "all"]), installed=st.just("1"), candidate=st.sampled_from(["2", "3"]),
        security=st.sampled_from([True, False, None]),
        state=st.sampled_from(["upgradable", "held", "phased", "new", "kept-back"]),
    ),
    max_size=6, unique_by=lambda u: (u.package, u.arch),
)  # fmt: skip


@given(update_lists, st.booleans(), st.booleans())
def test_every_pending_update_is_changed_or_explained(updates: list[Update], secure: bool, asked: bool) -> None:
    policy = SECURITY if secure else EVERYTHING
    resolved = facts(*(u for u in updates if u.state == "upgradable" and (u.security or not secure)))
    host = plan_one(survey(*updates, resolution=resolved if asked else None), policy).hosts["web01"]
    if host.skip:
        assert (host.skip_state, host.changes, asked) == ("blocked", (), False)
        return
    told = {(c.package, c.to_version) for c in host.changes} | {(p, v) for p, v, _ in host.not_approved}
    assert {(u.package, u.candidate) for u in updates if u.state != "new"} <= told
    assert all(reason for _, _, reason in host.not_approved)
    assert all(c.sha256 and c.reason for c in host.changes)
    approved = {(u.package, u.arch) for u in updates if u.state == "upgradable" and (u.security or not secure)}
    assert {(c.package, c.arch) for c in host.changes if not c.pulled} == approved


# -- freshness

def test_an_unchanged_plan_is_fresh() -> None:
    inventory = make_inventory(*(Host(f"h{i}") for i in range(9)), Host("ctl", Connection(transport="local")))
    plan = plan_all(EVERYTHING, inventory, {})
    check_fresh(plan, EVERYTHING, inventory)


def test_a_stale_plan_names_exactly_what_moved() -> None:
    inventory = make_inventory(*(Host(f"h{i}") for i in range(4)))
    plan = plan_all(EVERYTHING, inventory, {})
    moved = make_inventory(*(Host(f"h{i}") for i in range(1, 6)))
    with pytest.raises(PlanStaleError) as caught:
        check_fresh(plan, replace(EVERYTHING, digest="d2"), moved)
    assert caught.value.exit_code == 10
    assert caught.value.message == (
        "plan 2026-11-everything is stale: policy everything (policies/everything.yaml) was edited; "
        "2 hosts joined: h4, h5; 1 host left: h0"
    )


def test_a_host_that_changes_ring_makes_the_plan_stale() -> None:
    policy = replace(EVERYTHING, rings=(RingSpec("canary", hosts="canary"), RingSpec("rest")))
    hosts = [Host(f"h{i}") for i in range(4)]
    plan = plan_all(policy, make_inventory(*hosts, groups={"canary": Group("canary", ("h0",))}), {})
    with pytest.raises(PlanStaleError, match="h0 moved from ring canary to rest; h1 moved from ring rest to canary"):
        check_fresh(plan, policy, make_inventory(*hosts, groups={"canary": Group("canary", ("h1",))}))
    with pytest.raises(PlanStaleError, match="no group or host matches 'lost'"):
        check_fresh(plan, replace(policy, hosts="lost"), make_inventory(*hosts))


def test_a_freeze_put_on_after_planning_makes_the_plan_stale() -> None:
    cold = Host("h0", frozen=Freeze("audit"))
    plan = plan_all(EVERYTHING, make_inventory(cold, Host("h1"), Host("h2")), {})
    check_fresh(plan, EVERYTHING, make_inventory(Host("h0"), Host("h1"), Host("h2")))
    with pytest.raises(PlanStaleError, match=r"1 host frozen since: h1$"):
        check_fresh(plan, EVERYTHING, make_inventory(cold, replace(cold, name="h1"), Host("h2")))


# -- fingerprint

def test_fingerprint_differences_name_package_and_versions() -> None:
    changes = plan_one(survey(OPENSSL, KERNEL, KERNEL_NEW)).hosts["web01"].changes
    same = "linux-image-amd64:amd64 6.1.1\nopenssl:amd64 3.0.1\n"
    assert found_fingerprint(same) == planned_fingerprint(changes)
    assert list_differences(changes, same) == []
    moved = "linux-image-amd64:amd64 6.1.1\nlinux-image-6.1.0-2-amd64:amd64 6.1.2\n"
    assert found_fingerprint(moved) != planned_fingerprint(changes)
    assert list_differences(changes, moved) == [
        "linux-image-6.1.0-2-amd64: planned not installed, found 6.1.2",
        "openssl: planned 3.0.1, found not installed",
    ]


def test_one_machine_under_two_names_is_patched_once() -> None:
    update = OPENSSL
    alias = Connection(address="WEB01.")
    inventory = make_inventory(Host("web01"), Host("alias", alias), Host("elsewhere", replace(alias, port=2222)))
    plan = plan_all(EVERYTHING, inventory, {name: survey(update) for name in inventory.hosts})
    worked = [name for name, host in plan.hosts.items() if host.changes]
    (twin,) = [host for host in plan.hosts.values() if host.skip]
    assert sorted([*worked, twin.host]) == ["alias", "elsewhere", "web01"] and "elsewhere" in worked
    assert twin.skip_state == "blocked" and "the same address as" in twin.skip
    assert twin.host not in [name for ring in plan.rings for wave in ring.waves for name in wave]
    (note,) = [note for note in plan.notes if "boot id" in note]
    assert "elsewhere" in note and twin.host not in note
