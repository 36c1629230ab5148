"""Limit patterns: unions, intersections, exclusions, counts, globs; checked against a plain set model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.errors import UsageError
from patchctl.model.hosts import Group, Host, Inventory
from patchctl.model.selection import parse_pattern, select_hosts

WEB = ("web1", "web2", "web3", "web4")
DB = ("db1", "db2")
INVENTORY = Inventory(
    hosts={**{name: Host(name, groups=("web",)) for name in WEB}, **{name: Host(name, groups=("db",)) for name in DB},
           "lone": Host("lone"), "canary": Host("canary")},
    groups={"web": Group("web", WEB), "db": Group("db", DB), "canary": Group("canary", ("web1", "db1")),
            "empty": Group("empty", ())},
    sites={},
)
EVERYONE = (*WEB, *DB, "lone", "canary")


@pytest.mark.parametrize(("pattern", "names"), [
    ("", EVERYONE), ("all", EVERYONE), ("*", EVERYONE), ("ungrouped", ("lone", "canary")),
    ("web", WEB), ("db:web", (*WEB, *DB)), ("db,web", (*WEB, *DB)), ("web:&canary", ("web1",)),
    ("web:!canary", WEB[1:]),
    ("!web", (*DB, "lone", "canary")), ("&canary", ("web1", "db1")), ("!web:web1", ()), ("web1:!db", ("web1",)),
    ("web[0]", ("web1",)), ("web[-1]", ("web4",)), ("web[1:2]", ("web2", "web3")), ("web[2:]", ("web3", "web4")),
    ("web[:1]", ("web1", "web2")), ("web[-2:]", ("web3", "web4")), ("web[7]", ()), ("web[0:3]:!web[0]", WEB[1:]),
    ("web*", WEB), ("*1", ("web1", "db1")), ("web[1-2]", ("web1", "web2")), ("w?b3", ("web3",)), ("d*", DB),
    ("~web[13]", ("web1", "web3")), ("~(web|db)1$", ("web1", "db1")), ("canary", ("web1", "db1")), ("empty", ()),
    (" web : !web1 ", WEB[1:]), ("lone", ("lone",)),
])
def test_patterns_select(pattern: str, names: tuple[str, ...]) -> None:
    assert select_hosts(INVENTORY, pattern) == names


@pytest.mark.parametrize(("pattern", "code", "hint"), [
    ("wep", "nothing-matched", "web"), ("web:&canery", "nothing-matched", "canary"),
    ("zz*", "nothing-matched", "groups:"),
    ("web9", "nothing-matched", "web"), ("~(", "invalid-pattern", ""), ("&", "invalid-pattern", "write"),
    ("web:!", "invalid-pattern", "write"), (":", "invalid-pattern", "write"), ("!!web", "invalid-pattern", "write"),
    # Variables that are not set: `~$ROLE`, `web:$ONLY`, `$A,$B`.
    ("~", "invalid-pattern", "write"), ("web:&~", "invalid-pattern", "write"), ("web:", "invalid-pattern", "write"),
    (":web", "invalid-pattern", "write"), ("web::db", "invalid-pattern", "write"), ("web, ", "invalid-pattern", ""),
    ("web:!@down.txt", "nothing-matched", "stands alone"),
])
def test_what_names_nothing_is_an_error_with_a_suggestion(pattern: str, code: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        select_hosts(INVENTORY, pattern)
    assert caught.value.code == code
    assert hint in caught.value.hint


SETS = {"web": set(WEB), "db": set(DB), "canary": {"web1", "db1"}, "empty": set(), "lone": {"lone"}, "web2": {"web2"},
        "all": set(EVERYONE)}


@given(st.lists(st.tuples(st.sampled_from(["", "", "&", "!"]), st.sampled_from(sorted(SETS))), min_size=1, max_size=6))
def test_order_of_terms_does_not_matter_and_the_model_agrees(terms: list[tuple[str, str]]) -> None:
    added = [SETS[name] for sign, name in terms if not sign]
    expected = set().union(*added) if added else set(EVERYONE)
    for sign, name in terms:
        expected = expected & SETS[name] if sign == "&" else expected
    for sign, name in terms:
        expected = expected - SETS[name] if sign == "!" else expected
    for order in (terms, terms[::-1]):
        chosen = select_hosts(INVENTORY, ":".join(sign + name for sign, name in order))
        assert set(chosen) == expected
        assert list(chosen) == [name for name in EVERYONE if name in expected]


@given(st.text(alphabet="web1db:&!,*?[]0-~ (", max_size=14))
def test_any_text_selects_known_hosts_or_is_a_usage_error(pattern: str) -> None:
    try:
        chosen = select_hosts(INVENTORY, pattern)
    except UsageError as error:
        assert error.message
    else:
        assert set(chosen) <= set(EVERYONE)


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_counts_include_both_ends(first: int, last: int) -> None:
    begin, end = (n if n >= 0 else n + len(WEB) for n in (first, last))
    expected = tuple(name for index, name in enumerate(WEB) if max(begin, 0) <= index <= end)
    assert select_hosts(INVENTORY, f"web[{first}:{last}]") == expected


def test_terms_are_read_as_written() -> None:
    assert [(t.sign, t.name, t.span) for t in parse_pattern("web[0:3]:&db*:!x[-1]")] == [
        ("", "web", (0, 3)), ("&", "db*", None), ("!", "x", (-1, -1))]
