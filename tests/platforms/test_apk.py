"""apk's own words (2.14.6 and 3.0.8): what is newer, what an upgrade would do, pins, files, failures."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.facts import Artefact, Package
from patchctl.model.plan import Change
from patchctl.platforms.apk import PLATFORM
from patchctl.platforms.apk.earlier import CACHED, LISTED
from patchctl.platforms.apk.read import read_packages, read_pending, read_pins
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


HASH = "38c6f4ceb879ee60c358c5e9df049797fc70d21749dbd2130864c340f796ddf3"
RESOLVED = f"""@@ refresh
rc 0
@@ have
lab-config|noarch
old|noarch
@@ upgrade
(1/2) Installing lab-extra (2.0-r0)
(2/2) Upgrading lab-config (1.0-r0 -> 2.0-r0)
OK: 67.8 MiB in 70 packages
rc 0
@@ files
lab-extra|2.0-r0|noarch|{HASH}|982|http://mirror.example/main/x86_64/lab-extra-2.0-r0.apk
lab-config|2.0-r0|noarch|{HASH}|1088|http://mirror.example/main/x86_64/lab-config-2.0-r0.apk
rc 0
"""


def test_what_a_change_takes_is_known_by_hash() -> None:
    found = PLATFORM.read_resolution(RESOLVED)
    assert [(u.package, u.arch, u.installed, u.candidate, u.state) for u in found.updates or ()] == [
        ("lab-config", "noarch", "1.0-r0", "2.0-r0", "upgradable"), ("lab-extra", "", "", "2.0-r0", "new")]
    assert found.artefacts[1] == Artefact(
        "lab-config", "2.0-r0", "noarch", HASH, 1088, "lab-config-2.0-r0.apk",
        "http://mirror.example/main/x86_64/lab-config-2.0-r0.apk")


@pytest.mark.parametrize(("old", "new", "said"), [
    (f"{HASH}|982|http", f"{HASH}|982|rsync", "lab-extra could not be fetched"),
    (f"lab-extra|2.0-r0|noarch|{HASH}", f"lab-extra|2.0-r0||{HASH}", "lab-extra could not be fetched"),
    (f"lab-extra|2.0-r0|noarch|{HASH}", "lab-extra|2.0-r0|noarch|38c6", "lab-extra could not be fetched"),
    ("/lab-extra-2.0-r0.apk", "/../../etc/passwd", "lab-extra could not be fetched"),
    ("rc 0\n@@ have", "WARNING: opening http://x: timeout\nrc 0\n@@ have", "refreshing the indexes failed"),
    ("rc 0\n@@ have", "rc 7\n@@ have", "apk update ended with 7"),
    ("packages\nrc 0", "packages\nrc 1", "apk could not work out this change"),
])
def test_a_change_without_a_file_or_an_answer_is_unknown(old: str, new: str, said: str) -> None:
    text = RESOLVED.replace(old, new)
    assert text != RESOLVED
    found = PLATFORM.read_resolution(text)
    assert found.updates is None
    assert said in (found.why_unknown("updates") or "")


EARLIER = f"""@@ files
lab-config|1.0-r0|noarch|{HASH}|1084|
lab-config|1.0-r0|noarch|{'f' * 64}|1084|http://mirror.example/old/x86_64/lab-config-1.0-r0.apk
lab-native|1.0-r0|x86_64|{HASH}|1084|http://mirror.example/old/x86_64/lab-native-1.0-r0.apk
lab-native|1.0-r0|../etc|{HASH}|1084|http://mirror.example/old/x86_64/lab-native-1.0-r0.apk
WARNING: lab-service-1.0-r0: package mentioned in index not found (try 'apk update')
"""


def test_earlier_versions_and_the_payload_that_puts_them_back() -> None:
    forth = (Change("lab-config", "noarch", "1.0-r0", "2.0-r0"), Change("lab-native", "x86_64", "1.0-r0", "2.0-r0"),
             Change("lab-service", "noarch", "1.0-r0", "2.0-r0"), Change("lab-extra", "", "", "2.0-r0", pulled=True))
    found = PLATFORM.read_earlier(forth, EARLIER)
    assert [(a.package, a.version, a.arch, a.sha256, a.uri[:4], a.origin) for a in found] == [
        ("lab-config", "1.0-r0", "noarch", HASH, "", CACHED), ("lab-native", "1.0-r0", "x86_64", HASH, "http", LISTED)]
    asked = PLATFORM.earlier_probe(forth).command
    assert asked.count("pc_earlier lab-") == 3
    subprocess.run(["sh", "-n"], input=asked, text=True, check=True, timeout=20)
    assert PLATFORM.earlier_probe(forth[3:]).command == "true"
    back = (Change("lab-config", "noarch", "2.0-r0", "1.0-r0"),)
    text = PLATFORM.install_script(InstallRequest(back, found, ("lab-extra",), "/x"))
    subprocess.run(["sh", "-n"], input=text, text=True, check=True, timeout=20)
    assert text.count("upgrade --no-self-upgrade --available -- lab-config") == 2
    assert "apk verify" in text
    again = PLATFORM.install_script(InstallRequest(forth[:1], PLATFORM.read_resolution(RESOLVED).artefacts, (), "/x"))
    assert "--available" not in again


def test_the_payload_names_what_was_installed_and_verifies_every_file() -> None:
    files = PLATFORM.read_resolution(RESOLVED).artefacts
    text = PLATFORM.install_script(InstallRequest((
        Change("lab-config", "noarch", "1.0-r0", "2.0-r0"), Change("lab-extra", "", "", "2.0-r0", pulled=True)), files))
    assert text.count("pc_pack lab-") == 2
    assert "upgrade --no-self-upgrade -- lab-config;" in text, "a package that is pulled in is not made wanted by hand"
    assert "apk verify" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True, timeout=20)
    with pytest.raises(ValueError, match="no artefact for lab-x"):
        PLATFORM.install_script(InstallRequest((Change("lab-x", "", "1", "2"),), files))
    with pytest.raises(ValueError, match="unknown adjustment"):
        PLATFORM.install_script(InstallRequest((), (), adjustments=("fix-broken",)))


@pytest.mark.parametrize(
    ("line", "name"),
    [("ERROR: Unable to lock database: temporary error (try again later)", "apk-lock-held"),
     ("WARNING: opening http://x/y: temporary error (try again later)", "repository-down"),
     ("WARNING: updating and opening http://127.0.0.1:9/base/x86_64/APKINDEX.tar.gz: Connection refused",
      "repository-down"),
     ("/opt/repo/bad/x86_64/lab-b-3.0-r1.apk: BAD signature", "bad-signature"),
     ("ERROR: lib/apk/exec/lab-b-2.0-r1.post-upgrade: exited with error 1", "maintainer-script-failed"),
     ("1 error; 67.8 MiB in 65 packages", "apk-failed"),
     ("ERROR: unable to select packages:", "unmet-dependencies"),
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
