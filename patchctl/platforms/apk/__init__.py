"""Alpine Linux: apk 2.14 or 3, with packages and indexes of format 2, as Alpine has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.platforms import linux
from patchctl.platforms.apk import probes, scripts
from patchctl.platforms.apk.signatures import SIGNATURES
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.sections import split_sections


class Apk:
    """platforms/contract.py for apk."""

    name = "apk"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = SIGNATURES
    adjustments: tuple[str, ...] = ()

    def matches(self, os: OsRelease) -> bool:
        return os.family == "alpine"

    def probes(self, refresh: str) -> Sequence[Probe]:
        return (*linux.PROBES, *probes.scan_probes(refresh))

    def read(self, snapshot: Snapshot) -> HostFacts:
        from patchctl.platforms.apk import read

        return read.read_host(snapshot)

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        text = probes.resolve_command(changes, refresh)
        return Probe("apk.resolve", text, root=True, when=probes.IS_APK, timeout=600)

    def read_resolution(self, output: str) -> HostFacts:
        from patchctl.platforms.apk import read

        return read.read_resolution(split_sections(output))

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        from patchctl.platforms.apk import earlier

        text = earlier.command(changes, refresh)
        return Probe("apk.earlier", text, root=True, when=probes.IS_APK, timeout=600)

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        from patchctl.platforms.apk import earlier

        return earlier.read(changes, output)

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        text = probes.fingerprint_command(packages) if packages else "true"
        return Probe("apk.fingerprint", text, when=probes.IS_APK, timeout=30)

    def lock_probe(self) -> Probe | None:
        return Probe("apk.lock", probes.LOCK_COMMAND, root=True, when=probes.IS_APK, timeout=10)

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return scripts.download_script(artefacts, directory)

    def install_script(self, request: InstallRequest) -> str:
        return scripts.install_script(request)


PLATFORM = Apk()
