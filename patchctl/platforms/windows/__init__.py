"""Windows: Windows Update as SYSTEM task, and packages from files (.msi, .msu, .cab, .exe). Never run on Windows.

What the texts rest on is named in each module; what was run instead of Windows in
docs/explanation/what-was-never-run-for-real.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.windows import probes
from patchctl.platforms.windows.signatures import SIGNATURES


def read_os(snapshot: Snapshot) -> OsRelease:
    """Return the system that a snapshot of a Windows host shows."""
    from patchctl.platforms.windows import read

    return read.read_os(snapshot)


class Windows:
    """platforms/contract.py for Windows. `install_script` is a batch file, all other texts are PowerShell."""

    name = "windows"
    shell = "powershell"
    signatures: ClassVar[Sequence[Signature]] = SIGNATURES
    adjustments: tuple[str, ...] = ()

    def matches(self, os: OsRelease) -> bool:
        return os.family == "windows"

    def probes(self, refresh: str) -> Sequence[Probe]:
        return probes.probes(refresh)

    def read(self, snapshot: Snapshot) -> HostFacts:
        from patchctl.platforms.windows import read

        return read.read_facts(snapshot)

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        from patchctl.platforms.windows import packages

        # Windows updates bring what they need themselves: the answer to "what else" is that nothing else is changed.
        return Probe("windows.resolve", packages.echo_text(changes), timeout=30)

    def read_resolution(self, output: str) -> HostFacts:
        from patchctl.platforms.windows import packages

        return packages.read_resolution(output)

    def fingerprint_probe(self, packages_: Sequence[str]) -> Probe:
        from patchctl.platforms.windows import packages

        return Probe("windows.fingerprint", packages.fingerprint_text(packages_), root=True, timeout=600)

    def lock_probe(self) -> Probe | None:
        # Windows Installer's own mutex says that somebody installs, never who.
        return None

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        from patchctl.platforms.windows import packages

        return packages.download_text(artefacts, directory)

    def install_script(self, request: InstallRequest) -> str:
        from patchctl.platforms.windows import packages

        return packages.install_batch(request)

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        from patchctl.platforms.windows import earlier

        return Probe("windows.earlier", earlier.command(changes), root=True, timeout=600)

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        from patchctl.platforms.windows import earlier

        return earlier.read(changes, output)

    def read_removable(self, changes: Sequence[Change], output: str) -> dict[str, str]:
        from patchctl.platforms.windows import earlier

        return earlier.read_removable(changes, output)

    def why_stays(self, artefact: Artefact) -> str:
        from patchctl.platforms.windows import earlier

        return earlier.why_stays(artefact)


PLATFORM = Windows()
