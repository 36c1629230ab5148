"""What real Arch, Alpine and SUSE systems printed, as people showed it in public threads; the source is beside each.

Only the package managers' own lines are taken over. They back the readers where no such system was at hand.
"""

from __future__ import annotations

import pytest

from patchctl.model.evidence import Evidence, Snapshot
from patchctl.model.facts import Package
from patchctl.model.versions import apk, rpm
from patchctl.model.versions import pacman as pacman_versions
from patchctl.platforms.apk import PLATFORM as APK
from patchctl.platforms.apk import read as apk_read
from patchctl.platforms.pacman import read as pacman_read
from patchctl.platforms.registry import platform_for, platform_named
from patchctl.platforms.sections import split_sections
from patchctl.platforms.zypper import pending as zypper_pending
from patchctl.rollout.diagnose import diagnose

# github.com/gliderlabs/docker-alpine issue 27: Alpine 3.1, `apk upgrade -U` (apk 2.5)
ALPINE_31 = """fetch http://dl-4.alpinelinux.org/alpine/v3.1/main/x86_64/APKINDEX.tar.gz
(1/7) Upgrading musl (1.1.5-r2 -> 1.1.5-r4)
(2/7) Upgrading busybox (1.22.1-r14 -> 1.22.1-r15)
Executing busybox-1.22.1-r15.post-upgrade
(3/7) Upgrading alpine-conf (3.1.0-r2 -> 3.1.0-r4)
(4/7) Upgrading libcrypto1.0 (1.0.1k-r0 -> 1.0.1m-r1)
(5/7) Upgrading libssl1.0 (1.0.1k-r0 -> 1.0.1m-r1)
(6/7) Upgrading musl-utils (1.1.5-r2 -> 1.1.5-r4)
(7/7) Upgrading alpine-base (3.1.2-r0 -> 3.1.3-r0)
Executing busybox-1.22.1-r15.trigger
"""
# github.com/ish-app/ish issue 1232: Alpine 3.13 under iSH, `apk upgrade`
ALPINE_313 = """ERROR: ncurses-terminfo-base-6.2_p20210102-r0: package mentioned in index not found (try 'apk update')
(16/468) Upgrading ncurses-libs (6.2_p20200523-r0 -> 6.2_p20210102-r0)
ERROR: ncurses-libs-6.2_p20210102-r0: package mentioned in index not found (try 'apk update')
(17/468) Upgrading readline (8.0.4-r0 -> 8.1.0-r0)
(19/468) Upgrading blas (3.9.0-r2 -> 3.9.0-r3)
"""
# github.com/systemd/particleos pull request 126: Arch Linux, December 2025, `checkupdates` (pacman -Qu)
ARCH = """bash 5.3.3-2 -> 5.3.8-1
ca-certificates-mozilla 3.118.1-1 -> 3.119-1
glib2 2.86.2-1 -> 2.86.3-1
libcups 2:2.4.15-2 -> 2:2.4.16-1
mesa 1:25.2.7-1 -> 1:25.3.1-2
nftables 1:1.1.5-1 -> 1:1.1.6-1
python 3.13.7-1 -> 3.13.11-1
"""
# github.com/future-architect/vuls, scanner/suse_test.go and issue 2091: SLES 12 SP2 and Leap 15.6, `zypper lu`
SUSE = (("0.3.0-19.8.1", "0.3.1-19.11.2"), ("3.6.312-2.3.1", "3.6.312-2.10.1"), ("0.2.10-64.65.1", "0.2.10-64.69.1"),
        ("84.87+git20180409.04c9dae-150300.10.20.1", "84.87+git20180409.04c9dae-150300.10.23.1"))
