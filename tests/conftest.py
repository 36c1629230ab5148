"""Fixtures that all tests share, and what to do with tests that cannot run here: say so, with the reason.

`lab` boots real hosts (tests/lab/README.md); tests that use it carry the marker `lab`. Tests marked `soak` run only
with PATCHCTL_SOAK=1 (`make soak`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import Lab, LabHost, why_not

if TYPE_CHECKING:
    from tests.winrm.peers import StartPeers

SOAK = "PATCHCTL_SOAK"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what cannot run here. (The Makefile lets each file run in one worker: module fixtures boot hosts.)"""
    reason = why_not()
    for item in items:
        if item.get_closest_marker("lab") and reason:
            item.add_marker(pytest.mark.skip(reason=f"lab test left out: {reason}"))
        if item.get_closest_marker("soak") and not os.environ.get(SOAK):
            item.add_marker(pytest.mark.skip(reason=f"long version left out: set {SOAK}=1 (make soak)"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """End with one line for each reason why tests were left out."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("left out", sep="-")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} {'test' if count == 1 else 'tests'}: {reason}")


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """An empty lab in a slot of its own. Tests boot hosts with lab.up(n); at the end nothing of it is left."""
    if reason := why_not():
        pytest.skip(f"lab test left out: {reason}")
    with Lab.session() as session:
        yield session


@pytest.fixture()
def fresh_hosts(lab: Lab) -> Iterator[Callable[[int], list[LabHost]]]:
    """A function that boots n fresh hosts; they are deleted after the test."""
    booted: list[LabHost] = []

    def boot(count: int = 1) -> list[LabHost]:
        hosts = lab.up(count)
        booted.extend(hosts)
        return hosts

    yield boot
    if booted:
        lab.down(*booted)


@pytest.fixture(scope="module")
def module_hosts(lab: Lab) -> Iterator[Callable[[int], list[LabHost]]]:
    """Like fresh_hosts, but the hosts live until the last test of the file: for tests that change nothing on them."""
    booted: list[LabHost] = []

    def boot(count: int = 1) -> list[LabHost]:
        while len(booted) < count:
            booted.extend(lab.up(count - len(booted)))
        return booted[:count]

    yield boot
    if booted:
        lab.down(*booted)


@pytest.fixture()
def winrm_peers(tmp_path: Path) -> Iterator[StartPeers]:
    """A function that starts simulated Windows hosts (tests/winrm/README.md); they are stopped after the test."""
    from tests.winrm.peers import peers

    with peers(tmp_path) as start:
        yield start


@pytest.fixture(scope="session")
def wine() -> None:
    """For tests whose command lines really run, in Wine. Makes its prefix when it is not there (once, 15 s)."""
    from tests.windows.wine import why_not as why_no_wine
    from tests.winrm.peers import shared_wine

    if reason := why_no_wine():
        pytest.skip(f"Wine test left out: {reason}")
    shared_wine()
