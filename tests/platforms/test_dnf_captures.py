"""What dnf and yum printed on systems of other people, as they published it; each excerpt names its source."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.model.evidence import OK, Evidence
from patchctl.model.facts import Package
from patchctl.platforms.dnf.common import read_advisories
from patchctl.platforms.dnf.dnf5 import TABLE
from patchctl.platforms.dnf.pending import installed_beside, read_packages
from patchctl.platforms.dnf.probes import fingerprint_command, scan_probes
from patchctl.platforms.dnf.read import newest_kernel
from patchctl.platforms.dnf.signatures import SIGNATURES
from tests.platforms.cases import load_case

FAILURES = Path(__file__).parent / "data/rpm-failures.txt"
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
# Fedora 41, dnf5 up: github.com/rpm-software-management/dnf5, issue 518.
FEDORA_41 = """\
Updating and loading repositories:
Repositories loaded.
Package                                Arch       Version                                Repository               Size
Upgrading:
 binutils                              i686       2.43.1-5.fc41                          updates              25.3 MiB
   replacing binutils                  i686       2.43.1-4.fc41                          updates              25.4 MiB
 glibc                                 i686       2.40-14.fc41                           updates               5.4 MiB
   replacing glibc                     i686       2.40-12.fc41                           updates               5.5 MiB
"""
# dnf 4: github.com/rpm-software-management/dnf5, issue 359 (shortened).
SKIPPED = """\
Dependencies resolved.
================================================================================
 Package             Arch   Version         Repository                     Size
================================================================================
Upgrading:
 SuperRipper         x86_64 1.2-1           dnf-ci-thirdparty-updates     6.1 k
 wget                x86_64 1:1.19.5-5.fc29 dnf-ci-fedora-updates-testing 6.5 k
Skipping packages with broken dependencies:
 SuperRipper         x86_64 1.3-1           dnf-ci-thirdparty-updates     6.2 k

Transaction Summary
================================================================================
Upgrade  7 Packages
Skip     1 Package
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


@pytest.mark.parametrize(
    ("said", "rows"),
    [
        (AMAZON_2023, ["row|in|kernel|aarch64||6.1.21-1.45.amzn2023|amazonlinux"]),
        (FEDORA_41, ["row|up|binutils|i686|2.43.1-4.fc41|2.43.1-5.fc41|updates",
                     "row|up|glibc|i686|2.40-12.fc41|2.40-14.fc41|updates"]),
        (SKIPPED, ["row|up|SuperRipper|x86_64||1.2-1|dnf-ci-thirdparty-updates",
                   "row|up|wget|x86_64||1:1.19.5-5.fc29|dnf-ci-fedora-updates-testing",
                   "skipped|SuperRipper|x86_64|1.3-1|"]),
    ],
    ids=["amazon-2023", "fedora-41", "skipped"],
)  # fmt: skip
def test_transactions(said: str, rows: list[str]) -> None:
    text = f"{TABLE}\npc_table"
    done = subprocess.run(["sh", "-c", text], input=said, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == rows


@pytest.mark.parametrize("row", [x for x in FAILURES.read_text().splitlines() if not x.startswith("#")])
def test_what_went_wrong(row: str) -> None:
    name, names, line = row.split("|", 2)
    found = next((s, m) for s in SIGNATURES if (m := re.search(s.pattern, line)))
    assert found[0].name == name
    assert names in found[0].message.format(**{k: v or "" for k, v in found[1].groupdict().items()})


def test_a_kernel_that_has_its_version_in_its_name() -> None:
    """Amazon Linux 2023: github.com/amazonlinux/amazon-linux-2023, issue 1125: needs-restarting says nothing of it."""
    old, new = "6.12.40-64.114.amzn2023", "6.12.46-66.121.amzn2023"
    snapshot = load_case("dnf", "held-and-excluded").snapshot
    packages = tuple(Package("kernel6.12", version, "x86_64") for version in (old, new))
    alone = {**snapshot.evidence, "linux.container": Evidence("linux.container", OK, "none\n", rc=1)}
    assert newest_kernel(f"{old}.x86_64", replace(snapshot, evidence=alone), packages) == f"{new}.x86_64"
    assert installed_beside("kernel6.12")
    rows = "".join(f"kernel6.12|{version}|x86_64|k|1|\n" for version in (old, new))
    assert read_packages(rows)[1] == (), "two of them are no mistake"


def test_of_kernels_the_one_installed_last_counts_whatever_they_say_of_themselves(tmp_path: Path) -> None:
    """Those of Enterprise Linux 7 do not provide installonlypkg(kernel)."""
    (tmp_path / "rpm").write_text(
        "#!/bin/sh\necho '5|kernel:x86_64|3.10.0-1160.el7|kernel,'\n"
        "echo '9|kernel:x86_64|3.10.0-1160.119.1.el7|kernel,'\n"
        "echo '7|kernel-tools:x86_64|3.10.0-1160.el7|kernel-tools,'\n")
    (tmp_path / "rpm").chmod(0o755)
    done = subprocess.run(["sh", "-c", fingerprint_command(["kernel"])], env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
                          capture_output=True, text=True, check=True)
    assert done.stdout == "kernel-tools:x86_64 3.10.0-1160.el7\nkernel:x86_64 3.10.0-1160.119.1.el7\n"


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
