"""Promises about the way back: known by hash or refused, whole or not at all, and only where nobody has been since."""

from __future__ import annotations

from msgspec.structs import replace

from patchctl.model.errors import HostFailure
from patchctl.model.facts import Artefact, HostFacts, Package
from patchctl.model.hosts import Freeze, Host, Inventory
from patchctl.model.plan import Change, HostPlan, Plan, PlannedRing, Undo
from patchctl.model.policy import Limits
from patchctl.rollout.earlier import KEPT, NOT_ASKED, add_ways_back, find_way_back
from patchctl.rollout.journal import initial
from patchctl.rollout.state import HostProgress
from patchctl.rollout.takeback import (
    as_reported,
    build_takeback,
    count_changed,
    find_in_place,
    find_touched,
    name_takeback,
    turn_back,
)

OLD = Artefact("openssl", "1.0", "amd64", "aa" * 32, 10, "openssl_1.0_amd64.deb", "http://x/o", "listed somewhere")
CHANGE = Change("openssl", "amd64", "1.0", "2.0", "bb" * 32)
NEW = Change("helper", "all", "", "2.0", "cc" * 32, pulled=True)
HOST = HostPlan("a", "rest", 1, "apt", (CHANGE, NEW))
DONE = HostProgress("a", "succeeded", settled=True, touched=True)


def facts(*packages: tuple[str, str], kernel: str = "6.1.0-1-amd64") -> HostFacts:
    return HostFacts(kernel=kernel, boot_id="b", packages=tuple(
        Package(name, version, "all" if name == "helper" else "amd64") for name, version in packages
    ))


def whole(*hosts: HostPlan) -> Plan:
    names = tuple(host.host for host in hosts)
    return Plan(
        "r", "p", 0.0, "ann@x", "", "", "UTC", ("2026-12-18/2027-01-04",),
        (PlannedRing("canary", (names[:1],), "daily 22:00 1h", 60.0, "operator"), PlannedRing("rest", (names[1:],))),
        {host.host: host for host in hosts}, {}, Limits(), 2,
    )


def test_a_way_back_is_every_change_backwards_and_what_was_new_removed() -> None:
    undo, files = find_way_back(HOST, [OLD], {})
    assert undo.why_not == ""
    assert [(c.package, c.from_version, c.to_version, c.sha256, c.origin) for c in undo.changes] == [
        ("openssl", "2.0", "1.0", "aa" * 32, "listed somewhere")
    ]
    assert (undo.removals, files) == (("helper",), (OLD,))


def test_a_package_that_changed_its_architecture_was_not_new_and_is_never_just_removed() -> None:
    moved = replace(HOST, changes=(replace(CHANGE, arch="all"), NEW))
    told = replace(DONE, changes=(
        {"package": "openssl", "arch": "amd64", "from": "1.0", "to": ""},
        {"package": "openssl", "arch": "all", "from": "", "to": "2.0"},
        {"package": "helper", "arch": "all", "from": "", "to": "2.0"}))
    plan = as_reported(moved, told)
    assert [(c.package, c.from_version) for c in plan.changes] == [("openssl", "1.0"), ("helper", "")]
    undo, _ = find_way_back(plan, [], {})
    assert (undo.removals, "openssl 1.0" in undo.why_not) == ((), True)
    second = replace(told, changes=({"package": "openssl", "arch": "i386", "from": "", "to": "2.0"},))
    there = as_reported(replace(HOST, changes=(replace(CHANGE, arch="i386", from_version=""),)), second)
    assert there.changes[0].from_version == "", "a second architecture that came along was new"


def test_what_the_controller_keeps_counts_before_what_the_host_offers() -> None:
    mine = replace(OLD, sha256="dd" * 32)
    undo, files = find_way_back(HOST, [OLD], {("openssl", "1.0", "amd64"): mine})
    assert (undo.changes[0].sha256, undo.changes[0].origin, files[0].sha256) == ("dd" * 32, KEPT, "dd" * 32)


def test_each_architecture_goes_back_to_its_own_file() -> None:
    """openssl of amd64 and of i386 in one version: two files. A file of the other architecture is none at all."""
    foreign = replace(OLD, arch="i386", sha256="ee" * 32)
    both = replace(HOST, changes=(CHANGE, replace(CHANGE, arch="i386")))
    undo, files = find_way_back(both, [OLD, foreign], {})
    assert [(c.arch, c.sha256) for c in undo.changes] == [("amd64", "aa" * 32), ("i386", "ee" * 32)]
    assert files == (OLD, foreign)
    assert find_way_back(both, [OLD], {})[0].why_not.startswith("openssl 1.0: not listed")
    since_for_all = replace(HOST, changes=(replace(CHANGE, arch="all"),))
    assert find_way_back(since_for_all, [OLD], {})[1] == (OLD,)
    assert find_way_back(since_for_all, [], {("openssl", "1.0", "amd64"): OLD})[0].changes[0].sha256 == "aa" * 32


def test_one_missing_version_bars_the_whole_way_and_is_named() -> None:
    both = replace(HOST, changes=(CHANGE, Change("zlib", "amd64", "1", "2")))
    undo, files = find_way_back(both, [OLD], {})
    assert (undo.changes, files) == ((), ())
    assert undo.why_not.startswith("zlib 1: not listed by its repositories any more")
    assert find_way_back(HOST, HostFailure("timeout", "no answer"), {})[0].why_not == "openssl 1.0: no answer"
    windows = replace(HOST, changes=(replace(CHANGE, carrier="windows-update"),))
    assert find_way_back(windows, [], {})[0].why_not == "openssl: windows-update gives no earlier version"
    mine = {("openssl", "1.0", "amd64"): OLD}
    assert find_way_back(HOST, "not with dnf yet", mine)[0] == Undo(why_not="not with dnf yet")
    assert find_way_back(HOST, NOT_ASKED, mine)[0].why_not == ""


