"""SUSE Linux Enterprise, openSUSE and what descends from them: zypper 1.14 or newer over rpm."""

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
from patchctl.platforms.sections import split_sections
from patchctl.platforms.zypper import probes, scripts
from patchctl.platforms.zypper.signatures import SIGNATURES


class Zypper:
    """platforms/contract.py for zypper."""

    name = "zypper"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = SIGNATURES
    adjustments = tuple(scripts.ADJUSTMENTS)

    def matches(self, os: OsRelease) -> bool:
        return os.family == "suse"

    def probes(self, refresh: str) -> Sequence[Probe]:
        return (*linux.PROBES, *probes.scan_probes(refresh))

    def read(self, snapshot: Snapshot) -> HostFacts:
        from patchctl.platforms.zypper import read

        return read.read_host(snapshot)

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        text = probes.resolve_command(changes, refresh)
        return Probe("zypper.resolve", text, root=True, when=probes.IS_ZYPPER, timeout=300)

    def read_resolution(self, output: str) -> HostFacts:
        from patchctl.platforms.zypper import pending

        return pending.read_resolution(split_sections(output))

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        from patchctl.platforms.zypper import earlier

        text = earlier.command(changes, refresh)
        return Probe("zypper.earlier", text, root=True, when=probes.IS_ZYPPER, timeout=300)

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        from patchctl.platforms.zypper import earlier

        return earlier.read(changes, output)

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        names = " ".join(quote_sh(name) for name in sorted(set(packages)))
        text = (
            f"rpm -q --qf '%{{NAME}}:%{{ARCH}} %|EPOCH?{{%{{EPOCH}}:}}:{{}}|%{{VERSION}}-%{{RELEASE}}\\n' -- {names} "
            "| grep -v ' is not installed$' | sed 's/ 0:/ /' | sort"
        )
        return Probe("zypper.fingerprint", text if packages else "true", when=probes.IS_ZYPPER, timeout=60)

    def lock_probe(self) -> Probe | None:
        return Probe("zypper.lock", probes.LOCK_COMMAND, root=True, when=probes.IS_ZYPPER, timeout=10)

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return scripts.download_script(artefacts, directory)

    def install_script(self, request: InstallRequest) -> str:
        return scripts.install_script(request)


PLATFORM = Zypper()
