"""What dnf and yum printed on systems of other people, as they published it; each excerpt names its source."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from patchctl.platforms.dnf.common import read_advisories
from patchctl.platforms.dnf.dnf5 import TABLE
from patchctl.platforms.dnf.probes import scan_probes

# Amazon Linux 2023, dnf upgrade --releasever=2023.0.20230329: docs.aws.amazon.com/linux/al2023/ug,
# deterministic-upgrades-usage.
AMAZON_2023 = """\
Amazon Linux 2023 repository                     26 MB/s |  12 MB     00:00
Dependencies resolved.
================================================================================
 Package    Arch    Version               Repository   Size
================================================================================
Installing:
 kernel     aarch64 6.1.21-1.45.amzn2023  amazonlinux  26 M
"""
# Fedora 41 beta, dnf5 needs-restarting: seinolab.jp/posts/2024/dnf5-needs-restarting.html.
REBOOT = """\
Core libraries or services have been updated since boot-up:
  * kernel
  * kernel-core
  * kernel-modules
  * kernel-modules-core

Reboot is required to fully utilize these updates.
More information: https://access.redhat.com/solutions/27943
"""
NO_REBOOT = "No core libraries or services have been updated since boot-up.\nReboot should not be necessary.\n"
# Oracle Linux 6 (OVM), yum updateinfo list: blog.rubiconred.com, linux-patching-5.
YUM_ADVISORIES = """\
Loaded plugins: security, ulninfo, versionlock
OVMBA-2018-0055 bugfix         ConsoleKit-0.4.1-6.el6.x86_64
OVMBA-2018-0191 bugfix         SDL-1.2.14-7.el6_7.1.x86_64
OVMBA-2018-0087 bugfix         iproute-2.6.32-54.0.1.el6.x86_64
OVMEA-2017-0003 enhancement    iptables-1.4.7-16.0.5.el6.x86_64
"""


def test_advisories_of_yum() -> None:
    found = list(read_advisories(YUM_ADVISORIES.splitlines()))
    assert [(row[0], row[2], row[3], row[5]) for row in found] == [
        ("OVMBA-2018-0055", False, "ConsoleKit", "0.4.1-6.el6"), ("OVMBA-2018-0191", False, "SDL", "1.2.14-7.el6_7.1"),
        ("OVMBA-2018-0087", False, "iproute", "2.6.32-54.0.1.el6"),
        ("OVMEA-2017-0003", False, "iptables", "1.4.7-16.0.5.el6")]


def test_a_transaction_of_amazon_linux() -> None:
    text = f"{TABLE}\npc_table"
    done = subprocess.run(["sh", "-c", text], input=AMAZON_2023, capture_output=True, text=True, check=True)
    assert done.stdout == "row|in|kernel|aarch64||6.1.21-1.45.amzn2023|amazonlinux\n"


@pytest.mark.parametrize(
    ("said", "code", "last"), [(REBOOT, 1, "rc 1"), (NO_REBOOT, 0, "rc 0"), ("No such command\n", 1, "rc 0")])
def test_needs_restarting_counts_by_its_words(tmp_path: Path, said: str, code: int, last: str) -> None:
    """A command that is not there ends with 1 too: then its silence is told as `absent`."""
    (tmp_path / "said").write_text(said)
    for name in ("dnf", "needs-restarting"):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat {tmp_path}/said\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    probe = next(p for p in scan_probes("never") if p.id == "dnf.restart")
    done = subprocess.run(["sh", "-c", probe.command], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
                          text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == last
    assert ("absent" in lines) == ("No such" in said)
    assert [x.strip(" *") for x in lines if x.startswith("  *")] == (
        ["kernel", "kernel-core", "kernel-modules", "kernel-modules-core"] if code == 1 and last == "rc 1" else [])
