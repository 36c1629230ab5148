"""apt's own words: listings, archives, refresh logs, failures."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.model.evidence import NOT_APPLICABLE, OK, UNKNOWN, Evidence, Snapshot
from patchctl.model.facts import Package
from patchctl.model.text import quote_sh
from patchctl.platforms import read_facts
from patchctl.platforms.apt import PLATFORM
from patchctl.platforms.apt.pending import missing_lists, read_resolution, refresh_problem, split_sections
from patchctl.platforms.apt.policy import Archive, origin_of, read_archives, read_tables, read_targets
from patchctl.platforms.apt.probes import _SAYS
from patchctl.platforms.apt.read import newest_kernel, read_packages, read_updaters
from patchctl.platforms.apt.signatures import SIGNATURES
from patchctl.platforms.linux import read_init_files
from patchctl.platforms.registry import platform_for
from tests.platforms.cases import Case, load_cases

SHA = "a" * 64

# Written by hand in apt's form: foreign architecture, an epoch, a new package, a removal, phasing.
LISTING = f"""@@ upgrade
Reading package lists...
The following packages have been kept back:
   kept (1.0 => 2.0)
The following upgrades have been deferred due to phasing:
   slow (1.0 => 1.1)
The following packages will be REMOVED:
   victim
The following NEW packages will be installed:
   helper (3.0)
The following packages will be upgraded:
   libc6 (2.36-9 => 2.36-10)
   libc6:i386 (2.36-9 => 2.36-10)
   vim (2:9.0-1 => 2:9.0-2)
4 upgraded, 1 newly installed, 1 to remove and 2 not upgraded.
Need to get 1 kB of archives.
'http://deb.example/libc6_2.36-10_amd64.deb' libc6_2.36-10_amd64.deb 100 SHA256:{SHA}
'http://deb.example/libc6_2.36-10_i386.deb' libc6_2.36-10_i386.deb 100 SHA256:{SHA}
'http://deb.example/vim_9.0-2_amd64.deb' vim_2%3a9.0-2_amd64.deb 100 SHA256:{SHA}
'http://deb.example/helper_3.0_all.deb' helper_3.0_all.deb 100 SHA256:{SHA}
'http://deb.example/evil_1_all.deb' ../evil_1_all.deb 100 SHA256:{SHA}
'http://deb.example/weak_1_all.deb' weak_1_all.deb 100 MD5Sum:0123
rc 0
@@ why kept
The following packages will be REMOVED:
   other*
