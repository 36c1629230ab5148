"""Red Hat and its relatives, so far only what the platform contract asks for: dnf 4 and rpm.

What needs the full platform (module streams, kernels to keep, transaction history) is left unknown by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease, Package, RebootNeed, Update
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.model.text import one_line, quote_sh
from patchctl.model.versions import rpm
from patchctl.platforms import linux
from patchctl.platforms.contract import InstallRequest

IS_DNF = "command -v rpm && command -v dnf"
# Repositories in a cache folder of our own, so that refreshing never touches the host's.
_DNF = (
    'd=$(mktemp -d "${TMPDIR:-/var/tmp}/patchctl-dnf.XXXXXX") || exit 1; trap \'rm -rf "$d"\' EXIT; '
    "dnf -q --setopt=cachedir=\"$d\" --setopt=metadata_expire=0 "
)
_FORMAT = "'%{name}|%{epoch}:%{version}-%{release}|%{arch}|%{repoid}|%{size}|%{location}\\n'"
_PACKAGES = "rpm -qa --qf '%{NAME}|%|EPOCH?{%{EPOCH}}:{0}|:%{VERSION}-%{RELEASE}|%{ARCH}|%{SOURCERPM}\\n'"
_ADVISORY = re.compile(r"(\S+)\s+(?:(\w+)/)?(Sec\.|security|bugfix|enhancement|newpackage|unknown)\s+(\S+)")
_NEVRA = re.compile(r"(.+)-((?:\d+:)?[^-]+-[^-]+)\.([^.]+)")


class Dnf:
    """platforms/contract.py for dnf."""

    name = "dnf"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = (
        Signature("dnf-lock-held", "package-manager", r"Waiting for process with pid (?P<pid>\d+) to finish",
                  "dnf is held by process {pid}", transient=True, remedy="wait-for-lock"),
        Signature("repository-down", "repository", r"Failed to download metadata for repo '(?P<repo>[^']+)'",
                  "repository {repo} does not answer", transient=True),
        Signature("no-space", "disk", r"No space left on device|At least \d+\S+ more space needed on the (?P<path>\S+)",
                  "no space left: {path}"),
        Signature("unsigned-package", "repository", r"Package (?P<package>\S+) is not signed",
                  "{package} is not signed"),
        Signature("rpm-database-corrupt", "package-manager", r"DB_RUNRECOVERY|rpmdb: .* corrupt",
                  "the rpm database is damaged"),
    )  # fmt: skip
    adjustments: tuple[str, ...] = ()

    def matches(self, os: OsRelease) -> bool:
        return os.family == "redhat"

    def probes(self, refresh: str) -> Sequence[Probe]:
        offline = "dnf -q -C " if refresh == "never" else _DNF
        pending = (
            f"{offline}repoquery --upgrades --latest-limit=1 --qf {_FORMAT}; rc=$?; echo \"rc $rc\"; "
            "dnf -q -C updateinfo list --updates 2>/dev/null | sed 's/^/advisory /'; exit $rc"
        )
        return (
            *linux.PROBES,
            Probe("dnf.packages", _PACKAGES, when=IS_DNF, timeout=120, cap=16 * 1024 * 1024, pending=True),
            Probe("dnf.pending", pending, when=IS_DNF, timeout=300, pending=True),
            Probe("dnf.restart", "dnf -q needs-restarting -r", root=True, when=IS_DNF, timeout=60),
            Probe("dnf.holds", "cat /etc/dnf/plugins/versionlock.list 2>/dev/null; true", when=IS_DNF, timeout=10,
                  pending=True),
        )

    def read(self, snapshot: Snapshot) -> HostFacts:
        facts = linux.read_common(snapshot)
        unknown = dict(facts.unknown)
        listed = snapshot.output("dnf.packages")
        if listed:
            facts = replace(facts, packages=tuple(_packages(listed)), broken=None)
        else:
            # An empty list means that rpm looked into the wrong database, never that nothing is installed.
            unknown["packages"] = snapshot.reason("dnf.packages") or "rpm lists no packages"
        unknown |= dict.fromkeys(("broken", "reboot_packages"), "not collected on this platform yet")
        holds = snapshot.output("dnf.holds")
        if holds is None:
            unknown["held"] = snapshot.reason("dnf.holds")
        else:
            names = (one_line(x) for x in holds.splitlines() if x.strip() and x[0] not in "#!")
            facts = replace(facts, held=tuple(names))
        pending = snapshot.output("dnf.pending")
        if pending is None or "rc 0" not in pending.splitlines() or facts.packages is None:
            reason = snapshot.reason("dnf.pending") or unknown.get("packages")
            unknown["updates"] = reason or "dnf could not list updates"
        else:
            facts = replace(facts, updates=tuple(_updates(pending, facts.packages)))
        unknown["metadata_age"] = "not collected on this platform yet"
        restart = snapshot.evidence.get("dnf.restart")
        if restart is not None and restart.rc in (0, 1):
            asked = [one_line(x.strip(" *")) for x in restart.output.splitlines() if x.startswith("  *")]
            facts = replace(facts, reboot=RebootNeed(restart.rc == 1, tuple(f"updated: {x}" for x in asked)))
        else:
            unknown["reboot"] = snapshot.reason("dnf.restart") or "needs-restarting is not there"
        return replace(facts, unknown=tuple(unknown.items()))

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        words = " ".join(quote_sh(f"{c.package}-{c.to_version}.{c.arch}") for c in changes)
        text = f"{_DNF}repoquery --upgrades --latest-limit=1 --qf {_FORMAT} {words}; echo \"rc $?\""
        return Probe("dnf.resolve", text, when=IS_DNF, timeout=300)

    def read_resolution(self, output: str) -> HostFacts:
        if "rc 0" not in output.splitlines():
            return HostFacts(unknown=(("updates", "dnf could not work out this change"),))
        return HostFacts(updates=tuple(_updates(output, ())))

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        names = " ".join(quote_sh(name) for name in sorted(set(packages)))
        text = (
            f"rpm -q --qf '%{{NAME}}:%{{ARCH}} %|EPOCH?{{%{{EPOCH}}}}:{{0}}|:%{{VERSION}}-%{{RELEASE}}\\n' {names} "
            "| grep -v ' is not installed$' | sort"
        )
        return Probe("dnf.fingerprint", text if packages else "true", when=IS_DNF, timeout=60)

    def lock_probe(self) -> Probe | None:
        return None

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return "".join(f"echo 'miss {a.sha256} not built for dnf yet'\n" for a in artefacts) or "true\n"

    def install_script(self, request: InstallRequest) -> str:
        return "echo 'patchctl: step refused'; echo 'installing with dnf is not built yet'; exit 1\n"


def _packages(text: str) -> Iterator[Package]:
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) == 4 and parts[0] != "gpg-pubkey":
            yield Package(one_line(parts[0], 200), one_line(parts[1], 200), one_line(parts[2], 40), parts[3])


def _updates(text: str, packages: Sequence[Package]) -> Iterator[Update]:
    """Read repoquery lines and the advisories behind them. No advisories known means security is unknown, not no."""
    installed: dict[tuple[str, str], str] = {}
    for package in packages:
        key = (package.name, package.arch)
        if key not in installed or rpm.compare(package.version, installed[key]) > 0:
            installed[key] = package.version
    advisories: dict[tuple[str, str, str], tuple[str, bool]] = {}
    for line in text.splitlines():
        if line.startswith("advisory ") and (match := _ADVISORY.fullmatch(line[9:].strip())):
            security = match[3] in ("Sec.", "security")
            if nevra := _NEVRA.fullmatch(match[4]):
                advisories[nevra[1], _with_epoch(nevra[2]), nevra[3]] = (match[1], security)
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != 6:
            continue
        name, version, arch, repository = parts[:4]
        found = advisories.get((name, version, arch))
        yield Update(
            name, arch, installed.get((name, arch), ""), version, repository,
            found[1] if found else (False if advisories else None), advisories=(found[0],) if found else (),
        )  # fmt: skip


def _with_epoch(version: str) -> str:
    return version if ":" in version else f"0:{version}"


PLATFORM = Dnf()