# A public Go test on GitHub (its variables zypperAvailableUpdatesOutput and zypperAvailableSecurityPatchesOutput; the
# index that has it names no repository): openSUSE Leap 16.0, January 2026, `LANG=c zypper --no-refresh --quiet --xmlout
# list-updates` and `list-patches --category security`; shortened.
LEAP_16 = """@@ patches
<?xml version='1.0'?>
<stream>
<update-status version="0.6">
<update-list>
<update kind="patch" name="openSUSE-Leap-16.0-112" edition="1" arch="noarch" status="needed" category="security" \
severity="important" pkgmanager="false" restart="false" interactive="false"><summary>Security update for qemu</summary>\
<description>CVE-2025-12464: stack-based buffer overflow in the e1000 network device</description><license/><source \
url="https://download.opensuse.org/distribution/leap/16.0/repo/oss/aarch64" \
alias="https-download.opensuse.org-4bc031d9"/><issue-date time_t="1766061723" text="2025-12-18T12:42:03Z"/>\
<issue-list><issue type="cve" id="CVE-2025-11234"><title>\
http://cve.mitre.org/cgi-bin/cvename.cgi?name=CVE-2025-11234</title></issue><issue type="cve" \
id="CVE-2025-12464"><title></title></issue><issue type="bugzilla" id="1254286"><title>\
missing &apos;qemu-hw-display-virtio-gpu&apos;</title></issue>\
</issue-list></update><update kind="patch" name="openSUSE-Leap-16.0-113" edition="1" arch="noarch" status="needed" \
category="security" severity="important" pkgmanager="false" restart="true" interactive="true"><summary>Security update \
for the Linux Kernel</summary><license/><source \
url="https://download.opensuse.org/distribution/leap/16.0/repo/oss/aarch64" \
alias="https-download.opensuse.org-4bc031d9"/></update></update-list>
</update-status>
</stream>
rc 0
@@ all
<?xml version='1.0'?>
<stream>
<update-status version="0.6">
<update-list>
<update kind="package" name="kernel-default" edition="6.12.0-160000.8.1" arch="aarch64" \
edition-old="6.12.0-160000.7.1"><summary>The Standard Kernel</summary><description>The standard kernel for both \
uniprocessor and multiprocessor systems.</description><license/><source \
url="https://download.opensuse.org/distribution/leap/16.0/repo/oss/aarch64" \
alias="https-download.opensuse.org-4bc031d9"/></update><update kind="package" name="qemu-guest-agent" \
edition="10.0.7-160000.1.1" arch="aarch64" edition-old="10.0.4-160000.1.1"><summary>Guest agent for QEMU</summary>\
<description>It is installed in the linux guest</description><license/><source \
url="https://download.opensuse.org/distribution/leap/16.0/repo/oss/aarch64" \
alias="https-download.opensuse.org-4bc031d9"/></update></update-list>
</update-status>
</stream>
rc 0
"""
# github.com/EncoreTechnologies/puppet-patching, files/bash/available_updates_sles.sh: SLES 15, `zypper -x lu`
SLES_15 = """@@ all
<update name="cpp7" edition="7.5.0+r278197-4.12.1" arch="x86_64" kind="package" edition-old="7.4.1+r275405-4.9.2" >
 <summary>The GCC Preprocessor</summary>
 <license></license>
 <source url="https://updates.suse.com/SUSE/Updates/SLE-Module-Basesystem/15/x86_64/update" \
alias="Basesystem_Module_15_x86_64:SLE-Module-Basesystem15-Updates"/>
</update>
rc 0
"""
FAILURES = [
    # github.com/nginx/ansible-role-nginx issue 578: SLES 15
    ("zypper", "System management is locked by the application with pid 4278 (/usr/lib/packagekitd).",
     "zypper-lock-held", "/usr/lib/packagekitd[4278]"),
    # github.com/openSUSE/docker-containers-build issue 2: openSUSE 13.1
    ("zypper", "Detected 1 file conflict:\n\nFile /etc/ssl/certs\n  from install of\n     openssl-1.0.1k\n",
     "file-conflict", "/etc/ssl/certs"),
    # github.com/Zettlr/Zettlr issue 5070: Tumbleweed
    ("zypper", ("zettlr-3.1.0.beta.1-1.x86_64 (Plain RPM files cache): Signature verification failed "
                "[6-File is unsigned]"),
     "bad-signature", "zettlr-3.1.0.beta.1-1.x86_64"),
    # github.com/numpy/numpy issue 26660: Tumbleweed
    ("zypper", ("Signature verification failed for file 'repomd.xml' from repository 'openSUSE-Tumbleweed-Non-Oss'.\n"
                "Repository 'openSUSE-Tumbleweed-Non-Oss' is invalid."), "bad-signature", "repomd.xml"),
    # github.com/openSUSE/zypper issue 507: Tumbleweed
    ("zypper", "Warning: Digest verification failed for file 'qemu-seabios-1.16.2_3_gd478f380-2.1.noarch.rpm'",
     "hash-mismatch", ""),
    # github.com/openSUSE/zypper issue 245: Tumbleweed with a full disk
    ("zypper", ("Download (curl) error for 'http://download.opensuse.org/x/apt-cacher-ng-3.1-1.3.x86_64.rpm':\n"
                "Error code: Write error\nError message: Failed writing body (1108 != 15560)"), "no-space", ""),
    # github.com/schuhumi/alpine_kindle issue 23
    ("apk", "ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: Permission denied",
     "apk-failed", "Permission denied"),
    # github.com/xlibre-alpine/xlibre-ports issue 2: Alpine 3.22
    ("apk", "WARNING: updating and opening https://xlibre-alpine.github.io/website/main: UNTRUSTED signature",
     "bad-signature", "xlibre-alpine.github.io"),
    # github.com/wurstmeister/kafka-docker issue 164
    ("apk", ("ERROR: Failed to create usr/bin/docker: No space left on device\n"
             "ERROR: docker-1.11.2-r1: No space left on device"), "no-space", ""),
    # github.com/archlinux/archinstall issue 2446: Arch, April 2024
    ("pacman", ('error: libarchive: signature from "Levente Polyak (anthraxx) <levente@leventepolyak.net>" is unknown '
                "trust\nerror: failed to commit transaction (invalid or corrupted package)"),
     "bad-signature", "libarchive"),
    # github.com/hashicorp/packer issue 13559: Arch, February 2026
    ("pacman", 'error: packer: signature from "Christian Rebischke <chris.rebischke@archlinux.org>" is marginal trust',
     "bad-signature", "packer"),
    # github.com/SDRausty/TermuxArch issue 82
    ("pacman", "error: failed to update core (unable to lock database)\nerror: failed to synchronize all databases",
     "pacman-lock-held", ""),
    # github.com/X11Libre/binpkg-arch-based issue 9: Arch, September 2025
    ("pacman", ("error: could not open file /var/lib/pacman/sync/xlibre.db: Unrecognized archive format\n"
                "error: failed to prepare transaction (invalid or corrupted database)"), "pacman-database-corrupt",
     "sync/xlibre.db"),
]
"""(platform, what was said, code, what the message names)."""


