"""Arch Linux and what descends from it: pacman 5.1 or newer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.model.text import quote_sh
from patchctl.platforms import linux
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.pacman import probes, scripts
from patchctl.platforms.pacman.signatures import SIGNATURES
from patchctl.platforms.sections import split_sections


class Pacman:
    """platforms/contract.py for pacman."""

    name = "pacman"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = SIGNATURES
    adjustments = scripts.ADJUSTMENTS
    partial_note = (
        "only some of the pending updates are approved: Arch does not support partial upgrades; "
        "approve all of them, or none"
    )

    def matches(self, os: OsRelease) -> bool:
        return os.family == "arch"

    def probes(self, refresh: str) -> Sequence[Probe]:
        return (*linux.PROBES, *probes.scan_probes(refresh))

    def read(self, snapshot: Snapshot) -> HostFacts:
        from patchctl.platforms.pacman import read

        return read.read_host(snapshot)

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        text = probes.resolve_command(changes, refresh)
        return Probe("pacman.resolve", text, root=refresh != "never", when=probes.IS_PACMAN, timeout=300)

    def read_resolution(self, output: str) -> HostFacts:
        from patchctl.platforms.pacman import read

        return read.read_resolution(split_sections(output))

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        from patchctl.platforms.pacman import earlier

        return Probe("pacman.earlier", earlier.command(changes), when=probes.IS_PACMAN, timeout=300)

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        from patchctl.platforms.pacman import earlier

        return earlier.read(changes, output)

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        names = " ".join(quote_sh(name) for name in sorted(set(packages)))
        text = (
            f"{probes.DATABASE}for pc_name in {names}; do pacman -Q --color never -- \"$pc_name\" 2>/dev/null; done |\n"
            "  while read -r pc_name pc_version; do\n"
            "    pc_arch=$(sed -n '/^%ARCH%$/{n;p;q;}' \"$pc_db/local/$pc_name-$pc_version/desc\")\n"
            "    echo \"$pc_name:${pc_arch:-any} $pc_version\"\n"
            "  done | sort"
        )
        return Probe("pacman.fingerprint", text if packages else "true", when=probes.IS_PACMAN, timeout=60)

    def lock_probe(self) -> Probe | None:
        return Probe("pacman.lock", probes.LOCK_COMMAND, root=True, when=probes.IS_PACMAN, timeout=20)

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return scripts.download_script(artefacts, directory)

    def install_script(self, request: InstallRequest) -> str:
        return scripts.install_script(request)


PLATFORM = Pacman()
