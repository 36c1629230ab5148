"""The program that runs in dnf's own interpreter, in parts: what it makes of advisories that it can or cannot read."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest

from patchctl.platforms.dnf.program import PROGRAM

SECURITY, BUGFIX = 1, 2


class HawkeyError(Exception):
    """As hawkey.Exception: what libdnf's C side raises."""


@pytest.fixture(scope="module")
def program() -> dict[str, Any]:
    """The names of the program, loaded over a hawkey that has only constants."""
    modules = {name: ModuleType(name) for name in ("dnf", "dnf.rpm", "dnf.repo", "dnf.subject", "dnf.exceptions")}
    hawkey = ModuleType("hawkey")
    for name, value in {"Exception": HawkeyError, "GT": 4, "EQ": 1, "ADVISORY_SECURITY": SECURITY,
                        "REFERENCE_CVE": 1}.items():
        setattr(hawkey, name, value)
    found: dict[str, Any] = {}
    with patch.dict(sys.modules, {**modules, "hawkey": hawkey}):
        exec(compile(PROGRAM.removesuffix("main()\n"), "program", "exec"), found)  # our own text
    return found


def advisory(name: str, kind: int, evr: str, severity: str = "") -> Any:
    package = SimpleNamespace(name="tool", arch="noarch", evr=evr)
    return SimpleNamespace(id=name, type=kind, severity=severity, references=[], packages=[package])


def package(evr: str, own: list[Any], later: list[Any] | Exception) -> Any:
    """A package with the advisories of itself, and those of what is newer; an exception is raised instead."""
    def get_advisories(which: int) -> list[Any]:
        if which == 1:
            return own
        if isinstance(later, Exception):
            raise later
        return later

    return SimpleNamespace(name="tool", arch="noarch", reponame="updates", evr=evr, get_advisories=get_advisories)


def ask(program: dict[str, Any], candidate: list[Any], later: list[Any] | Exception, *, info: bool = True) -> Any:
    base = SimpleNamespace(
        repos={"updates": SimpleNamespace(patchctl_info=info)},
        sack=SimpleNamespace(evr_cmp=lambda a, b: (a > b) - (a < b)))
    return program["advisories"](base, package("3-1", candidate, []), [package("1-1", [], later)])


def test_an_advisory_that_was_skipped_in_between_counts(program: dict[str, Any]) -> None:
    skipped = advisory("SA-2", SECURITY, "2-1", "Important")
    assert ask(program, [advisory("BA-3", BUGFIX, "3-1")], [skipped])[:3] == ("yes", "important", "BA-3,SA-2")
    assert ask(program, [advisory("BA-3", BUGFIX, "3-1")], [])[0] == "no"
    assert ask(program, [advisory("SA-3", SECURITY, "3-1", "medium")], [])[1] == "moderate", "as Amazon Linux calls it"
    assert ask(program, [], [advisory("SA-4", SECURITY, "4-1")])[0] == "no", "what is newer still is not in it"


@pytest.mark.parametrize("error", [HawkeyError("bad"), RuntimeError("libdnf")])
def test_where_those_in_between_cannot_be_read_it_stays_open(program: dict[str, Any], error: Exception) -> None:
    """"no" would be a guess: a security advisory may have been among them."""
    assert ask(program, [advisory("BA-3", BUGFIX, "3-1")], error)[0] == "?"
    assert ask(program, [advisory("SA-3", SECURITY, "3-1")], error)[0] == "yes", "what is known to be so stays so"


def test_a_repository_without_advisories_leaves_it_open(program: dict[str, Any]) -> None:
    assert ask(program, [], [], info=False)[0] == "?"


def test_a_mistake_of_ours_is_not_taken_for_unreadable_advisories(program: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        ask(program, [], TypeError("a mistake"))
