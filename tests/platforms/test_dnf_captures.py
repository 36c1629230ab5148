"""What dnf and yum printed on systems of other people, as they published it; each excerpt names its source."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.model.evidence import OK, Evidence
from patchctl.model.facts import Artefact, Package
from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.dnf.common import read_advisories
from patchctl.platforms.dnf.dnf5 import TABLE, pending_text
from patchctl.platforms.dnf.pending import installed_beside, read_packages, read_pending
from patchctl.platforms.dnf.probes import fingerprint_command, scan_probes
from patchctl.platforms.dnf.read import newest_kernel, read_holds
from patchctl.platforms.dnf.scripts import install_script
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
# `updateinfo list` on others' systems: (line, (id, severity, security, package, version)).
ADVISORIES = [
    # RHEL 7, yum: github.com/romkatv/powerlevel10k, issue 1118.
    ("  RHSA-2018:3127 Moderate/Sec.  389-ds-base-1.3.8.4-15.el7.x86_64",
     ("RHSA-2018:3127", "moderate", True, "389-ds-base", "1.3.8.4-15.el7")),
    # RHEL 6, `yum list-sec`: a log in a public repository that the index of it does not name.
    ("  RHSA-2013:0689 Important/Sec. bind-libs-32:9.8.2-0.17.rc1.el6_4.4.x86_64",
     ("RHSA-2013:0689", "important", True, "bind-libs", "32:9.8.2-0.17.rc1.el6_4.4")),
    # Amazon Linux 2, yum: its user guide, al2-live-patching.
    ("ALAS2LIVEPATCH-2020-005 medium/Sec. kernel-livepatch-5.10.102-99.473-1.0-4.amzn2.x86_64",
     ("ALAS2LIVEPATCH-2020-005", "moderate", True, "kernel-livepatch-5.10.102-99.473", "1.0-4.amzn2")),
    # Amazon Linux 2023, dnf 4: docs.aws.amazon.com/linux/al2023/ug, security advisories.
    ("ALAS2023-2023-220 Important/Sec. ncurses-base-6.2-4.20200222.amzn2023.0.4.noarch",
     ("ALAS2023-2023-220", "important", True, "ncurses-base", "6.2-4.20200222.amzn2023.0.4")),
    ("ALAS2023-2023-145 Low/Sec.       libstdc++-11.3.1-4.amzn2023.0.3.x86_64",
     ("ALAS2023-2023-145", "low", True, "libstdc++", "11.3.1-4.amzn2023.0.3")),
    # AlmaLinux 9, dnf 4: a published log of December 2025 in a public repository that the index of it does not name.
    ("ALSA-2025:23919 Important/Sec. httpd-filesystem-2.4.62-7.el9_7.3.noarch",
     ("ALSA-2025:23919", "important", True, "httpd-filesystem", "2.4.62-7.el9_7.3")),
    # Oracle Linux 9, dnf 4: a public test with what its author's host said; likewise.
    ("ELSA-2026-26533 Important/Sec. dracut-057-115.git20260527.0.1.el9_8.aarch64",
     ("ELSA-2026-26533", "important", True, "dracut", "057-115.git20260527.0.1.el9_8")),
    # Rocky Linux 10, dnf 4: the form that a public parser has in its test; likewise.
    ("RLEA-2024:0004 enhancement    podman-5.1.0-1.el10.x86_64",
     ("RLEA-2024:0004", "", False, "podman", "5.1.0-1.el10")),
    # dnf 5: github.com/rpm-software-management/dnf, issue 1893, and dnf5, issue 1501 (on a wide terminal).
    ("FEDORA-2018-318f184112 enhancement Moderate flac-1.4.0-1.fc29.x86_64 2019-01-19 00:00:00",
     ("FEDORA-2018-318f184112", "moderate", False, "flac", "1.4.0-1.fc29")),
]
# Fedora 40, dnf 5 on a narrow terminal: github.com/rpm-software-management/dnf5, issue 1501.
NARROW = "FEDORA-2024-635a54eb7e secu Importan   glib2-debuginfo-2.80.2-1.fc40.x86_64 2024-05-12 04:16:43"
# The latest transaction of `history list`. dnf 4: github.com/tldr-pages/tldr, pull request 8220 (shown there with
# `--reverse`, turned round here). The others: lab hosts with dnf 5.4 (cut to 80 columns, being in a pipe) and yum 3.
HISTORY_4 = """\
ID    | Command line                                   | Date and time    | Action(s)      | Altered
------------------------------------------------------------------------------------------------
    2 | module install nodejs:16                       | 2022-01-31 12:21 | Install        |    6
    1 | install chrome                                 | 2022-01-31 11:06 | Install        |    4 E<