def test_leaps_patches_and_updates() -> None:
    sections = split_sections(LEAP_16)
    qemu, kernel = zypper_pending.read_patches(sections)
    assert (qemu.name, qemu.security, qemu.severity, qemu.reboot) == (
        "openSUSE-Leap-16.0-112", True, "important", False)
    assert qemu.cves == ("CVE-2025-11234", "CVE-2025-12464"), "what the description mentions is not what it is about"
    assert kernel.reboot
    found = zypper_pending.read_pending(sections)
    assert [(u.package, u.arch, u.installed, u.candidate) for u in found.updates] == [
        ("kernel-default", "aarch64", "6.12.0-160000.7.1", "6.12.0-160000.8.1"),
        ("qemu-guest-agent", "aarch64", "10.0.4-160000.1.1", "10.0.7-160000.1.1")]
    assert all(rpm.compare(u.installed, u.candidate) < 0 for u in found.updates)


def test_sles_updates_with_a_colon_in_the_repositorys_alias() -> None:
    [cpp] = zypper_pending.read_pending(split_sections(SLES_15)).updates
    assert (cpp.package, cpp.arch, cpp.installed, cpp.candidate) == (
        "cpp7", "x86_64", "7.4.1+r275405-4.9.2", "7.5.0+r278197-4.12.1")
    assert cpp.origin == "Basesystem_Module_15_x86_64:SLE-Module-Basesystem15-Updates"


@pytest.mark.parametrize(("platform", "said", "code", "names"), FAILURES)
def test_failures_of_others_are_diagnosed(platform: str, said: str, code: str, names: str) -> None:
    found = diagnose("poll", None, {"log": said, "rc": 1}, platform_named(platform).signatures)
    assert found.signature == code
    assert names in found.message


def test_alpines_upgrades() -> None:
    installed = [Package("musl", "1.1.5-r2", "x86_64"), Package("libssl1.0", "1.0.1k-r0", "x86_64")]
    updates, removals = apk_read.read_pending(split_sections(f"@@ upgrade\n{ALPINE_31}rc 0\n"), installed, [])
    assert removals == []
    assert [(u.package, u.installed, u.candidate) for u in updates] == [
        ("alpine-base", "3.1.2-r0", "3.1.3-r0"), ("alpine-conf", "3.1.0-r2", "3.1.0-r4"),
        ("busybox", "1.22.1-r14", "1.22.1-r15"), ("libcrypto1.0", "1.0.1k-r0", "1.0.1m-r1"),
        ("libssl1.0", "1.0.1k-r0", "1.0.1m-r1"), ("musl", "1.1.5-r2", "1.1.5-r4"),
        ("musl-utils", "1.1.5-r2", "1.1.5-r4")]
    assert all(apk.compare(u.installed, u.candidate) < 0 for u in updates)


def test_alpines_errors_in_between() -> None:
    updates, _ = apk_read.read_pending(split_sections(f"@@ upgrade\n{ALPINE_313}rc 2\n"), [], [])
    assert [u.package for u in updates] == ["blas", "ncurses-libs", "readline"]
    assert all(apk.compare(u.installed, u.candidate) < 0 for u in updates)
    found = APK.read_resolution(f"@@ have\n@@ upgrade\n{ALPINE_313}rc 2\n@@ files\nrc 0\n")
    assert "package mentioned in index not found" in (found.why_unknown("updates") or "")


def test_archs_updates_with_epochs() -> None:
    rows = [pacman_read._UPGRADE.fullmatch(line) for line in ARCH.splitlines()]
    assert all(rows)
    for row in rows:
        assert row is not None
        assert pacman_versions.compare(row[2], row[3]) < 0, row[0]


@pytest.mark.parametrize(("old", "new"), SUSE)
def test_suses_versions(old: str, new: str) -> None:
    assert rpm.compare(old, new) < 0


@pytest.mark.parametrize(("text", "platform"), [  # /etc/os-release of the same sources, and of vuls' own tests
    ('NAME="openSUSE Leap"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"\n', "zypper"),
    ('NAME="SLES"\nVERSION="12-SP1"\nVERSION_ID="12.1"\nID="sles"\n', "zypper"),
    ('NAME="SLES_SAP"\nVERSION="12-SP1"\nVERSION_ID="12.1.0.1"\nID="sles"\n', "zypper"),
])
def test_which_platform_reads_them(text: str, platform: str) -> None:
    answer = Evidence("linux.os-release", "ok", text, 0)
    found = platform_for(Snapshot("suse", 0.0, {"linux.os-release": answer}))
    assert found is not None
    assert found.name == platform
