"""Red Hat Enterprise Linux and its relatives: rpm with dnf 4, dnf 5 or yum 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease
from patchctl.model.memo import Memo
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.platforms import linux
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.dnf import probes, scripts
from patchctl.platforms.dnf.signatures import SIGNATURES


class Dnf:
    """platforms/contract.py for rpm with dnf 4 (Enterprise Linux 8 to 10, Amazon Linux) and dnf 5 (Fedora from 41)."""

    name = "dnf"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = SIGNATURES
    adjustments = tuple(scripts.ADJUSTMENTS)

    def matches(self, os: OsRelease) -> bool:
        return os.family == "redhat"

    def probes(self, refresh: str) -> Sequence[Probe]:
        return (*linux.PROBES, *probes.scan_probes(refresh))

    def read(self, snapshot: Snapshot) -> HostFacts:
        from patchctl.platforms.dnf import read

        return read.read_host(snapshot)

    def reader(self) -> Callable[[Snapshot], HostFacts]:
        from patchctl.platforms.dnf import read

        memo = Memo()
        return lambda snapshot: read.read_host(snapshot, memo)

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        return Probe("dnf.resolve", probes.resolve_command(changes, refresh), when=probes.IS_RPM, timeout=300)

    def read_resolution(self, output: str) -> HostFacts:
        from patchctl.platforms.dnf import pending

        found = pending.read_pending(output)
        if found.error:
            return HostFacts(unknown=(("updates", found.error),))
        return HostFacts(updates=found.updates, artefacts=found.artefacts, removals=found.removals)

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        from patchctl.platforms.dnf import earlier

        return Probe("dnf.earlier", earlier.command(changes, refresh), root=True, when=probes.IS_RPM, timeout=300)

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        from patchctl.platforms.dnf import earlier

        return earlier.read(changes, output)

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        text = probes.fingerprint_command(packages) if packages else "true"
        return Probe("dnf.fingerprint", text, when=probes.IS_RPM, timeout=60)

    def lock_probe(self) -> Probe | None:
        return Probe("dnf.lock", scripts.LOCK_COMMAND, root=True, when=probes.IS_RPM, timeout=10)

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return scripts.download_script(artefacts, directory)

    def install_script(self, request: InstallRequest) -> str:
        return scripts.install_script(request)


PLATFORM = Dnf()