"""
HISTORY_5 = """\
ID Command line                            Date and time       Action(s) Altered
 1 dnf -q -y --disablerepo=* --repofrompat 2026-11-26 10:14:48                26
"""
HISTORY_YUM = """\
Loaded plugins: versionlock
ID     | Command line             | Date and time    | Action(s)      | Altered
-------------------------------------------------------------------------------
     4 | -y --disablerepo=* --set | 2026-11-26 10:01 | Install        |    1
     3 | -y --disablerepo=* --set | 2026-11-26 10:00 | Erase          |    1
history list
"""
# /etc/dnf/versionlock.toml: the example of dnf5-versionlock(8), and one more with a pattern and other quotes.
LOCKS_5 = """\
version = "1.0"

# keep package bash on version 0:5.2.15-5.fc39
[[packages]]
name = "bash"               # name of the package
comment = "description"     # optional description of the entry
[[packages.conditions]]
key = "evr"
comparator = "="
value = "0:5.2.15-5.fc39"

[[packages]]
name = 'kernel*'
"""


@pytest.mark.parametrize(("line", "found"), ADVISORIES)
def test_advisories_of_many_distributions(line: str, found: tuple[object, ...]) -> None:
    [(name, severity, security, package, _, version)] = read_advisories([line])
    assert (name, severity, security, package, version) == found


def test_an_advisory_whose_words_are_cut_leaves_it_open() -> None:
    """What cannot be read may be about security: "no" would be a guess."""
    package = "glib2-debuginfo|x86_64"
    lines = ["tool dnf5", "repo|updates|5|updateinfo", f"row|up|{package}|2.80.1-1.fc40|2.80.2-1.fc40|updates",
             f"file|{package}|2.80.2-1.fc40|updates|10|http://x/g.rpm", f"free {package}|2.80.2-1.fc40",
             f"advisory {NARROW}", "end"]
    [update] = read_pending("\n".join(lines)).updates
    assert update.security is None
    [update] = read_pending("\n".join(x for x in lines if "secu" not in x)).updates
    assert update.security is False


@pytest.mark.parametrize(("said", "number"), [(HISTORY_4, "2"), (HISTORY_5, "1"), (HISTORY_YUM, "4")],
                         ids=["dnf4", "dnf5", "yum3"])
def test_the_latest_transaction_of_a_history(tmp_path: Path, said: str, number: str) -> None:
    for name in ("dnf", "yum"):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'X'\n{said}X\n")
        (tmp_path / name).chmod(0o755)
    change = Change("tool", "noarch", "1-1", "2-1")
    file = Artefact("tool", "2-1", "noarch", "a" * 64, 1, "tool.rpm", "", "r")
    text = install_script(InstallRequest((change,), (file,)))
    (function,) = re.findall(r"^pc_last\(\) \{.*?^\}$", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run(["sh", "-c", f"pc_tool=dnf\n{function}\npc_last"], capture_output=True, text=True, check=True,
                          env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    assert done.stdout == f"{number}\n"


def test_locks_of_dnf_5(tmp_path: Path) -> None:
    """Comments and both kinds of quotes; a pattern names its package in the reason."""
    (tmp_path / "locks").write_text(LOCKS_5)
    probe = next(p for p in scan_probes("never") if p.id == "dnf.holds")
    text = probe.command.replace("/etc/dnf/versionlock.toml", str(tmp_path / "locks"))
    done = subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True)
    assert {"bash", "kernel*"} <= set(read_holds(done.stdout))
    text = pending_text("never").replace("/etc/dnf/versionlock.toml", str(tmp_path / "locks"))
    (told,) = (line for line in text.splitlines() if "lock \\1" in line)
    done = subprocess.run(["sh", "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout == "lock bash\nlock kernel*\n"
    kernel = "kernel-core|x86_64"
    found = read_pending("\n".join([
        "tool dnf5", "repo|updates|5|updateinfo", f"inst|{kernel}|6.17.1-300.fc43", f"all {kernel}|6.17.4-300.fc43",
        f"file|{kernel}|6.17.4-300.fc43|updates|10|http://x/k.rpm", *done.stdout.splitlines(), "end"]))
    assert [(u.state, u.reason) for u in found.updates] == [("held", "held by versionlock: kernel*")]


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
