"""zypper's own words: patches, packages, locks, the full upgrade, failures. The texts are those of zypper 1.14.42."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.model.evidence import Evidence
from patchctl.model.facts import Artefact, OsRelease
from patchctl.model.plan import Change
from patchctl.platforms import read_facts
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.sections import split_sections
from patchctl.platforms.zypper import PLATFORM
from patchctl.platforms.zypper.pending import (
    REBOOT_MARK,
    describe_refresh,
    read_locks,
    read_patches,
    read_pending,
    why_no_locks,
)
from patchctl.platforms.zypper.read import newest_kernel, read_audit, read_packages, read_twice
from patchctl.platforms.zypper.signatures import SIGNATURES
from tests.platforms.cases import load_case

SHA = "b" * 64


def test_patches_give_security_cves_severity_and_reboots() -> None:
    case = load_case("zypper", "patches-locks-plain")
    sections = split_sections(case.snapshot.evidence["zypper.pending"].output)
    patches = {p.name: p for p in read_patches(sections)}
    assert patches["ALSA-2026:1003"].reboot
    assert patches["ALSA-2026:1003"].cves == ("CVE-2026-10004",)
    updates = {u.package: u for u in read_facts(case.snapshot).updates or ()}
    kernel = updates["kernel-core"]
    assert (kernel.security, kernel.severity, kernel.advisories) == (True, "important", ("ALSA-2026:1003",))
    assert kernel.origin == f"lab-updates, ALSA-2026:1003 {REBOOT_MARK}"
    assert updates["lab-config"].security is False, "a patch about something else"
    assert updates["lab-plain"].security is None, "its repository has no patches: unknown, never no"
    assert [str(lock) for lock in read_locks(sections)] == ["lab-native"]
    assert why_no_locks(sections) == ""


def test_a_read_only_root_keeps_everything_back() -> None:
    case = load_case("zypper", "patches-locks-plain")
    found = Evidence("zypper.transactional", "ok", "read-only-root\n", 0)
    facts = read_facts(replace(case.snapshot, evidence={**case.snapshot.evidence, "zypper.transactional": found}))
    assert {u.state for u in facts.updates or ()} == {"held", "kept-back"}
    assert facts.artefacts == ()


def test_a_plan_that_fails_keeps_everything_back_with_the_reason() -> None:
    case = load_case("zypper", "patches-locks-plain")
    output = case.snapshot.evidence["zypper.pending"].output
    start, end = output.index("@@ plan"), output.index("@@ files")
    text = '@@ plan\n<message type="error">Problem: nothing provides x</message>\nrc 4\n'
    found = read_pending(split_sections(output[:start] + text + output[end:]))
    assert {u.state for u in found.updates} == {"held", "kept-back"}
    assert "nothing provides x" in found.updates[0].reason
    assert found.artefacts == ()


def test_a_resolution_has_what_is_pulled_in_and_removed() -> None:
    text = (
        '@@ repos\n<repo alias="r" enabled="1">\n<url>http://m.example/r/</url>\n</repo>\n@@ plan\n<to-install>\n'
        '<solvable type="package" name="x" edition="2-1" arch="noarch"/>\n</to-install>\n<to-remove>\n'
        '<solvable type="package" name="gone" edition="1-1" arch="noarch"/>\n</to-remove>\nrc 0\n'
        f"@@ files\nx|0:2-1|noarch|{SHA}|10|noarch/x-2-1.noarch.rpm|r\n"
        f"evil|0:2-1|noarch|{SHA}|10|../../etc/x.rpm|r\nbad|0:1-1|noarch|{SHA}|1|a b.rpm|r\n"
    )
    found = PLATFORM.read_resolution(text)
    assert [(u.package, u.candidate) for u in found.updates or ()] == [("x", "2-1")]
    assert found.removals == ("gone",)
    assert [(a.filename, a.uri) for a in found.artefacts] == [
        ("x-2-1.noarch.rpm", "http://m.example/r/noarch/x-2-1.noarch.rpm")]


@given(st.text(max_size=400))
def test_no_text_breaks_the_readers(text: str) -> None:
    names = ("refresh", "repos", "indexes", "locks", "patches", "members", "updates", "all", "plan", "files")
    sections = split_sections("".join(f"@@ {name}\n{text}\n" for name in names))
    read_pending(sections)
    describe_refresh(sections)
    read_audit(text)
    read_packages(text)


@pytest.mark.parametrize(
    ("line", "name", "names"),
    [
        ("patchctl: lock-held /run/zypp.pid 4711 packagekitd", "zypper-lock-held", "packagekitd[4711]"),
        ("System management is locked by the application with pid 77 (zypper).", "zypper-lock-held", "zypper[77]"),
        (("lab-badkey-2.0-1.el9.noarch (Plain RPM files cache): Signature verification failed "
         "[4-Signatures public key is not available]"), "bad-signature", "lab-badkey-2.0-1.el9.noarch"),
        ("error: %prein(lab-broken-2.0-1.el9.noarch) scriptlet failed, exit status 1", "maintainer-script-failed",
         "lab-broken-2.0-1"),
        ("warning: %post(lab-broken-post-2.0-1.el9.noarch) scriptlet failed, exit status 1",
         "maintainer-script-failed", "post script"),
        ("Problem: nothing provides lab-extra >= 2.0 needed by lab-dependency-2.0-1.el9.noarch", "unmet-dependencies",
         "lab-extra"),
        ("patchctl: unplanned-removal lab-victim", "unplanned-change", "lab-victim"),
        ("patchctl: transactional", "transactional-system", "transactional-update"),
        ("Repository 'Lab base' is invalid.", "repository-down", "Lab base"),
        ("error: unpacking of archive failed: cpio: write failed - No space left on device", "no-space", ""),
        ("patchctl: zypper-exit 8", "zypper-failed", "8"),
        ("patchctl: zypper-exit 102", "", ""),
        ("patchctl: zypper-exit 0", "", ""),
        ("(1/1) Installing: lab-service-2.0-1.el9.noarch [.......done]", "", ""),
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


def test_the_install_verifies_signatures_and_takes_only_the_given_files() -> None:
    change = Change("x", "noarch", "1-1", "2-1", origin=f"updates, SUSE-1 {REBOOT_MARK}")
    file = Artefact("x", "2-1", "noarch", SHA, 10, "x-2-1.noarch.rpm", "http://m.example/x")
    text = PLATFORM.install_script(InstallRequest((change,), (file,), (), "/x"))
    assert "no-gpg-checks" not in text
    assert "allow-unsigned" not in text
    assert "/run/reboot-needed" in text
    plain = replace(change, origin="updates")
    assert "/run/reboot-needed" not in PLATFORM.install_script(InstallRequest((plain,), (file,), (), "/x"))
    with pytest.raises(ValueError, match="dpkg"):
        PLATFORM.install_script(InstallRequest((change,), (file,), (), "/x", ("dpkg-configure-a",)))


def test_kernels_count_by_version_and_flavour() -> None:
    kernels = ["5.14.21-150500.55.7-default", "5.14.21-150500.55.12-default", "6.1.0-1-preempt"]
    assert newest_kernel("5.14.21-150500.55.7-default", kernels) == "5.14.21-150500.55.12-default"
    assert newest_kernel("5.14.21-150500.55.7-rt", kernels) == ""


def test_which_systems_are_meant() -> None:
    for name, family in (("opensuse-leap", "suse"), ("sles", "suse"), ("debian", "debian")):
        assert PLATFORM.matches(OsRelease(name, "15.6", family)) == (family == "suse")


def test_two_versions_of_a_package_are_a_sign_of_an_install_that_was_cut_off() -> None:
    listed = "x|0:1-1|noarch|x\nx|0:2-1|noarch|x\nkernel-default|0:5-1|x86_64|k\nkernel-default|0:6-1|x86_64|k\n"
    assert read_twice(read_packages(listed)) == ("x is installed in two versions: an install was cut off",)
    assert read_audit('<install-summary packages-to-change="1">\nrc 0\n') == (
        "dependencies are not met: zypper verify would change 1 packages",)
    assert read_audit("something else\nrc 4\n") is None
    assert read_audit('<message type="error">Target initialization failed</message>\nrc 4\n') == (
        "Target initialization failed",)
    locked = '<message type="error">System management is locked by the application with pid 42 (x).</message>\nrc 7\n'
    assert read_audit(locked) is None, "who holds the lock is no broken package"


# A lab host after addlock of `lab-native > 1.5`, lab-epoch, `lab-config = 2.0-1.el9`, a pattern
# lab-service, and `lab-pl*` from the repository lab-plain: `zypper -x locks`, and the names of what is newer.
LOCKS = """\
@@ locks
<?xml version='1.0'?>
<stream>
<locks size="5"><lock number="1"><name>lab-config</name><type>package</type><range flag="==" epoch="0" version="2.0" \
release="1.el9"/></lock>
<lock number="2"><name>lab-epoch</name><type>package</type></lock>
<lock number="3"><name>lab-native</name><type>package</type><range flag="&gt;" epoch="0" version="1.5" \
release=""/></lock>
<lock number="4"><name>lab-pl*</name><type>package</type><repo>lab-plain</repo></lock>
<lock number="5"><name>lab-service</name><type>pattern</type></lock>
</locks></stream>
rc 0
@@ updates
<update kind="package" name="lab-service" edition="2.0-1.el9" arch="noarch" edition-old="1.0-1.el9"></update>
<update kind="package" name="lab-plain" edition="2.0-1.el9" arch="noarch" edition-old="1.0-1.el9"></update>
rc 0
@@ all
<update kind="package" name="lab-config" edition="2.0-1.el9" arch="noarch" edition-old="1.0-1.el9"></update>
<update kind="package" name="lab-epoch" edition="2:2.0-1.el9" arch="noarch" edition-old="2:1.0-1.el9"></update>
<update kind="package" name="lab-native" edition="2.0-3.el9" arch="x86_64" edition-old="1.0-3.el9"></update>
<update kind="package" name="lab-service" edition="2.0-1.el9" arch="noarch" edition-old="1.0-1.el9"></update>
rc 0
@@ plan
<install-summary><to-upgrade>
<solvable type="package" name="lab-service" edition="2.0-1.el9" arch="noarch" edition-old="1.0-1.el9"/>
</to-upgrade></install-summary>
rc 0
"""
# openSUSE/zypper, src/locks.cc of 2016: before 1.14 it draws this table, asked for XML or not.
OLD_LOCKS = """\
@@ locks

