"""Reads XCCDF 1.2 (and 1.1) benchmarks: items in order, values with their choices, profiles and tailoring files."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.assess.content.xccdf import xml

MAX_DEPTH = 60
MAX_ITEMS = 200_000


class Item(Struct, frozen=True):
    """A Rule or Group where it stands in the benchmark; details are read for selected rules only."""

    id: str
    kind: str
    """Rule | Group"""
    element: Any
    parents: tuple[str, ...]
    """Ids of the groups around it, outermost first."""
    cluster: str = ""
    selected: bool = True
    weight: float = 1.0
    platforms: tuple[str, ...] = ()
    requires: tuple[tuple[str, ...], ...] = ()
    """All of them must hold; each holds if one of its ids is selected."""
    conflicts: tuple[str, ...] = ()
    role: str = "full"
    """full | unscored | unchecked"""


class Value(Struct, frozen=True):
    """A parameter: its choices by selector ("" = the default)."""

    id: str
    title: str
    type: str
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class ProfileChanges(Struct, frozen=True):
    """What one Profile element says, in its order: (what, idref, value)."""

    id: str
    title: str
    extends: str
    changes: tuple[tuple[str, str, str], ...]
    platforms: tuple[str, ...] = ()


class Benchmark(Struct, frozen=True):
    """A benchmark as written, before a profile is applied."""

    id: str
    title: str
    version: str
    items: Mapping[str, Item]
    values: Mapping[str, Value]
    profiles: Mapping[str, ProfileChanges]
    platforms: tuple[str, ...] = ()
    element: Any = None


class Settings(Struct):
    """What a profile chain comes to."""

    selected: dict[str, bool] = field(default_factory=dict)
    values: dict[str, tuple[str, ...]] = field(default_factory=dict)
    selectors: dict[str, str] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    severities: dict[str, str] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    check_selectors: dict[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)


def read_benchmark(element: Any, source: str) -> Benchmark:
    """Return the benchmark. Raise DocumentsError for what is none, or is nested or numerous beyond reason."""
    items: dict[str, Item] = {}
    values: dict[str, Value] = {}
    _read_items(element, (), items, values, source)
    profiles = {p.id: p for p in (read_profile(e) for e in xml.children(element, "Profile"))}
    return Benchmark(
        xml.attribute(element, "id"), xml.flat(xml.child(element, "title")), xml.text(xml.child(element, "version")),
        items, values, profiles, _platforms(element), element,
    )


def _platforms(element: Any) -> tuple[str, ...]:
    return tuple(xml.attribute(p, "idref") for p in xml.children(element, "platform"))


def _read_items(
    parent: Any, parents: tuple[str, ...], items: dict[str, Item], values: dict[str, Value], source: str
) -> None:
    if len(parents) > MAX_DEPTH or len(items) > MAX_ITEMS:
        raise xml.refuse(source, "xccdf-too-large", "the benchmark's groups are too deep or too many", "is it damaged?",
                         parent.sourceline)
    for element in xml.children(parent, "Group", "Rule", "Value"):
        kind, called = xml.name(element), xml.attribute(element, "id")
        if kind == "Value":
            values[called] = _value(element)
            continue
        try:
            weight = float(element.get("weight", "1.0"))
        except ValueError:
            weight = 1.0
        items[called] = Item(
            called, kind, element, parents, element.get("cluster-id", ""),
            not element.get("selected") or xml.is_true(element.get("selected")), weight, _platforms(element),
            tuple(tuple(xml.attribute(r, "idref").split()) for r in xml.children(element, "requires")),
            tuple(xml.attribute(c, "idref") for c in xml.children(element, "conflicts")), element.get("role", "full"),
        )
        if kind == "Group":
            _read_items(element, (*parents, called), items, values, source)


def _value(element: Any) -> Value:
    choices: dict[str, tuple[str, ...]] = {}
    for one in xml.children(element, "value"):
        choices.setdefault(one.get("selector", ""), (xml.text(one),))
    for several in xml.children(element, "complex-value"):
        choices.setdefault(several.get("selector", ""), tuple(xml.text(i) for i in xml.children(several, "item")))
    if choices and "" not in choices:  # without a default the first stands (XCCDF 1.2 section 6.4.5.3)
        choices[""] = next(iter(choices.values()))
    return Value(xml.attribute(element, "id"), xml.flat(xml.child(element, "title")),
                 element.get("type", "string"), choices)


def read_profile(element: Any) -> ProfileChanges:
    """Return what a Profile element of a benchmark or a tailoring file says."""
    changes: list[tuple[str, str, str]] = []
    for one in xml.children(element, "select", "set-value", "set-complex-value", "refine-value", "refine-rule"):
        target, kind = xml.attribute(one, "idref"), xml.name(one)
        if kind == "select":
            changes.append(("select", target, "1" if xml.is_true(one.get("selected")) else ""))
        elif kind == "set-value":
            changes.append(("value", target, xml.text(one)))
        elif kind == "set-complex-value":
            changes.append(("values", target, "\0".join(xml.text(i) for i in xml.children(one, "item"))))
        elif kind == "refine-value":
            changes.append(("selector", target, one.get("selector", "")))
        else:
            changes.extend((f"rule-{key}", target, str(one.get(key)))
                           for key in ("weight", "severity", "role", "selector") if one.get(key) is not None)
    return ProfileChanges(xml.attribute(element, "id"), xml.flat(xml.child(element, "title")),
                          element.get("extends", ""), tuple(changes), _platforms(element))


def read_tailoring(data: bytes, source: str) -> Mapping[str, ProfileChanges]:
    """Return the profiles of a tailoring file. Raise DocumentsError for what is none."""
    root = xml.parse(data, source)
    if xml.name(root) != "Tailoring":
        raise xml.refuse(source, "xccdf-no-tailoring", f"the root element is {xml.name(root)}",
                         "expected an XCCDF Tailoring", 1)
    found = {p.id: p for p in (read_profile(e) for e in xml.children(root, "Profile"))}
    if not found:
        raise xml.refuse(source, "xccdf-no-profile", "the tailoring file has no Profile", "add one", 1)
    return found


def check_tailoring(
    data: bytes, tailoring: Mapping[str, ProfileChanges], benchmark: Benchmark, profile: str, source: str
) -> None:
    """Raise DocumentsError for a tailoring file that is not of this benchmark, or has no part in the profile."""
    root = xml.parse(data, source)
    meant = next((e.get("id", "") for e in xml.children(root, "benchmark")), "")
    if meant and meant != benchmark.id:
        raise xml.refuse(source, "xccdf-other-benchmark", f"the tailoring file is for the benchmark {meant}",
                         f"this one is {benchmark.id}", 1)
    if not any(one is tailoring.get(one.id) for one in _chain(benchmark, tailoring, profile, source)):
        known = ", ".join(sorted(tailoring))
        raise xml.refuse(source, "xccdf-unused-tailoring", f"the tailoring file changes nothing of {profile or 'it'}",
                         f"name one of its profiles as FILE#PROFILE: {known}", 1)


def find_profile(wanted: str, offered: Mapping[str, ProfileChanges], source: str) -> str:
    """Return the id that is `wanted` or uniquely ends in it. Raise DocumentsError naming what there is."""
    if wanted in offered:
        return wanted
    ends = [p for p in offered if p.endswith((f"_profile_{wanted}", f"_{wanted}"))] or [
        p for p in offered if p.endswith(wanted)]
    exact = [p for p in ends if p.endswith(f"_profile_{wanted}")]
    if len(exact or ends) == 1:
        return (exact or ends)[0]
    known = ", ".join(sorted(p.rpartition("_profile_")[2] for p in offered)) or "none"
    problem = f"{len(ends)} profiles end in {wanted!r}" if ends else f"no profile {wanted!r}"
    near = difflib.get_close_matches(wanted, [p.rpartition("_profile_")[2] for p in offered], n=1)
    hint = f"did you mean {near[0]}? " if near and not ends else ""
    raise xml.refuse(source, "xccdf-unknown-profile", problem, f"{hint}profiles: {known}")


def settle(benchmark: Benchmark, tailoring: Mapping[str, ProfileChanges], profile: str, source: str) -> Settings:
    """Apply a profile and all it extends, basic ones first. A tailored profile may extend one of its own id."""
    settings = Settings()
    for one in _chain(benchmark, tailoring, profile, source):
        settings.platforms += one.platforms
        for what, target, value in one.changes:
            _apply(benchmark, settings, what, target, value)
    return settings


def _chain(
    benchmark: Benchmark, tailoring: Mapping[str, ProfileChanges], profile: str, source: str
) -> list[ProfileChanges]:
    chain: list[ProfileChanges] = []
    wanted, seen = profile, set[tuple[str, bool]]()
    tailored = True
    while wanted:
        found = tailoring.get(wanted) if tailored else None
        key = (wanted, found is not None)
        if found is None:
            found = benchmark.profiles.get(wanted)
        if found is None:
            raise xml.refuse(source, "xccdf-unknown-profile", f"profile {wanted} is extended but not there",
                             "does the tailoring file belong to this benchmark?")
        if key in seen:
            raise xml.refuse(source, "xccdf-cycle", f"profile {wanted} extends itself", "break the cycle")
        seen.add(key)
        chain.append(found)
        tailored = found.extends != wanted
        wanted = found.extends
    return chain[::-1]


def _apply(benchmark: Benchmark, settings: Settings, what: str, target: str, value: str) -> None:
    known = target in benchmark.items or target in benchmark.values
    clustered = [i.id for i in benchmark.items.values() if i.cluster and i.cluster == target]
    if not known and not clustered:
        settings.problems.append(f"{what} of {target}, which the benchmark does not have")
        return
    targets = clustered or [target]
    for one in targets:
        if what == "select":
            settings.selected[one] = bool(value)
        elif what == "value":
            settings.values[one] = (value,)
        elif what == "values":
            settings.values[one] = tuple(value.split("\0")) if value else ()
        elif what == "selector":
            settings.selectors[one] = value  # a value that is set stays, whatever the order: as in oscap
        elif what == "rule-weight":
            try:
                settings.weights[one] = float(value)
            except ValueError:
                settings.problems.append(f"weight {value!r} of {one} is no number")
        elif what == "rule-severity":
            settings.severities[one] = value
        elif what == "rule-role":
            settings.roles[one] = value
        else:
            settings.check_selectors[one] = value


def selected_rules(benchmark: Benchmark, settings: Settings) -> Iterator[Item]:
    """Yield the rules that are selected, with all groups around them, and that nothing rules out. See `ruled_out`."""
    for item in benchmark.items.values():
        if item.kind == "Rule" and all(
            _chosen(benchmark, settings, i) and not _against(benchmark, settings, benchmark.items[i])
            for i in (item.id, *item.parents)
        ):
            yield item


def _chosen(benchmark: Benchmark, settings: Settings, one: str) -> bool:
    item = benchmark.items.get(one)
    return item is not None and settings.selected.get(one, item.selected)


def _against(benchmark: Benchmark, settings: Settings, item: Item) -> str:
    """Return why an item that is selected is not judged (XCCDF 1.2 section 7.2.3.3.2), or "".

    Like oscap, this looks at what is selected, not at what is left after other items were ruled out.
    """
    for group in item.requires:
        if not any(_chosen(benchmark, settings, r) for r in group):
            return f"{item.id} requires {' or '.join(group)}, which is not selected: it is not judged"
    for one in item.conflicts:
        if _chosen(benchmark, settings, one):
            return f"{item.id} conflicts with {one}, which is selected: it is not judged"
    return ""


def ruled_out(benchmark: Benchmark, settings: Settings) -> Sequence[str]:
    """Return a warning for each selected item that is not judged, so that none is left out in silence."""
    return [why for item in benchmark.items.values()
            if settings.selected.get(item.id) and (why := _against(benchmark, settings, item))]


def value_of(benchmark: Benchmark, settings: Settings, wanted: str) -> tuple[str, ...] | None:
    """Return a value's setting under the profile, or None when there is none."""
    if wanted in settings.values:
        return settings.values[wanted]
    value = benchmark.values.get(wanted)
    if value is None:
        return None
    selector = settings.selectors.get(wanted, "")
    return value.choices.get(selector) if selector in value.choices else value.choices.get("")
