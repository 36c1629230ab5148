"""Updates that a policy offers as a file and the update agent offers too: one thing, installed once, and said so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.documents.policies import load_policy
from patchctl.model.errors import DocumentsError
from patchctl.model.facts import HostFacts, OsRelease, Package, RebootNeed, Update
from patchctl.model.hosts import Connection, Host, Inventory
from patchctl.model.plan import Change, HostPlan
from patchctl.model.policy import CLASSIFICATIONS, ApprovalRule, PackageOffer, Policy, RingSpec
from patchctl.platforms.windows.offers import add_offers, explain_offers
from patchctl.platforms.windows.read import _CLASSIFICATIONS, read_facts
from patchctl.rollout.hostplan import Survey
from patchctl.rollout.plan import build_plan
from patchctl.rollout.state import HostProgress
from patchctl.rollout.takeback import find_in_place
from patchctl.usecases.hostjobs_verify import all_in_place, list_changed, list_pending, list_waiting
from patchctl.usecases.plan import make_judge
from tests.platforms.cases import load_case

KB, ID = "KB5031364", "8cb3e1bd-7b4c-4b5e-9d0b-1f2f6f2f9a11"
AGENTS = f"{ID}.200"
FILE = PackageOffer(KB, "", "https://files.example.com/kb5031364.msu", "a" * 64, 1, "kb5031364.msu")
BY_FILE = Change(KB, "", "", "installed", FILE.sha256)


def facts(packages: tuple[Package, ...] = (), updates: tuple[Update, ...] = ()) -> HostFacts:
    return HostFacts(os=OsRelease("windows", "10.0.20348", "windows"), packages=packages, updates=updates)


def offered(name: str = KB, state: str = "upgradable") -> Update:
    return Update(name, "", "", AGENTS, "Windows Update", True, state)


def test_where_nobody_else_offers_it_the_file_is_used() -> None:
    found = add_offers(facts(), [FILE])
    assert [(u.package, u.candidate, u.origin) for u in found.updates or ()] == [(KB, "installed", "policy")]
    assert explain_offers(facts(), [FILE]) == ()


@pytest.mark.parametrize("name", [KB, f"{KB}~8cb3e1bd"])
@pytest.mark.parametrize("state", ["upgradable", "held", "kept-back"])
def test_what_the_update_agent_offers_is_not_offered_again_as_a_file(name: str, state: str) -> None:
    found = add_offers(facts(updates=(offered(name, state),)), [FILE])
    assert [(u.package, u.candidate) for u in found.updates or ()] == [(name, AGENTS)]
    assert found.artefacts == ()
    (note,) = explain_offers(facts(updates=(offered(name, state),)), [FILE])
    assert note == f"{KB}: Windows Update offers it too ({AGENTS}): the policy's file is left out"


def test_what_came_from_the_file_is_not_installed_by_the_agent_once_more() -> None:
    here = facts((Package(KB, "installed", ""),), (offered(), offered("KB5040000")))
    first, other = add_offers(here, [FILE]).updates or ()
    assert (first.state, other.state) == ("held", "upgradable")
    assert "is not installed once more" in first.reason
    assert [u.state for u in add_offers(here, []).updates or ()] == ["upgradable"] * 2, "only where the policy has it"


def test_unknown_stays_unknown() -> None:
    for unknown in (replace(facts(), packages=None), replace(facts(), updates=None)):
        assert add_offers(unknown, [FILE]) is unknown
        assert explain_offers(unknown, [FILE]) == ()


def test_a_plan_installs_it_once_and_tells_why_the_file_is_left_out() -> None:
    inventory = Inventory({name: Host(name, Connection(transport="fake")) for name in ("win1", "win2")}, {}, {})
    policy = Policy("p", approve=(ApprovalRule("KB*"),), rings=(RingSpec("all"),), offers=(FILE,))
    surveys = {}
    for name, seen in (("win1", facts(updates=(offered(),))), ("win2", facts())):
        surveys[name] = Survey(
            add_offers(seen, policy.offers), "windows", notes=explain_offers(seen, policy.offers))
    carried = next(iter(surveys["win1"].facts.updates))  # type: ignore[union-attr,arg-type]  # they are known
    assert carried.package == KB
    now = time.time()
    judge = make_judge(policy, inventory, {}, now)
    plan = build_plan(policy, inventory, surveys, judge, now=now, actor="x@y", limit="", known_rollouts=set(),
                      controllers=())
    assert any("the policy's file is left out" in note for note in plan.hosts["win1"].notes)
    assert [c.to_version for c in plan.hosts["win2"].changes] == ["installed"]
    assert plan.hosts["win2"].notes == ()


@pytest.mark.parametrize("version", ["installed", AGENTS])
def test_an_update_from_a_file_is_in_place_whatever_the_agent_calls_it(version: str) -> None:
    plan = HostPlan("win1", "all", 0, "windows", (BY_FILE,))
    seen = facts((Package(KB, version, ""),))
    assert list_pending(plan, seen) == []
    assert all_in_place(plan, {KB: {version}})
    assert list_changed([BY_FILE], f"{KB}:windows-update {version}\n", again=True) == []
    assert list_changed([BY_FILE], f"{KB}:windows-update {version}\n", again=False) != []
    assert [c.package for c in find_in_place(plan, HostProgress("win1"), seen).changes] == [KB]
    assert list_pending(plan, facts()) == [f"{KB} absent -> installed (found not installed)"]
    assert not all_in_place(plan, {})
    exact = replace(plan, changes=(replace(BY_FILE, to_version=AGENTS),))
    assert list_pending(exact, facts((Package(KB, "installed", ""),))) != [], "what has a version is exactly that"


@pytest.mark.parametrize("change", [BY_FILE, replace(BY_FILE, to_version=AGENTS, carrier="windows-update")])
def test_an_update_that_shows_only_after_the_reboot_is_neither_missing_nor_proven(change: Change) -> None:
    plan = HostPlan("win1", "all", 0, "windows", (change,))
    for required, waiting in ((True, [KB]), (False, []), (None, [])):
        seen = replace(facts(), reboot=RebootNeed(required))
        assert list_waiting(plan, seen) == waiting
        assert bool(list_pending(plan, seen)) is not bool(waiting)
        assert not all_in_place(plan, {})
    program = replace(plan, changes=(Change("7-Zip", "x64", "23.01", "24.08", FILE.sha256),))
    assert list_pending(program, replace(facts(), reboot=RebootNeed(True))) != []


def test_a_policy_that_names_one_thing_twice_is_refused(tmp_path: Path) -> None:
    entry = "  - {{package: {name}, version: '2', file: 'https://x/{name}.msi', sha256: {sha}, size: 1}}\n"
    text = "policy: p\napprove: [{package: '*'}]\nrings: [{name: all}]\npackages:\n"
    file = tmp_path / "p.yaml"
    file.write_text(text + entry.format(name="7-Zip", sha="a" * 64) + entry.format(name="7-zip", sha="b" * 64))
    with pytest.raises(DocumentsError) as caught:
        load_policy(file)
    assert [p.code for p in caught.value.problems] == ["package-twice"]




def test_what_an_update_is_filed_under_is_told_by_the_category_and_not_by_its_name_in_some_language() -> None:
    case = load_case("windows", "one-cumulative-update")
    found = {u.package: u.classifications for u in read_facts(case.snapshot).updates or ()}
    assert found == {KB: ("security-updates",), "KB2267602": ("definition-updates",)}
    assert set(_CLASSIFICATIONS.values()) == set(CLASSIFICATIONS)
