"""`patchctl validate` reads SCA policies below baselines/ as what they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from patchctl.documents.settings import load_settings
from patchctl.usecases.validate import validate_project
from tests.assess.sca.ask import POLICIES


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "baselines").mkdir()
    (tmp_path / "inventories").mkdir()
    (tmp_path / "patchctl.yaml").write_text("forks: 5\n")
    (tmp_path / "inventories/hosts.yaml").write_text("hosts: {web01: {}}\n")
    shutil.copy(POLICIES / "lab-v4.yml", tmp_path / "baselines")
    return tmp_path


def validate(project: Path, *paths: Path) -> tuple[list[str], list[str]]:
    settings = load_settings({}, project, {}, system=project / "none")
    found = validate_project(settings, paths, project, 0.0)
    return [p.code for p in found.problems], [f"{n.code} {n.message}" for n in found.notes]


def test_a_policy_is_checked_and_what_is_not_interpreted_is_noted(project: Path) -> None:
    problems, notes = validate(project)
    assert problems == []
    assert len(notes) == 1
    assert notes[0].startswith("not-interpreted 1012: ")
    assert validate(project, project / "baselines/lab-v4.yml")[0] == [], "named by itself it is no patch policy"


def test_its_errors_are_told_with_their_place(project: Path) -> None:
    path = project / "baselines/lab-v4.yml"
    path.write_text(path.read_text().replace("condition: any", "condition: some"))
    assert validate(project)[0] == ["invalid-check"]