"""


def test_a_listing_gives_updates_artefacts_and_removals() -> None:
    installed = [Package(n, "1", "amd64") for n in ("dpkg", "libc6", "vim", "kept", "slow")]
    installed.append(Package("libc6", "1", "i386"))
    found = read_resolution(split_sections(LISTING), installed)
    assert [(u.package, u.arch, u.candidate, u.state) for u in found.updates] == [
        ("helper", "all", "3.0", "new"), ("kept", "amd64", "2.0", "kept-back"),
        ("libc6", "amd64", "2.36-10", "upgradable"),
        ("libc6", "i386", "2.36-10", "upgradable"), ("slow", "amd64", "1.1", "phased"),
        ("vim", "amd64", "2:9.0-2", "upgradable"),
    ]  # fmt: skip
    assert [(a.package, a.version, a.arch) for a in found.artefacts] == [
        ("libc6", "2.36-10", "amd64"), ("libc6", "2.36-10", "i386"), ("vim", "2:9.0-2", "amd64"),
        ("helper", "3.0", "all"),
    ]  # fmt: skip
    assert found.removals == ("victim",)
    kept = next(u for u in found.updates if u.package == "kept")
    assert kept.reason == "would remove other"
    assert kept.security is None  # nothing says where it comes from


def test_archives_are_read_from_the_targets_as_from_apt_cache_policy() -> None:
    """Both captured on one Debian 12 host (its name replaced): apt-get indextargets in our format, apt-cache policy."""
    at = "http://deb.example"
    security = "deb.example_debian-security_dists_bookworm-security_main_binary-amd64_Packages"
    index = f"{at}/debian-security bookworm-security/main amd64 Packages"
    targets = [
        f"present a_Packages|Debian|oldstable|12.15|{at}/debian bookworm/main amd64 Packages",
        f"missing {security}|Debian-Security|oldstable-security|12|{index}",
        f"present c_Packages|Lab|lab|$(VERSION)|{at}/lab lab/main amd64 Packages",
    ]  # fmt: skip
    policy = [
        "Package files:", " 100 /var/lib/dpkg/status", "     release a=now",
        " 500 http://deb.example/lab lab/main amd64 Packages", "     release o=Lab,a=lab,n=lab,l=Lab,c=main,b=amd64",
        "     origin deb.example",
        " 500 http://deb.example/debian-security bookworm-security/main amd64 Packages",
        "     release v=12,o=Debian,a=oldstable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64",
        " 500 http://deb.example/debian bookworm/main amd64 Packages",
        "     release v=12.15,o=Debian,a=oldstable,n=bookworm,l=Debian,c=main,b=amd64", "Pinned packages:",
    ]
    archives = {index: archive for index, archive in read_archives(policy).items() if archive.label}
    assert read_targets(targets) == archives
    sections = split_sections("\n".join(["@@ targets", *targets]))
    assert missing_lists(sections) == (security,)


@given(st.text(max_size=400))
def test_no_text_breaks_the_readers(text: str) -> None:
    parts = ("upgrade", "targets", "sources", "versions", "pinned")
    sections = split_sections("".join(f"@@ {name}\n{text}\n" for name in parts))
    read_resolution(sections)
    refresh_problem(sections)
    missing_lists(sections)
    read_packages(text)
    read_updaters(text)


@pytest.mark.parametrize(
    ("label", "suite", "version", "security", "text"),
    [
        ("Debian-Security", "oldstable-security", "12", True, "Debian-Security:12/oldstable-security"),
        ("Debian", "oldstable", "12.15", False, "Debian:12.15/oldstable"),
        ("Debian", "stable-security", "12", False, "Debian:12/stable-security"),
        ("Ubuntu", "noble-security", "24.04", True, "Ubuntu:24.04/noble-security"),
        ("Ubuntu", "noble-updates", "24.04", False, "Ubuntu:24.04/noble-updates"),
        ("Docker CE", "jammy-security", "", False, "Docker CE/jammy-security"),
    ],
)
def test_security_is_told_by_the_archive(label: str, suite: str, version: str, security: bool, text: str) -> None:
    archive = Archive(label, suite, version)
    assert archive.security is security
    assert archive.text == text


def test_one_security_archive_is_enough() -> None:
    lines = (
        "Package files:",
        " 500 http://a noble-updates/main amd64 Packages",
        "     release v=24.04,o=Ubuntu,a=noble-updates,n=noble,l=Ubuntu,c=main,b=amd64",
        " 500 http://a noble-security/main amd64 Packages",
        "     release v=24.04,o=Ubuntu,a=noble-security,n=noble,l=Ubuntu,c=main,b=amd64",
        "Pinned packages:",
    )
    table = next(read_tables((
        "x:", "  Installed: 1", "  Candidate: 2", "  Version table:", "     2 500 (phased 30%)",
        "        500 http://a noble-updates/main amd64 Packages",
        "        500 http://a noble-security/main amd64 Packages",
        " *** 1 100", "        100 /var/lib/dpkg/status",
    )))  # fmt: skip
    assert table.phased == (("2", 30),)
    origin, security = origin_of(table, "2", read_archives(lines))
    assert origin == "Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security"
    assert security is True
    assert origin_of(table, "1", read_archives(lines)) == ("", None)


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        ("", None),
        ("@@ refresh\nrc 0\n", ""),
        ("@@ refresh\nrc 100\n", "apt-get update ended with 100"),
        ("@@ refresh\nW: Target Packages (main) is configured multiple times\nrc 0\n", ""),
        ("@@ refresh\nW: Failed to fetch http://x/InRelease  Connection refused\nrc 0\n", "Failed to fetch"),
        ("@@ refresh\nW: Some index files failed to download. They have been ignored\nrc 0\n", "Some index files"),
        ("@@ refresh\nE: The repository 'http://x y Release' is not signed.\nrc 100\n", "is not signed"),
        ("@@ refresh\nErr:1 http://x y InRelease\nrc 0\n", "Err:1"),
        ("@@ refresh\n", "ended with None"),
    ],
)
def test_a_refresh_is_judged_by_its_words_not_its_exit_code(log: str, problem: str | None) -> None:
    found = refresh_problem(split_sections(log))
    if not problem:
        assert found == problem
    else:
        assert found is not None
        assert problem in found


@pytest.mark.parametrize(
    ("line", "name", "names"),
    [
        ("patchctl: lock-held /var/lib/dpkg/lock-frontend 4711 unattended-upgr", "dpkg-lock-held", "4711"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 3612 (unattended-upgr)",
         "dpkg-lock-held", "unattended-upgr"),
        ("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
         "dpkg-lock-held", ""),
        ("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ",
         "dpkg-interrupted", ""),
        ("dpkg: cannot copy extracted data: failed to write (No space left on device)", "no-space", ""),
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "no-space", "/var/cache/apt/archives"),
        ("E: Failed to fetch http://deb.example/x.deb  404  Not Found [IP: 127.0.0.1 80]", "repository-down", "x.deb"),
        ("E: Failed to fetch http://x/y.deb  Hash Sum mismatch", "hash-mismatch", ""),
        ("W: GPG error: http://x y InRelease: ... the public key is not available: NO_PUBKEY 0E98404D386FA1D9",
         "unsigned-repository", "0E98404D386FA1D9"),
        ("The following packages have unmet dependencies:", "unmet-dependencies", ""),
        ("E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).",
         "unmet-dependencies", ""),
        (" installed lab-broken package post-installation script subprocess returned error exit status 1",
         "maintainer-script-failed", "lab-broken"),
        ("dpkg: error processing package x (--configure): end of file on stdin at conffile prompt",
         "conffile-prompt", ""),
        ("dpkg: unrecoverable fatal error, aborting:", "dpkg-database-corrupt", ""),
        ("dpkg: warning: files list file for package 'x' missing; assuming package has no files", "", ""),
        ("E: Sub-process /usr/bin/dpkg returned an error code (1)", "dpkg-failed", "returned an error code"),
        ("rm: cannot remove '/usr/x': Read-only file system", "read-only-file-system", "/usr/x"),
        ("E: Packages need to be removed but remove is disabled.", "unplanned-change", ""),
        (" trying to overwrite '/usr/bin/x', which is also in package y 1.0", "file-conflict", "/usr/bin/x"),
        ("Setting up libssl3:amd64 (3.0.22-1~deb12u2) ...", "", ""),
        ("Get:1 /var/lib/x/tzdata_all.deb tzdata all 2026f [308 kB]", "", ""),
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


def test_the_newest_kernel_counts_by_version_and_flavour() -> None:
    def snapshot(*kernels: str, container: str = "none") -> Snapshot:
        return Snapshot("h", 0.0, {
            "linux.kernels": Evidence("linux.kernels", "ok", "".join(f"{k}\n" for k in kernels), 0),
            "linux.container": Evidence("linux.container", "ok", f"{container}\n", 0),
        })  # fmt: skip

    running = "6.1.0-9-amd64"
    assert newest_kernel(running, snapshot("6.1.0-9-amd64", "6.1.0-40-amd64"), ()) == "6.1.0-40-amd64"
    assert newest_kernel(running, snapshot("6.1.0-9-amd64", "6.12.0-1-cloud-amd64"), ()) != "6.12.0-1-rt"
    assert newest_kernel(running, snapshot("6.1.0-40-amd64", container="systemd-nspawn"), ()) == ""
    assert newest_kernel(running, snapshot(), ()) == ""


def test_states_of_packages() -> None:
    text = (
        "ii |a|amd64|1|a|1\nhi |b|amd64|1|b|1\nrc |gone|amd64|1|gone|1\niF |c|amd64|1|c|1\niU |d|amd64|1|d|1\n"
        "iiR|e|amd64|1|e|1\niW |f|all|1|f|1\nnot a line\n"
    )
    packages, held, broken = read_packages(text)
    assert [p.name for p in packages] == ["a", "b", "c", "d", "e", "f"]
    assert held == ("b",)
    assert broken == ("c (half-configured)", "d (unpacked)", "e (reinstall-required)", "f (triggers-awaited)")


def test_who_else_updates_this_host() -> None:
    both = "unit apt-daily-upgrade.timer\npackage unattended-upgrades\nconfig APT::Periodic::Unattended-Upgrade 1\n"
    assert read_updaters(both) == ("unattended-upgrades",)
    assert read_updaters(both.replace("Upgrade 1", "Upgrade 0")) == ()
    assert read_updaters("unit packagekit.service\nunit snapd.service\n") == ("packagekit", "snapd")


def test_files_of_init_and_the_bus_are_traced_to_their_packages() -> None:
    text = (
        "map dbus-daemon[29] /usr/bin/dbus-daemon\nmap systemd[1] /usr/lib/x86_64-linux-gnu/libc.so.6\n"
        "map dbus-daemon[29] /usr/lib/x86_64-linux-gnu/libc.so.6\nmap systemd[1] /opt/own.so\n"
        "own dbus-daemon: /usr/bin/dbus-daemon\nown libc6:amd64, libc6:i386: /lib/x86_64-linux-gnu/libc.so.6\n"
        "own diversion by x from: /usr/bin/dbus-daemon\nown other: /usr/bin/nothing\n"
    )
    assert read_init_files(text) == (
        ("dbus-daemon", "dbus-daemon[29]"), ("libc6", "dbus-daemon[29]"), ("libc6", "systemd[1]"),
    )  # fmt: skip


@pytest.mark.parametrize("case", list(load_cases("apt")), ids=lambda case: case.name)
def test_one_probe_alone_gives_the_same_updates(case: Case) -> None:
    """`updates` asks with one probe what a scan asks with three: same list, age and reasons."""
    whole = case.snapshot
    asked = [probe.id for probe in PLATFORM.pending_probes("auto")]
    assert asked == ["linux.os-release", "apt.pending"]
    pending, packages, lists = (whole.evidence[f"apt.{name}"] for name in ("pending", "packages", "lists"))
    if {pending.status, packages.status, lists.status} != {OK}:
        pytest.skip("one of the three was not answered")
    os = whole.evidence["linux.os-release"].output
    text = f"@@ os-release\n{os}\n{pending.output}\n@@ packages\n{packages.output}@@ lists\n{lists.output}"
    alone = replace(whole, evidence={
        "linux.os-release": Evidence("linux.os-release", NOT_APPLICABLE, reason="does not apply to this host"),
        "apt.pending": replace(pending, output=text),
    })  # fmt: skip
    assert platform_for(alone) is not None
    some, full = PLATFORM.read(alone), PLATFORM.read(whole)
    assert (some.updates, some.metadata_age, some.packages, some.os) == (
        full.updates, full.metadata_age, full.packages, full.os)  # fmt: skip
    assert some.why_unknown("updates") == full.why_unknown("updates")
    silent = replace(alone, evidence={**alone.evidence, "apt.pending": Evidence(
        "apt.pending", UNKNOWN, reason="timeout")})  # fmt: skip
    assert PLATFORM.read(silent).why_unknown("updates") == "timeout"
    assert read_facts(silent).why_unknown("updates") == "timeout"


def test_settings_of_apt_are_told_apart_without_asking_it() -> None:
    """pc_says: a setting that no file mentions is at its default; an include or APT_CONFIG may set anything."""
    for said, config, pattern, answer in (
        ("", "", "[Dd][Ii][Rr]", "no"), ("dir", "", "[Dd][Ii][Rr]", "yes"), ("DIR", "", "[Dd][Ii][Rr]", "yes"),
        ("periodic", "", "[Dd][Ii][Rr]", "no"), ("#include", "", "[Dd][Ii][Rr]", "yes"), ("", "/x", "[Dd]", "yes"),
        ("periodic\nArchitecture", "", "[Aa][Rr][Cc][Hh]", "yes"),
    ):  # fmt: skip
        files = f"pc_set={quote_sh(said)} APT_CONFIG={quote_sh(config)}"
        text = f"{_SAYS}\n{files}\npc_says '{pattern}' && echo yes || echo no"
        for shell in (["dash"], ["bash", "--posix"]):
            found = subprocess.run([*shell, "-c", text], capture_output=True, text=True, timeout=20)
            assert found.stdout.strip() == answer, (said, config, shell)
