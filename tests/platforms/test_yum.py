"""What yum 3 says, read: answers of the real yum 3.4.3 and rpm 4.11.3 on a lab host dressed as CentOS 7.

cases/dnf/yum3-*.json are whole scans of it (tests/lab/dresses/centos.py says how such a host is made).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.model.evidence import OK, Evidence
from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.dnf.pending import read_pending
from patchctl.platforms.dnf.probes import WORK, pending_command
from patchctl.platforms.dnf.read import read_check, read_host
from patchctl.platforms.dnf.scripts import install_script
from patchctl.platforms.dnf.signatures import SIGNATURES
from patchctl.platforms.dnf.yum3 import YUM_PROGRAM
from tests.platforms.cases import load_case

# `needs-restarting -r` of yum-utils on that host, its exit code 1.
NEEDS_RESTARTING = """\
Core libraries or services have been updated:
  kernel -> 3.10.0-1160.el7
  systemd -> 252-32.el9_4

Reboot is required to ensure that your system benefits from these updates.

More information:
https://access.redhat.com/solutions/27943
rc 1
"""


def test_the_program_is_python_of_a_kind_that_python_2_6_reads() -> None:
    compile(YUM_PROGRAM, "program", "exec")
    assert not re.search(r"\bf[\"']|nonlocal|\{\w+ for ", YUM_PROGRAM)


def test_advisories_hold_for_the_exact_version_and_a_repository_without_any_leaves_it_open() -> None:
    facts = read_host(load_case("dnf", "yum3-held-and-excluded").snapshot)
    found = {u.package: (u.security, u.severity, u.advisories, u.cves) for u in facts.updates or ()}
    assert found["lab-service"] == (True, "important", ("ALSA-2026:1001",), ("CVE-2026-10001", "CVE-2026-10002"))
    assert found["lab-config"] == (False, "", ("ALBA-2026:1004",), ())
    assert found["lab-plain"] == (None, "", (), ()), "unknown, not no"
    assert all(re.fullmatch(r"[0-9a-f]{64}", a.sha256) and a.uri.startswith("http://") for a in facts.artefacts)


def test_a_repository_that_is_down_is_no_empty_list_though_yum_would_go_on_with_its_old_one() -> None:
    facts = read_host(load_case("dnf", "yum3-repository-down").snapshot)
    assert (facts.updates, facts.metadata_age) == (None, None)
    assert "refreshing the metadata failed" in facts.why_unknown("updates")
    assert "lab-base" in facts.why_unknown("updates")


def test_what_needs_restarting_says_is_named() -> None:
    snapshot = load_case("dnf", "yum3-held-and-excluded").snapshot
    said = Evidence("dnf.restart", OK, NEEDS_RESTARTING, rc=0)
    facts = read_host(replace(snapshot, evidence={**snapshot.evidence, "dnf.restart": said}))
    assert facts.reboot.reasons[:2] == ("updated since the boot: kernel", "updated since the boot: systemd")


# The real yum on lab hosts: what went wrong comes in the middle of its own progress.
SCRIPTLETS = """\
  Updating   : lab-dependency-2.0-1.el9.noarch                             2/16Error in PREIN scriptlet in rpm package \
lab-broken-2.0-1.el9.noarch

  Updating   : lab-config-2.0-1.el9.noarch                                 4/16
Non-fatal POSTIN scriptlet failure in rpm package lab-broken-post-2.0-1.el9.noarch
"""


def test_failed_scriptlets_are_found_within_a_line(bare: Path) -> None:
    change = Change("tool", "noarch", "1-1", "2-1")
    file = Artefact("tool", "2-1", "noarch", "a" * 64, 1, "tool.rpm", "", "r")
    text = install_script(InstallRequest((change,), (file,)))
    (command,) = re.findall(r"^pc_bad=.*?sort -u\)$", text, re.MULTILINE | re.DOTALL)
    (bare / "output").write_text(SCRIPTLETS)
    (bare / "sort").symlink_to("/usr/bin/sort")
    found = run(bare, f"pc_work={bare}\n{command}\nprintf '%s\\n' \"$pc_bad\"").splitlines()
    assert found == ["POSTIN lab-broken-post-2.0-1.el9.noarch", "PREIN lab-broken-2.0-1.el9.noarch"]


def test_a_transaction_that_yum_did_not_finish_is_told() -> None:
    assert read_check("unfinished /var/lib/yum/transaction-all.2026-11-26.06:25.21\n") == (
        "yum did not finish a transaction: /var/lib/yum/transaction-all.2026-11-26.06:25.21",)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with the tools that the texts use, and neither dnf nor yum."""
    for name in ("sh", "sed", "tr", "mktemp", "chmod", "id", "find", "rm", "cp", "mv", "tail", "head", "cut", "cat",
                 "stat", "date"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    return tmp_path


def put(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def run(folder: Path, text: str) -> str:
    return subprocess.run(["/bin/sh", "-c", text], capture_output=True, text=True, check=True,
                          env={"PATH": str(folder)}).stdout


@pytest.mark.parametrize(
    ("programs", "tool"),
    [({"yum": "#!/usr/bin/python"}, "yum"), ({"yum": "#!/usr/bin/python3", "dnf": "#!/usr/bin/python3"}, "dnf"),
     ({"yum": "\x7fELF", "dnf": "\x7fELF"}, "dnf5")],
)  # fmt: skip
def test_which_of_the_three_a_host_has(programs: dict[str, str], tool: str, bare: Path) -> None:
    for name, text in programs.items():
        put(bare / name, text + "\n")
    assert run(bare, WORK + 'echo "$pc_tool"') == f"{tool}\n"


def test_a_host_whose_yum_cannot_run_is_unknown(bare: Path) -> None:
    """An interpreter that is broken, a library that is missing: what it said last is the reason."""
    put(bare / "yum", f"#!{bare}/python\n")
    put(bare / "python", "#!/bin/sh\necho 'ImportError: No module named yum' >&2\nexit 1\n")
    found = read_pending(run(bare, pending_command("never")))
    assert (found.updates, found.error) == ((), "ImportError: No module named yum")


@pytest.mark.parametrize(
    ("line", "name", "names"),
    [
        ("Existing lock /var/run/yum.pid: another copy is running as pid 4711.", "rpm-lock-held", "4711"),
        ("Another app is currently holding the yum lock; exiting as configured by exit_on_lock", "rpm-lock-held", ""),
        ("failure: repodata/repomd.xml from lab-base: [Errno 256] No more mirrors to try.", "repository-down",
         "lab-base"),
    ],
)  # fmt: skip
def test_yums_own_words_are_recognised(line: str, name: str, names: str) -> None:
    for signature in SIGNATURES:
        if match := re.search(signature.pattern, line):
            assert signature.name == name
            assert names in signature.message.format(**{k: v or "" for k, v in match.groupdict().items()})
            return
    raise AssertionError(f"nobody knows {line!r}")

