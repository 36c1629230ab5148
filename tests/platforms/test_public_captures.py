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
from patchctl.platforms.registry import platform_for
from patchctl.platforms.sections import split_sections

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