# | Name        | Type    | Repository
--+-------------+---------+-----------
1 | lab-pl*     | package | lab-plain
2 | lab-service | pattern | (any)

rc 0
"""


def test_a_lock_holds_what_it_is_about_and_nothing_else() -> None:
    """Not a package of a pattern's name; and what is locked in one repository is in the shorter list alone."""
    found = read_pending(split_sections(LOCKS))
    assert {u.package: (u.state, u.reason.partition(": ")[2]) for u in found.updates} == {
        "lab-config": ("held", "lab-config == 2.0-1.el9"), "lab-epoch": ("held", "lab-epoch"),
        "lab-native": ("held", "lab-native > 1.5"), "lab-plain": ("held", "lab-pl* (from lab-plain)"),
        "lab-service": ("upgradable", "")}
    assert str(read_locks(split_sections(LOCKS))[-1]) == "pattern lab-service"


def test_locks_of_an_older_zypper() -> None:
    sections = split_sections(OLD_LOCKS)
    assert why_no_locks(sections) == ""
    assert [str(lock) for lock in read_locks(sections)] == ["lab-pl* (from lab-plain)", "pattern lab-service"]


@pytest.mark.parametrize(("text", "why"), [
    ('@@ locks\n<message type="error">System management is locked by pid 7</message>\nrc 7\n', "pid 7"),
    (LOCKS.replace('size="5"', 'size="6"'), "names 6 locks"), ("@@ locks\nrc 0\n", "does not list"),
    ("", "ended with None"),
    ("@@ locks\nThere are no package locks defined.\nrc 0\n", ""),
])
def test_locks_that_cannot_be_read_are_not_none(text: str, why: str) -> None:
    found = why_no_locks(split_sections(text))
    assert (why in found) and bool(found) == bool(why)
