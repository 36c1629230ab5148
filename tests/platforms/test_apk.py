"""apk's own words (apk-tools 2.14.6): what is newer, what an upgrade would do, pins, and that we only read."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.facts import Package
from patchctl.platforms.apk import NOT_BUILT, PLATFORM, read_packages, read_pending, read_pins
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.sections import split_sections

INSTALLED = [Package("lab-a", "1.0-r0", "x86_64"), Package("lib-x", "1.0-r0", "x86_64"),
             Package("kept", "1-r0", "noarch")]
TEXT = """@@ newer
Installed:                                Available:
lab-a-1.0-r0                            < 2.0-r1 @edge
lib-x-1.0-r0                            < 1.1-r0
kept-1-r0                               < 2-r0
rc 0
@@ upgrade
(1/4) Purging old (1-r0)
(2/4) Installing lab-new (2.0-r0)
(3/4) Upgrading lab-a@edge (1.0-r0 -> 2.0-r1)
(4/4) Upgrading lib-x (1.0-r0 -> 1.1-r0)
OK: 0 MiB in 5 packages
rc 0
"""


def test_upgrades_new_ones_purges_and_what_stays() -> None:
    text = TEXT  # a package of a tagged repository is written with its tag
    updates, removals = read_pending(split_sections(text), INSTALLED, [])
    assert [(u.package, u.installed, u.candidate, u.state) for u in updates] == [
        ("kept", "1-r0", "2-r0", "kept-back"), ("lab-a", "1.0-r0", "2.0-r1", "upgradable"),
        ("lab-new", "", "2.0-r0", "new"), ("lib-x", "1.0-r0", "1.1-r0", "upgradable"),
    ]
    assert removals == ["old"]
    assert {u.security for u in updates} == {None}
    held, _ = read_pending(split_sections(text), INSTALLED, ["kept"])
    assert next(u for u in held if u.package == "kept").state == "held"


def test_pins_of_world_and_broken_packages() -> None:
    assert read_pins("musl\nlab-pin=1.0-r0\nx>2\ny~3\nz@edge\nfile><Q1abc=\n!conflict\n\n") == [
        "lab-pin", "x", "y", "z", "file"]
    packages, broken = read_packages("a|1-r0|x86_64|a|\nb|2-r0|noarch|b|s\nnot a line\n")
    assert [p.name for p in packages] == ["a", "b"]
    assert broken == ("b (broken files or scripts: s)",)


@given(st.text(max_size=300))
def test_no_text_breaks_the_readers(text: str) -> None:
    read_pending(split_sections(f"@@ newer\n{text}\n@@ upgrade\n{text}"), INSTALLED, read_pins(text))
    read_packages(text)


def test_installing_is_refused_in_plain_words() -> None:
    assert PLATFORM.read_resolution("anything").why_unknown("updates") == NOT_BUILT
    assert NOT_BUILT in PLATFORM.install_script(InstallRequest((), ()))


@pytest.mark.parametrize(
    ("line", "name"),
    [("ERROR: Unable to lock database: temporary error (try again later)", "apk-lock-held"),
     ("WARNING: opening http://x/y: temporary error (try again later)", "repository-down"),
     ("ERROR: lab-a-2.0-r1: BAD signature", "bad-signature")],
)
def test_failures_are_recognised(line: str, name: str) -> None:
    assert next(s.name for s in PLATFORM.signatures if re.search(s.pattern, line)) == name


@pytest.mark.skipif(not shutil.which("busybox"), reason="no busybox here")
def test_the_list_of_packages_is_made_by_busyboxs_own_tools(tmp_path: Path) -> None:
    text = "P:a\nV:1-r0\nA:x86_64\no:src\n\nP:b\nV:2-r0\nA:noarch\nf:s\no:b\n\n"
    probe = next(p for p in PLATFORM.probes("never") if p.id == "apk.packages")
    database = tmp_path / "installed"
    database.write_text(text)
    command = probe.command.replace("/lib/apk/db/installed", str(database), 1).replace("awk", "busybox awk")
    said = subprocess.run(["busybox", "ash", "-c", command], capture_output=True, text=True, check=True, timeout=20)
    assert said.stdout == "a|1-r0|x86_64|src|\nb|2-r0|noarch|b|s\n"
