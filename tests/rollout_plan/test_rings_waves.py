"""Promises of rings and waves: every host exactly once, the same every time, limits never exceeded, late ones alone."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.hosts import Connection, Group, Host, Inventory, Site
from patchctl.model.policy import RingSpec
from patchctl.model.units import resolve_share
from patchctl.rollout.membership import digest_members, find_late
from patchctl.rollout.rings import assign_rings, spread_hosts
from patchctl.rollout.waves import build_waves

SITES = ["ams", "oslo", ""]


def make_hosts(count: int) -> list[Host]:
    return [Host(f"h{i:03}", site=SITES[i % 3], groups=("db",) if i % 5 == 0 else ("web",)) for i in range(count)]


SELECTED = {
    pattern: frozenset(host.name for host in make_hosts(200) if pattern == "all" or pattern in host.groups)
    for pattern in ("all", "db", "web")
}


def select(pattern: str) -> frozenset[str]:
    """db = every fifth host, web = the others, all = all."""
    return SELECTED[pattern]


sizes = st.one_of(st.just(""), st.just("rest"), st.integers(0, 30).map(str), st.integers(0, 100).map("{}%".format))
specs = st.lists(st.tuples(st.sampled_from(["", "db", "web", "all"]), sizes), min_size=1, max_size=5).map(
    lambda pairs: [RingSpec(f"r{i}", hosts, size) for i, (hosts, size) in enumerate(pairs)]
)


@given(specs, st.integers(1, 120), st.randoms(use_true_random=False), st.integers(0, 3))
def test_every_host_is_in_exactly_one_ring_whatever_the_input_order(
    rings: list[RingSpec], count: int, shuffler: random.Random, late_count: int
) -> None:
    hosts = make_hosts(count)
    late = [host.name for host in hosts[:late_count]]
    assigned = assign_rings("monthly", rings, hosts, late, select)
    placed = Counter(name for names in assigned.values() for name in names)
    assert placed == Counter(host.name for host in hosts)
    assert list(assigned[rings[-1].name])[-len(late) :] == late or not late
    mixed = hosts[:]
    shuffler.shuffle(mixed)
    assert assign_rings("monthly", rings, mixed, late, select) == assigned
    for ring in rings:
        own = [name for name in assigned[ring.name] if name not in late]
        if ring.hosts:
            assert set(own) <= select(ring.hosts)
        if ring.size not in ("", "rest"):
            whole = hosts if not ring.hosts else [h for h in hosts if h.name in select(ring.hosts)]
            assert len(own) <= resolve_share(ring.size, len(whole))


def test_canary_then_half_then_rest() -> None:
    rings = [RingSpec("canary", size="1"), RingSpec("half", size="50%"), RingSpec("rest", size="rest")]
    assigned = assign_rings("everything-now", rings, make_hosts(20), [], select)
    assert [len(assigned[ring.name]) for ring in rings] == [1, 10, 9]
    assert "" not in assigned


def test_a_count_leaves_hosts_that_a_later_ring_names_alone_while_there_are_others() -> None:
    rings = [RingSpec("canary", size="10"), RingSpec("databases", hosts="db"), RingSpec("rest")]
    assigned = assign_rings("p", rings, make_hosts(50), [], select)
    assert not set(assigned["canary"]) & select("db")
    assert len(assigned["databases"]) == 10
    rings = [RingSpec("canary", size="3"), RingSpec("all", hosts="all")]
    crowded = assign_rings("p", rings, make_hosts(50), [], select)
    assert len(crowded["canary"]) == 3


def test_rest_in_the_middle_leaves_hosts_that_a_later_ring_names() -> None:
    rings = [RingSpec("most"), RingSpec("databases", hosts="db")]
    assigned = assign_rings("p", rings, make_hosts(50), [], select)
    assert set(assigned["databases"]) == {h.name for h in make_hosts(50) if "db" in h.groups}


def test_hosts_that_no_ring_takes_are_told() -> None:
    assigned = assign_rings("p", [RingSpec("databases", hosts="db")], make_hosts(10), [], select)
    assert len(assigned[""]) == 8


def test_a_share_looks_like_the_whole() -> None:
    hosts = [Host(f"a{i}", site="big") for i in range(90)] + [Host(f"b{i}", site="small") for i in range(10)]
    first = spread_hosts("monthly", hosts)[:20]
    assert Counter(name[0] for name in first) == {"a": 18, "b": 2}


def test_another_policy_picks_other_hosts_and_a_new_host_moves_few() -> None:
    hosts = make_hosts(150)
    before, other = spread_hosts("monthly", hosts)[:15], spread_hosts("weekly", hosts)[:15]
    assert before != other
    after = spread_hosts("monthly", [*hosts, Host("newcomer", site="ams", groups=("web",))])[:15]
    assert len(set(before) & set(after)) >= 10


limits = st.dictionaries(st.sampled_from(["db", "web"]), st.integers(1, 4))


@given(st.integers(0, 80), st.integers(1, 20), limits, st.integers(0, 4))
def test_waves_hold_every_host_once_within_all_limits(
    count: int, concurrency: int, max_down: dict[str, int], alone_count: int
) -> None:
    hosts = make_hosts(count)
    by_host = {h.name: tuple((g, max_down[g]) for g in h.groups if g in max_down) for h in hosts}
    names = [host.name for host in hosts]
    alone = names[:alone_count]
    waves = build_waves(names, concurrency, by_host, alone)
    assert sorted(name for wave in waves for name in wave) == names
    for wave in waves:
        assert 1 <= len(wave) <= concurrency
        for group, limit in max_down.items():
            assert sum((group, limit) in by_host[name] for name in wave) <= limit
    if alone:
        assert list(waves[-len(alone) :]) == [(name,) for name in alone]
    if not max_down:
        assert len(waves) == -(-(count - len(alone)) // concurrency) + len(alone)


def inventory_of(*hosts: Host, sites: dict[str, Site] | None = None) -> Inventory:
    return Inventory({host.name: host for host in hosts}, dict[str, Group](), sites or {})


def test_jump_hosts_relays_and_the_controller_are_late_deepest_last() -> None:
    inventory = inventory_of(
        Host("web1", Connection(jump=("ops@10.0.0.1:2222", "gw2"))),
        Host("web2", site="oslo"),
        Host("gw1", Connection(address="10.0.0.1")),
        Host("gw2", Connection(jump=("gw1",))),
        Host("relay1", site="oslo"),
        Host("gwo"),
        Host("ctl", Connection(transport="local")),
        Host("desk"),
        Host("other"),
        sites={"oslo": Site("oslo", jump=("gwo",), relays=("relay1",))},
    )
    everyone = tuple(inventory.hosts)
    found = find_late(inventory, everyone, ["desk", "desk.example.com"])
    assert found == ("gw2", "relay1", "gw1", "gwo", "ctl", "desk")
    assert find_late(inventory, ("web1", "gw2")) == ("gw2",), "only what is selected is patched"
    assert find_late(inventory, ("gw1", "gw2", "relay1", "gwo")) == ("gw1", "gwo")


def test_jump_hosts_that_point_at_each_other_end() -> None:
    inventory = inventory_of(Host("a", Connection(jump=("b",))), Host("b", Connection(jump=("a",))))
    assert find_late(inventory, ("a", "b")) == ("a", "b")


def test_jump_by_ipv6_address_is_found() -> None:
    inventory = inventory_of(Host("w", Connection(jump=("u@[fd00::1]:22",))), Host("gw", Connection(address="fd00::1")))
    assert find_late(inventory, ("w", "gw")) == ("gw",)


def test_digest_depends_on_names_not_on_order() -> None:
    assert digest_members(["a", "b"]) == digest_members(["b", "a"]) != digest_members(["ab"])
