"""Debian, Ubuntu and what descends from them: dpkg and apt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from msgspec.structs import replace

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease
from patchctl.model.memo import Memo
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.model.text import quote_sh
from patchctl.platforms import linux
from patchctl.platforms.apt import earlier, pending, probes, read, scripts
from patchctl.platforms.apt.signatures import SIGNATURES
from patchctl.platforms.contract import InstallRequest


class Apt:
    """platforms/contract.py for dpkg and apt (1.4 or newer: Debian 9, Ubuntu 18.04)."""

    name = "apt"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = SIGNATURES
    adjustments = tuple(scripts.ADJUSTMENTS)

    def matches(self, os: OsRelease) -> bool:
        return os.family == "debian"

    def probes(self, refresh: str) -> Sequence[Probe]:
        return (*linux.PROBES, *probes.scan_probes(refresh))

    def pending_probes(self, refresh: str) -> Sequence[Probe]:
        elsewhere = replace(linux.OS_RELEASE, when=f"! {{ {probes.IS_APT}; }}")
        return (elsewhere, probes.pending_alone(refresh))

    def read(self, snapshot: Snapshot) -> HostFacts:
        return read.read_host(snapshot)

    def reader(self) -> Callable[[Snapshot], HostFacts]:
        memo = Memo()
        return lambda snapshot: read.read_host(snapshot, memo)

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        return Probe("apt.resolve", probes.resolve_command(changes, refresh), when=probes.IS_APT, timeout=300)

    def read_resolution(self, output: str) -> HostFacts:
        sections = pending.split_sections(output)
        if sections.rc("upgrade") != 0:
            reason = sections.error("upgrade") or "apt could not work out this change"
            return HostFacts(unknown=(("updates", reason),))
        found = pending.read_resolution(sections)
        return HostFacts(updates=found.updates, artefacts=found.artefacts, removals=found.removals)

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        return Probe(
            "apt.earlier", earlier.command(changes, refresh), root=True, when=probes.IS_APT, timeout=300
        )

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        return earlier.read(changes, output)

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        names = " ".join(quote_sh(name) for name in sorted(set(packages)))
        text = (
            "dpkg-query -W -f '${db:Status-Status} ${Package}:${Architecture} ${Version}\\n' -- "
            f"{names} 2>/dev/null | sed -n 's/^installed //p' | sort"
        )
        return Probe("apt.fingerprint", text if packages else "true", when=probes.IS_APT, timeout=30)

    def lock_probe(self) -> Probe | None:
        return Probe("apt.lock", scripts.LOCK_COMMAND, root=True, when=probes.IS_APT, timeout=10)

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return scripts.download_script(artefacts, directory)

    def install_script(self, request: InstallRequest) -> str:
        return scripts.install_script(request)


PLATFORM = Apt()
