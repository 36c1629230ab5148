"""The wheel holds everything that the command needs: templates, starter files, entry point."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel, built from this checkout and unpacked as an installer would, beside the dependencies we have."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    built = subprocess.run([*pip, "wheel", "--no-deps", "-w", folder, ROOT], capture_output=True, text=True,
                           timeout=300)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("cannot build a wheel: the build backend hatchling cannot be had here")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    target = folder / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", target, wheel], check=True, timeout=300)
    return wheel, target


def test_only_the_program_is_in_the_wheel(installed):
    names = zipfile.ZipFile(installed[0]).namelist()
    assert {name.split("/")[0] for name in names} == {"patchctl", "patchctl-0.1.0.dist-info"}
    assert not [name for name in names if name.endswith((".pyc", ".db"))]


def test_it_runs_from_the_wheel_alone(installed, tmp_path):
    target = installed[1]
    env = {**os.environ, "PYTHONPATH": str(target)}

    def run(*args):
        return subprocess.run([target / "bin" / "patchctl", *args], cwd=tmp_path, env=env, capture_output=True,
                              text=True, timeout=60)

    assert run("--version").stdout.startswith("patchctl, version ")
    where = subprocess.run([sys.executable, "-c", "import patchctl; print(patchctl.__file__)"], cwd=tmp_path, env=env,
                           capture_output=True, text=True, check=True).stdout
    assert str(target) in where
    made = run("init", "fleet", "--host", "localhost")
    assert made.returncode == 0, made.stderr
    checked = run("validate", "-i", "fleet/inventories", "fleet/policies", "fleet/inventories")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_baselines_come_with_it_and_are_found_by_name(installed, tmp_path):
    env = {**os.environ, "PYTHONPATH": str(installed[1]), "HOME": str(tmp_path)}

    def run(*args):
        return subprocess.run([installed[1] / "bin" / "patchctl", *args], cwd=tmp_path, env=env, capture_output=True,
                              text=True, timeout=120)

    listed = run("baseline", "list", "-o", "csv")
    assert {"debian-12", "windows-server", "ssh-server"} <= {line.split(",")[0] for line in listed.stdout.splitlines()}
    shown = run("baseline", "show", "debian-12", "-o", "json")
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["source"].startswith(str(installed[1])) or str(ROOT) not in shown.stdout
    cases = run("baseline", "test", "ssh-server")
    assert cases.returncode == 0, cases.stdout + cases.stderr
    wrong = run("assess", "--baseline", "debian12")
    assert (wrong.returncode, "did you mean debian-12?" in wrong.stderr) == (2, True)
