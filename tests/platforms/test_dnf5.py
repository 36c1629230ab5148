"""What dnf 5 says, read: answers of the real dnf 5.4.6 on a lab host dressed as Fedora (tests/lab/dresses/fedora.py).

data/dnf5-pending.txt: the output of the probe dnf.pending with lab-removes offered, lab-native in versionlock.toml and
`excludepkgs=lab-epoch`; data/dnf5-upgrade.txt: `dnf -q --assumeno upgrade` at the same time.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from patchctl.model.plan import Change
from patchctl.platforms.dnf import Dnf
from patchctl.platforms.dnf.common import Pending
from patchctl.platforms.dnf.dnf5 import TABLE
from patchctl.platforms.dnf.pending import read_pending

DATA = Path(__file__).parent / "data"
PENDING = (DATA / "dnf5-pending.txt").read_text()


@pytest.fixture(scope="module")
def pending() -> Pending:
    return read_pending(PENDING)


def table(text: str) -> list[str]:
    """Return what the host makes of a transaction table."""
    done = subprocess.run(["sh", "-c", f"{TABLE}\npc_table"], input=text, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_host_reads_its_own_table() -> None:
    rows = table((DATA / "dnf5-upgrade.txt").read_text())
    assert rows == [line for line in PENDING.splitlines() if line.startswith(("row|", "removed|"))]
    assert "removed|lab-victim|noarch|1.0-1.el9|obsoleted" in rows


def test_an_old_kernel_that_makes_room_is_no_removal_and_what_is_left_out_is_told() -> None:
    # The columns of dnf 5; a kernel over installonly_limit and a broken dependency.
    rows = table(
        "Package Arch Version Repository Size\nInstalling:\n kernel-core x86_64 0:6.17.4-300.fc43 updates 98.0 MiB\n"
        "Upgrading:\n bash x86_64 0:5.3.0-2.fc43 updates 8 MiB\n   replacing bash x86_64 0:5.3.0-1.fc43 fedora 8 MiB\n"
        "Removing:\n kernel-core x86_64 0:6.17.1-300.fc43 updates 98.0 MiB\n nano x86_64 0:8.5-1.fc43 fedora 2.0 MiB\n"
        "Skipping packages with broken dependencies:\n foo noarch 0:2-1.fc43 updates 1.0 KiB\n\n"
        "Transaction Summary:\n Installing:         1 package\n")
    assert rows == [
        "row|in|kernel-core|x86_64||6.17.4-300.fc43|updates", "row|up|bash|x86_64|5.3.0-1.fc43|5.3.0-2.fc43|updates",
        "skipped|foo|noarch|2-1.fc43|", "removed|kernel-core|x86_64|6.17.1-300.fc43|installonly",
        "removed|nano|x86_64|8.5-1.fc43|removed",
    ]


def test_what_is_pending_pulled_in_held_and_removed(pending: Pending) -> None:
    assert pending.error == ""
    assert {u.package: (u.installed, u.candidate, u.state) for u in pending.updates} == {
        "kernel-core": ("5.14.0-427.13.1.el9_4", "5.14.0-503.11.1.el9_5", "upgradable"),
        "lab-config": ("1.0-1.el9", "2.0-1.el9", "upgradable"),
        "lab-dependency": ("1.0-1.el9", "2.0-1.el9", "upgradable"),
        "lab-epoch": ("2:1.0-1.el9", "2:2.0-1.el9", "held"), "lab-extra": ("", "2.0-1.el9", "new"),
        "lab-native": ("1.0-3.el9", "2.0-3.el9", "held"), "lab-plain": ("1.0-1.el9", "2.0-1.el9", "upgradable"),
        "lab-removes": ("1.0-1.el9", "2.0-1.el9", "upgradable"),
        "lab-service": ("1.0-1.el9", "2.0-1.el9", "upgradable"),
    }
    why = {u.package: u.reason for u in pending.updates if u.reason}
    assert why == {"lab-native": "held by versionlock: lab-native", "lab-epoch": "excluded by the host's configuration"}
    assert pending.removals == ("lab-victim",)


def test_security_comes_from_advisories_and_without_any_is_unknown(pending: Pending) -> None:
    found = {u.package: (u.security, u.severity, u.advisories, u.cves) for u in pending.updates}
    assert found["lab-service"] == (True, "important", ("ALSA-2026:1001",), ("CVE-2026-10001", "CVE-2026-10002"))
    assert found["lab-native"] == (True, "moderate", ("ALSA-2026:1002",), ("CVE-2026-10003",))
    assert found["lab-config"] == (False, "", ("ALBA-2026:1004",), ())
    assert found["lab-plain"] == (None, "", (), ()), "its repository has no advisories: unknown, not no"


def test_each_file_has_the_hash_that_its_repository_lists(pending: Pending) -> None:
    files = {a.package: a for a in pending.artefacts}
    assert files.keys() == {u.package for u in pending.updates}
    assert all(len(a.sha256) == 64 and a.uri.endswith(f"/{a.filename}") and a.size > 5000 for a in files.values())
    assert files["lab-epoch"].filename == "lab-epoch-2.0-1.el9.noarch.rpm"
    assert len({a.sha256 for a in files.values()}) == len(files)


def test_earlier_versions_that_repositories_list() -> None:
    lines = ["tool dnf5", "repo|lab-base|5|none", *(x for x in PENDING.splitlines() if x.startswith("sum|")),
             "file|lab-epoch|noarch|2:1.0-1.el9|lab-base|5662|http://127.0.0.1/base/lab-epoch-1.0-1.el9.noarch.rpm",
             "file|kernel-core|x86_64|5.14.0-427.13.1.el9_4|lab-base|6409|http://127.0.0.1/base/kernel.rpm",
             "file|lab-gone|noarch|1.0-1|lab-base|1|http://127.0.0.1/base/no-hash.rpm", "end"]
    changes = [Change("lab-epoch", "noarch", "2:1.0-1.el9", "2:2.0-1.el9"),
               Change("lab-gone", "noarch", "1.0-1", "2-1"),
               Change("kernel-core", "x86_64", "5.14.0-427.13.1.el9_4", "5.14.0-503.11.1.el9_5"),
               Change("lab-extra", "noarch", "", "2.0-1.el9")]
    found = Dnf().read_earlier(changes, "\n".join(lines))
    assert [(a.package, a.version, a.filename, a.size) for a in found] == [
        ("lab-epoch", "2:1.0-1.el9", "lab-epoch-1.0-1.el9.noarch.rpm", 5662)], "no kernel, nothing without a hash"
    assert Dnf().earlier_probe(changes[3:]).command == "true", "what was not there has no earlier version"


@pytest.mark.parametrize(
    ("cut", "put", "why"),
    [
        ("\nend\n", "\n", "without a word"), ("tool dnf5\n", "tool dnf5\nE: no\n", "no"),
        ("tool dnf5\n", "tool dnf5\nrefresh|Usable URL not found\n", "refreshing the metadata failed"),
        ("row|up|lab-config|noarch", "row|up|$(reboot)|noarch", "cannot be used"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_unknown(cut: str, put: str, why: str) -> None:
    assert cut in PENDING
    found = read_pending(PENDING.replace(cut, put, 1))
    assert found.updates == ()
    assert why in found.error


def test_a_repository_that_was_never_fetched_makes_it_unknown() -> None:
    lines = ["repo|new|-1|none" if line.startswith("repo|lab-plain|") else line for line in PENDING.splitlines()]
    assert "never refreshed" in read_pending("\n".join(lines) + "\n").error
