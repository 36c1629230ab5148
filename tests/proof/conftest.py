"""A project folder around fresh lab hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.lab import Lab, LabHost
from tests.proof.project import Project


@pytest.fixture()
def make_project(lab: Lab, tmp_path: Path) -> Iterator[Callable[[Sequence[LabHost]], Project]]:
    """A function that makes a project for these hosts; what it still runs is ended after the test."""
    made: list[Project] = []

    def make(hosts: Sequence[LabHost]) -> Project:
        made.append(Project(tmp_path / f"project{len(made)}", lab, hosts))
        return made[-1]

    yield make
    for project in made:
        project.close()


@pytest.fixture()
def fleet(
    fresh_hosts: Callable[[int], list[LabHost]], make_project: Callable[[Sequence[LabHost]], Project]
) -> Callable[[int], Project]:
    """A function that boots n fresh hosts and returns their project."""
    return lambda count: make_project(fresh_hosts(count))
