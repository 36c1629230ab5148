"""Verification and preflight as pure judgements."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from patchctl.collect.runner import BASE
from patchctl.model.facts import Artefact, HostFacts, Package
from patchctl.model.plan import Change, HostPlan
from patchctl.usecases.hostjobs import BOOT_BYTES, SPOOL_BYTES, find_shortage
from patchctl.usecases.hostjobs_verify import all_in_place, list_changed, list_pending, read_versions
from tests.sim.fleet import make_plan

CHANGES = (Change("libc6", "amd64", "1", "2"), Change("new", "all", "", "3"))
PLAN = HostPlan("h1", "all", 0, "apt", CHANGES, removals=("victim:amd64",))


def facts(*packages: tuple[str, str, str]) -> HostFacts:
    return HostFacts(packages=tuple(
        Package(name, version, "amd64", status=status) for name, version, status in packages))


def test_pending_names_what_is_not_in_place_and_what_was_found() -> None:
    good = facts(("libc6", "2", "installed"), ("new", "3", "installed"))
    assert list_pending(PLAN, good) == []
    half = facts(("libc6", "1", "installed"), ("new", "3", "half-configured"), ("victim", "1", "installed"))
    assert list_pending(PLAN, half) == [
        "libc6 1 -> 2 (found 1)", "new absent -> 3 (found not installed)", "victim:amd64 -> removed (still there)",
    ]


def test_all_in_place_needs_every_version_and_every_removal() -> None:
    done = "libc6:amd64 2\nnew:all 3\n"
    assert all_in_place(PLAN, read_versions(done))
    assert not all_in_place(PLAN, read_versions(done + "victim:amd64 1\n"))
    assert not all_in_place(PLAN, read_versions("libc6:amd64 2\n"))
    assert not all_in_place(PLAN, read_versions(done + "libc6:i386 1\n")), "every architecture counts"


def test_changed_means_other_than_the_plan_starts_from() -> None:
    start, moved = "libc6:amd64 1\n", "libc6:amd64 1.5\n"
    plan = (CHANGES[0],)
    assert list_changed(plan, start, again=False) == []
    assert list_changed(plan, moved, again=False) == ["libc6: planned 1, found 1.5"]
    assert list_changed(plan, "libc6:amd64 2\n", again=False) == ["libc6: planned 1, found 2"]
    assert list_changed(plan, "", again=False) == ["libc6: planned 1, found not installed"]


def test_after_an_attempt_of_ours_what_it_did_is_as_planned() -> None:
    for output in ("libc6:amd64 1\n", "libc6:amd64 2\n", "libc6:amd64 2\nnew:all 3\n", "", "new:all 3\n"):
        assert list_changed(CHANGES, output, again=True) == [], output
    assert list_changed(CHANGES, "libc6:amd64 1.5\n", again=True) == ["libc6: planned 1, found 1.5"]


def test_two_versions_that_a_cut_transaction_left_are_as_planned_in_the_next_attempt_only() -> None:
    plan = [Change("lab-half", "noarch", "1.0-1", "2.0-1")]
    twice = "lab-half:noarch 1.0-1\nlab-half:noarch 2.0-1\n"
    assert list_changed(plan, twice, again=True) == []
    assert list_changed(plan, twice, again=False) == ["lab-half: planned 1.0-1, found 1.0-1+2.0-1"]
    assert list_changed(plan, twice + "lab-half:noarch 3.0-1\n", again=True) != []


@pytest.mark.parametrize("full", ["/", "/var", "/boot", ""])
def test_a_file_system_without_room_is_named_before_anything_is_changed(full: str) -> None:
    size = 10_000_000
    changes = (Change("linux-image-amd64", "amd64", "1", "2", sha256="a" * 64),)
    file = Artefact("linux-image-amd64", "2", "amd64", "a" * 64, size, "linux-image-amd64_2_amd64.deb")
    whole = replace(make_plan(["h1"]), artefacts={file.sha256: file})
    plan = replace(PLAN, changes=changes, removals=())
    enough = {"/": 4 * size, "/var": size + SPOOL_BYTES, "/boot": BOOT_BYTES}
    space = {path: (need - (path == full), path) for path, need in enough.items()}
    found = find_shortage(whole, plan, {"/": space["/"], BASE: space["/var"], "/boot": space["/boot"]})
    assert (found.code if found else "") == ("disk-full" if full else "")
    assert not full or (found is not None and found.message.startswith(f"{full} has "))
    everything = 5 * size + SPOOL_BYTES + BOOT_BYTES
    for free, code in ((everything, ""), (everything - 1, "disk-full")):
        one = find_shortage(whole, plan, dict.fromkeys(("/", BASE, "/boot"), (free, "/")))
        assert (one.code if one else "") == code, "what lies on one file system adds up"
    assert find_shortage(whole, plan, {}) is None, "what nobody could tell stops nothing"