def test_plans_carry_the_files_of_the_way_back_and_leave_skipped_hosts_alone() -> None:
    plan = add_ways_back(whole(HOST, replace(HOST, host="b", skip="frozen"), replace(HOST, host="c")), {"a": [OLD]}, {})
    assert list(plan.artefacts) == ["aa" * 32]
    undos = {name: host.undo for name, host in plan.hosts.items()}
    assert undos["b"] is None
    assert undos["c"] is not None
    assert undos["c"].why_not == "openssl 1.0: the host was not asked for its earlier versions"


def test_only_what_is_in_place_is_taken_back() -> None:
    assert find_in_place(HOST, DONE, facts(("openssl", "2.0"), ("helper", "2.0"))).changes == (CHANGE, NEW)
    assert find_in_place(HOST, DONE, facts(("openssl", "2.0"))).changes == (CHANGE,)
    assert find_in_place(HOST, DONE, facts(("openssl", "1.0"))).changes == ()
    assert find_in_place(HOST, DONE, facts(("openssl", "1.0"))).skip == ""


def test_a_host_that_has_changed_since_is_left_alone_and_counted() -> None:
    found = find_in_place(HOST, DONE, facts(("openssl", "3.0"), ("helper", "2.0")))
    assert (found.skip_state, found.changes) == ("skipped", ())
    assert found.skip == "changed since the rollout: openssl is 3.0, the rollout had 2.0"
    gone = find_in_place(HOST, DONE, facts(("helper", "2.0")))
    assert "openssl is not installed" in gone.skip
    assert count_changed(whole(found, replace(gone, host="b"))) == 2


def test_what_is_not_known_is_not_taken_back() -> None:
    assert find_in_place(HOST, DONE, None).skip_state == "blocked"
    assert find_in_place(HOST, DONE, HostFacts(unknown=(("packages", "no dpkg"),))).skip.endswith("no dpkg")
    assert find_in_place(HOST, DONE, HostFailure("timeout", "no answer", "", "timeout")).skip_state == "unreachable"
    at_work = find_in_place(HOST, replace(DONE, open_attempt=True, attempt="r.1"), facts(("openssl", "2.0")))
    assert at_work.skip == "attempt r.1 may still be at work: resume the rollout first"


def test_the_running_kernel_is_not_removed() -> None:
    kernel = replace(HOST, changes=(Change("linux-image-6.1.0-2-amd64", "amd64", "", "6.1.2"),))
    seen = facts(("linux-image-6.1.0-2-amd64", "6.1.2"), kernel="6.1.0-2-amd64")
    assert "it runs the kernel of linux-image-6.1.0-2-amd64" in find_in_place(kernel, DONE, seen).skip
    assert find_in_place(kernel, DONE, replace(seen, kernel="6.1.0-1-amd64")).changes


def test_the_way_back_is_a_plan_of_its_own_in_the_same_rings_at_once() -> None:
    seen = facts(("openssl", "2.0"), ("helper", "2.0"))
    first = whole(replace(HOST, ring="canary"), replace(HOST, host="b"), replace(HOST, host="c"))
    undo, files = find_way_back(HOST, [OLD], {})
    backs = {
        "a": turn_back(find_in_place(first.hosts["a"], DONE, seen), undo, seen),
        "b": turn_back(find_in_place(first.hosts["b"], DONE, seen), Undo(why_not="gone"), seen),
        "c": turn_back(find_in_place(first.hosts["c"], DONE, seen), undo, seen),
    }
    inventory = Inventory({n: Host(n, frozen=Freeze("audit", "") if n == "c" else None) for n in "abc"}, {}, {})
    plan = build_takeback(
        first, inventory, backs, {f.sha256: f for f in files}, rollout="r-rollback", now=9.0, actor="bob@x"
    )
    assert (plan.undoes, plan.rollout, plan.on_failure, plan.blackout) == ("r", "r-rollback", "halt", ())
    assert [(ring.name, ring.waves, ring.windows, ring.soak, ring.approval) for ring in plan.rings] == [
        ("canary", (("a",),), "", 0.0, ""), ("rest", (), "", 0.0, ""),
    ]
    assert {name: host.skip_state for name, host in plan.hosts.items()} == {"a": "", "b": "blocked", "c": "frozen"}
    assert plan.hosts["b"].skip == "cannot be rolled back: gone"
    assert (plan.hosts["a"].removals, plan.hosts["a"].fingerprint != "") == (("helper",), True)
    assert list(plan.artefacts) == ["aa" * 32]


def test_hosts_that_the_rollout_never_touched_are_no_part_of_it() -> None:
    state = initial(whole(HOST, replace(HOST, host="b")))
    assert find_touched(state) == []
    state = replace(state, hosts={**state.hosts, "b": replace(state.hosts["b"], touched=True)})
    assert find_touched(state) == ["b"]


def test_names_of_ways_back_are_unique() -> None:
    assert name_takeback("r", {"r"}) == "r-rollback"
    assert name_takeback("r", {"r", "r-rollback"}) == "r-rollback-2"
