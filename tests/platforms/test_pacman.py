"""pacman's own words: upgrades, the full upgrade, databases, failures. The texts are those of pacman 6.0.2."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.facts import Artefact, Package
from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.pacman import PLATFORM
from patchctl.platforms.pacman.read import read_audit, read_packages, read_pending, refresh_problem
from patchctl.platforms.pacman.signatures import SIGNATURES
from patchctl.platforms.sections import split_sections

SHA = "a" * 64
PENDING = f"""@@ repos
present core
level core PackageRequired
present free
level free PackageOptional
@@ upgrades
bash 5.2.026-2 -> 5.2.037-1
linux 6.11.1.arch1-1 -> 6.12.1.arch1-1 [ignored]
nano 8.2-1 -> 8.3-1
rc 0
@@ plan
core|bash|5.2.037-1|1900000|http://m.example/core/bash-5.2.037-1-x86_64.pkg.tar.zst
free|nano|8.3-1|100|http://m.example/free/nano-8.3-1-x86_64.pkg.tar.zst
core|newlib|1:2.0-1|100|http://m.example/core/newlib-1:2.0-1-any.pkg.tar.zst
rc 0
@@ db
bash|5.2.037-1|x86_64|bash-5.2.037-1-x86_64.pkg.tar.zst|1900000|{SHA}|c2ln|
nano|8.3-1|x86_64|nano-8.3-1-x86_64.pkg.tar.zst|100|{SHA}||pico>=1 other
newlib|1:2.0-1|any|../newlib-1:2.0-1-any.pkg.tar.zst|100|{SHA}|c2ln|
"""
INSTALLED = [Package("bash", "5.2.026-2", "x86_64"), Package("nano", "8.2-1", "x86_64"), Package("pico", "1-1", "any"),
             Package("linux", "6.11.1.arch1-1", "x86_64")]


def test_the_full_upgrade_is_read_with_its_files() -> None:
    updates, files, removals = read_pending(split_sections(PENDING), INSTALLED)
    assert [(u.package, u.installed, u.candidate, u.state) for u in updates] == [
        ("bash", "5.2.026-2", "5.2.037-1", "upgradable"), ("linux", "6.11.1.arch1-1", "6.12.1.arch1-1", "held"),
        ("nano", "8.2-1", "8.3-1", "upgradable"), ("newlib", "", "1:2.0-1", "new"),
    ]
    assert {u.security for u in updates} == {None}, "pacman has no notion of security updates: unknown, never no"
    # A file name with a path in it is no file name; where signatures are optional, a file may have none.
    assert [(a.package, a.sha256, a.signature) for a in files] == [("bash", SHA, "c2ln"), ("nano", SHA, "")]
    assert removals == ("pico",)


def test_an_upgrade_that_pacman_cannot_work_out_keeps_everything_back() -> None:
    text = PENDING.replace("any.pkg.tar.zst\nrc 0", "any.pkg.tar.zst\nerror: failed to prepare transaction\nrc 1")
    updates, files, _ = read_pending(split_sections(text), INSTALLED)
    assert {u.state for u in updates} == {"kept-back", "held"}
    assert "failed to prepare transaction" in updates[0].reason
    assert files == ()


def test_a_file_without_the_signature_that_the_host_demands_is_no_artefact() -> None:
    text = PENDING.replace("|c2ln|", "||")
    assert [a.package for a in read_pending(split_sections(text), INSTALLED)[1]] == ["nano"]
    found = PLATFORM.read_resolution(text)
    assert found.updates is None
    assert "signature" in found.why_unknown("updates")
    beside = text.replace("../newlib", "newlib") + "@@ sigs\nbash c2ln\nnewlib c2ln\n"
    assert [a.signature for a in PLATFORM.read_resolution(beside).artefacts] == ["c2ln", "", "c2ln"]


@pytest.mark.parametrize(
    ("conflicts", "have", "gone"),
    [("", "pico 1-1", ("pico",)), ("vim", "pico 1-1\nvim 9-1", ("pico", "vim")), ("vim", "emacs 1-1", ()),
     ("vim<9 nano", "vim 9-1", ()), ("vim<=9", "vim 9-1", ("vim",)), ("vim>=9.1", "vim 9.1-3", ("vim",)),
     ("bash<5.2.037", "bash 5.2.026-2", ()), ("vim=", "vim 9-1", ()), ("other", "other 1-1", ("other",))],
)  # fmt: skip
def test_what_has_to_go_is_known_to_a_part_of_the_updates_too(conflicts: str, have: str, gone: tuple[str, ...]) -> None:
    """bash conflicts with an older bash: the one that is planned counts, not the one that is there."""
    text = PENDING.replace("|pico>=1 other\n", f"|pico>=1 other|{conflicts}\n").replace("../newlib", "newlib")
    found = PLATFORM.read_resolution(f"{text}@@ have\n{have}\n")
    assert found.updates is not None
    assert found.removals == gone


@given(st.text(max_size=400))
def test_no_text_breaks_the_readers(text: str) -> None:
    names = ("refresh", "repos", "upgrades", "plan", "db", "sigs", "have")
    sections = split_sections("".join(f"@@ {name}\n{text}\n" for name in names))
    read_pending(sections, INSTALLED)
    refresh_problem(sections)
    read_audit(text, read_packages(text))
    PLATFORM.read_resolution(text)


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        ("", None), ("@@ refresh\nrc 0\n", ""), ("@@ refresh\nrc 1\n", "ended with 1"),
        ("@@ refresh\n", "ended with None"),
        ("@@ refresh\nerror: failed to synchronize all databases (unexpected error)\nrc 1\n", "failed to synchronize"),
    ],
)  # fmt: skip
def test_a_refresh_that_failed_is_told(log: str, problem: str | None) -> None:
    found = refresh_problem(split_sections(log))
    assert found == problem if not problem else problem in (found or "")


def test_what_is_broken() -> None:
    text = "stale /var/lib/pacman/db.lck\nno-desc foo-1-1/\ncheck error: missing 'x' dependency for 'y'\ncheck fine\n"
    twice = [Package("a", "1", "any"), Package("a", "2", "any")]
    found = read_audit(text, twice)
    assert len(found) == 4
    assert "interrupted" in found[0]
    assert found[3] == "a has more than one database entry"


@pytest.mark.parametrize(
    ("line", "name", "names"),
    [
        ("patchctl: lock-held /var/lib/pacman/db.lck 4711 pamac-daemon", "pacman-lock-held", "pamac-daemon[4711]"),
        ("patchctl: lock-stale /var/lib/pacman/db.lck", "pacman-lock-stale", "/var/lib/pacman/db.lck"),
        ("patchctl: lock-held /var/lib/pacman/db.lck 0 nobody", "pacman-lock-stale", "db.lck"),
        ("error: failed to init transaction (unable to lock database)", "pacman-lock-held", ""),
        ("error: './lab-b-1:2-1-any.pkg.tar.zst': package missing required signature", "bad-signature", "lab-b-1:2-1"),
        ("error: lab-a: signature from \"lab <lab@localhost>\" is unknown trust", "bad-signature", "unknown trust"),
        ("error: './x-1-1-any.pkg.tar.zst': invalid or corrupted package (PGP signature)", "bad-signature", ""),
        ("error: Partition / too full: 1234 blocks needed, 12 blocks free", "no-space", "/ 1234 blocks"),
        ("error: failed to commit transaction (not enough free disk space)", "no-space", ""),
        ("lab-x: /usr/bin/x exists in filesystem", "file-conflict", "/usr/bin/x"),
        (":: lab-a and lab-b are in conflict. Remove lab-b? [y/N] ", "package-conflict", "lab-b"),
        ("patchctl: scriptlet-failed lab-broken", "maintainer-script-failed", "lab-broken"),
        (":: unable to satisfy dependency 'lab-new' required by lab-a", "unmet-dependencies", "lab-new"),
        (":: installing icu (75.1-1) breaks dependency 'libicuuc.so=74-64' required by boost-libs", "dependency-broken",
         "boost-libs"),
        ("error: failed retrieving file 'core.db' from m.example : Could not resolve host", "repository-down",
         "m.example"),
        ("error: failed to prepare transaction (could not satisfy dependencies)", "pacman-failed", "prepare"),
        ("./x-1-1-any.pkg.tar.zst: FAILED", "hash-mismatch", ""),
        ("upgrading lab-service...", "", ""),
        (":: Proceed with installation? [Y/n] ", "", ""),
    ],
)  # fmt: skip
def test_failures_are_recognised_and_name_the_culprit(line: str, name: str, names: str) -> None:
    for signature in SIGNATURES:
        if match := re.search(signature.pattern, line):
            values = {k: v or "" for k, v in match.groupdict().items()}
            assert signature.name == name
            assert names in signature.message.format(**values)
            return
    assert name == ""


def test_the_install_takes_only_the_given_files_and_keeps_signatures() -> None:
    change = Change("x", "any", "", "2-1", pulled=True)
    file = Artefact("x", "2-1", "any", SHA, 10, "x-2-1-any.pkg.tar.zst", "http://m.example/x", "core", "c2ln")
    text = PLATFORM.install_script(InstallRequest((change,), (file,), (), "/var/lib/patchctl/stage/r"))
    assert "printf %s c2ln | base64 -d >x-2-1-any.pkg.tar.zst.sig" in text
    assert "SigLevel = Never" not in text
    assert "pacman -D --asdeps" in text
    assert "--overwrite" not in text
    assert "--ask" not in text
    goes = PLATFORM.install_script(InstallRequest((change,), (file,), ("old",), "/x"))
    assert goes.index("--dbonly") < goes.index("patchctl: unplanned-removal") < goes.index("step install")
    again = PLATFORM.install_script(InstallRequest((change,), (file,), (), "/x", ("pacman-unlock",)))
    assert "step adjust-pacman-unlock" in again
    with pytest.raises(ValueError, match="dpkg"):
        PLATFORM.install_script(InstallRequest((change,), (file,), (), "/x", ("dpkg-configure-a",)))
    with pytest.raises(ValueError, match="no artefact"):
        PLATFORM.install_script(InstallRequest((change,), (), (), "/x"))
