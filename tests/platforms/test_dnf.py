"""dnf's, yum's and rpm's own words: advisories, holds, failures. Each excerpt names its public source."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.model.evidence import OK, Evidence
from patchctl.platforms.dnf.common import file_name, read_advisories
from patchctl.platforms.dnf.pending import read_packages, read_pending
from patchctl.platforms.dnf.probes import pending_command
from patchctl.platforms.dnf.program import PROGRAM
from patchctl.platforms.dnf.read import read_check, read_holds, read_host, read_updaters
from patchctl.platforms.dnf.signatures import SIGNATURES
from tests.platforms.cases import load_case


@pytest.mark.parametrize(
    ("line", "found"),
    [
        # RHEL 9, dnf 4: a list of updateinfo on a public page.
        ("RHSA-2023:0752 Moderate/Sec.  grub2-tools-1:2.06-46.el9_1.3.x86_64",
         ("RHSA-2023:0752", "moderate", True, "grub2-tools", "x86_64", "1:2.06-46.el9_1.3")),
        ("RHSA-2023:0334 Important/Sec. kernel-core-5.14.0-162.12.1.el9_1.x86_64",
         ("RHSA-2023:0334", "important", True, "kernel-core", "x86_64", "5.14.0-162.12.1.el9_1")),
        # Amazon Linux 2023: its user guide, kernel live patching.
        ("ALAS2LIVEPATCH-2021-123   important/Sec. kernel-livepatch-6.1.12-17.42-1.0-4.amzn2023.x86_64",
         ("ALAS2LIVEPATCH-2021-123", "important", True, "kernel-livepatch-6.1.12-17.42", "x86_64",
          "1.0-4.amzn2023")),
        # dnf 5: the columns of dnf5-advisory(8), name, type, severity, package, issued.
        ("FEDORA-2026-0123456789 security   Important bash-0:5.2.37-1.fc42.x86_64 2026-01-02 03:04:05",
         ("FEDORA-2026-0123456789", "important", True, "bash", "x86_64", "5.2.37-1.fc42")),
        ("FEDORA-2026-0123456789 bugfix     None      bash-5.2.37-1.fc42.x86_64 2026-01-02 03:04:05",
         ("FEDORA-2026-0123456789", "", False, "bash", "x86_64", "5.2.37-1.fc42")),
    ],
)  # fmt: skip
def test_advisories_of_every_tool(line: str, found: tuple[object, ...]) -> None:
    assert list(read_advisories([line])) == [found]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "without a word"), ("repo|a|1|none\n", "without a word"), ("E: no\nend\n", "no"),
        ("refresh|Cannot download repomd.xml\nE: Cannot\nend\n", "refreshing the metadata failed"),
        ("tool yum\nlist a.noarch 2-1 r\nrc 100\nage 60\n", "without a word"),
        ("change|upgradable|../x|noarch|1-1|2-1|r|1|" + "a" * 64 + "|no|||||http://x/x.rpm\nend\n", "cannot be used"),
    ],
)
def test_what_is_not_whole_is_unknown(text: str, why: str) -> None:
    found = read_pending(text)
    assert found.updates == ()
    assert why in found.error


def test_on_an_image_nothing_is_dnfs_to_update() -> None:
    """Fedora CoreOS, image mode: dnf lists updates there, and is refused when it installs them."""
    for case in ("held-and-excluded", "yum3-held-and-excluded"):
        text = load_case("dnf", case).snapshot.output("dnf.pending") or ""
        usual, image = read_pending(text), read_pending(f"{text}image\n")
        assert {u.package for u in image.updates} == {u.package for u in usual.updates if u.state != "new"}
        assert {u.state for u in image.updates} == {"held", "kept-back"}
        assert (image.artefacts, image.removals, image.error) == ((), (), "")
    assert pending_command("never").count("ostree-booted") == 1


@given(st.text(max_size=300))
def test_no_text_breaks_the_readers(text: str) -> None:
    for start in ("", "tool dnf5\nend\nrow|", "change|", "end\n"):
        read_pending(start + text)
    read_packages(text)
    read_check(text)
    read_holds(text)
    read_updaters(text)


def test_two_versions_side_by_side_are_broken_but_not_of_a_kernel() -> None:
    twins = "a|1-1|noarch|a-1-1.src.rpm|5|\na|2-1|noarch|a-2-1.src.rpm|9|\n"
    kernels = "kernel-core|1-1|x86_64|k|1|multiple\nkernel-core|2-1|x86_64|k|2|multiple\n"
    rows = f"{twins}{kernels}gpg-pubkey|x-1|(none)|(none)|1|\n"
    packages, twice, latest = read_packages(rows)
    assert (len(packages), twice, latest) == (4, ("a.noarch is installed as 1-1 and 2-1",), 9.0)


def test_holds_and_updaters() -> None:
    text = "lock # Added\nlock kernel-0:5.14.0-1.el9.*\nexclude /etc/dnf/dnf.conf:excludepkgs=php*, httpd\n"
    assert read_holds(text) == (
        "kernel-0:5.14.0-1.el9.*", "php* (excluded in /etc/dnf/dnf.conf)", "httpd (excluded in /etc/dnf/dnf.conf)")
    on = "unit dnf-automatic.timer\nconfig /etc/dnf/automatic.conf yes\nunit packagekit.service\n"
    assert read_updaters(on) == ("dnf-automatic", "packagekit")
    assert read_updaters(on.replace("yes", "no")) == ("packagekit",)


def test_a_list_of_locks_that_cannot_be_read_is_not_one_without_locks() -> None:
    case = load_case("dnf", "held-and-excluded")
    assert read_host(case.snapshot).held, "the case itself has locks"
    closed = Evidence("dnf.holds", OK, "unreadable /etc/dnf/plugins/versionlock.list\nlock kernel-0:5-1.*\n", rc=0)
    facts = read_host(replace(case.snapshot, evidence={**case.snapshot.evidence, "dnf.holds": closed}))
    assert facts.held is None
    assert "versionlock.list cannot be read" in facts.why_unknown("held")


def test_file_names_are_safe() -> None:
    assert file_name("a", "1:2.0^git1-1.el9", "noarch") == "a-2.0%5egit1-1.el9.noarch.rpm"


def test_the_program_is_python() -> None:
    compile(PROGRAM, "program", "exec")


@pytest.mark.parametrize(
    ("line", "name", "names"),
    [
        ("patchctl: lock-held /var/lib/dnf/rpmdb_lock.pid 4711 packagekitd", "rpm-lock-held", "packagekitd[4711]"),
        ("Waiting for process with pid 812 to finish.", "rpm-lock-held", "812"),
        ("patchctl: unknown-key ./lab-a-2.0-1.el9.noarch.rpm /etc/pki/rpm-gpg/RPM-GPG-KEY-lab ", "unknown-key",
         "repositories name /etc/pki/rpm-gpg/RPM-GPG-KEY-lab"),
        ("patchctl: unknown-key ./lab-a-2.0-1.el9.noarch.rpm ", "unknown-key", "lab-a-2.0"),
        ("Package lab-unsigned-2.0-1.el9.noarch.rpm is not signed", "unsigned-package", "lab-unsigned"),
        ("repomd.xml GPG signature verification error: Bad GPG signature", "bad-signature", ""),
        ("Error: Failed to download metadata for repo 'lab-base': Cannot download repomd.xml", "repository-down",
         "lab-base"),
        ("error: %prein(lab-broken-2.0-1.el9.noarch) scriptlet failed, exit status 1", "scriptlet-failed",
         "lab-broken"),
        ("  - At least 5MB more space needed on the / filesystem.", "no-space", "/"),
        ("error: rpmdb: BDB0113 Thread/process 1/2 failed: DB_RUNRECOVERY", "rpm-database-corrupt", ""),
        ("patchctl: duplicate lab-half-1.0-1.el9.noarch", "rpm-interrupted", "lab-half"),
        ("patchctl: image", "image-system", "as a whole"),
        ("Error: lab-plain-4.0-1.el9.noarch is held by versionlock: lab-plain-0:3.0-1.el9.*", "held-since-the-plan",
         "lab-plain-4.0"),
        ("Complete!", "", ""),
    ],
)  # fmt: skip
def test_failures_are_recognised_and_name_the_culprit(line: str, name: str, names: str) -> None:
    for signature in SIGNATURES:
        if match := re.search(signature.pattern, line):
            assert signature.name == name
            assert names in signature.message.format(**{k: v or "" for k, v in match.groupdict().items()})
            return
    assert name == ""
