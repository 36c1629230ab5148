"""The shipped units: systemd accepts them, and the commands they run exist with those options."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from patchctl.cli.main import main

UNITS = sorted((Path(__file__).parents[2] / "docs" / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]


def test_each_service_has_its_timer_and_no_file_is_forgotten():
    names = {unit.name for unit in UNITS}
    assert names == {"patchctl-tick.service", "patchctl-tick.timer", "patchctl-scan.service", "patchctl-scan.timer"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path):
    for unit in UNITS:
        shutil.copy(unit, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    said = [line for line in done.stderr.splitlines() if "patchctl" in line]
    assert said == []
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_the_command_line_of_a_service_is_one_of_ours(unit):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign, assignment]  # as configparser's manual tells one to do
    parser.read(unit)
    env, program, *words = parser["Service"]["ExecStart"].split()
    assert (env, program) == ("/usr/bin/env", "patchctl")
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None
    known = {name for option in command.params for name in option.opts}
    assert set(words) <= known


@pytest.mark.parametrize("unit", [u for u in UNITS if u.suffix == ".timer"], ids=lambda unit: unit.name)
def test_timers_catch_up_after_the_controller_was_off(unit):
    assert "Persistent=true" in unit.read_text().splitlines()
