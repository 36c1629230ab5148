"""What a platform is: probes, a reader of snapshots, texts of scripts, failure signatures. All pure.

One file per platform in this folder with a module-level `PLATFORM`; platforms/registry.py finds them. The contract
tests in tests/platforms/ run over every one that is found, with its captured cases.

Every run loads every platform, for its probes, and then reads the answers of few: a platform imports what reads answers
where it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature


class InstallRequest(Struct, frozen=True):
    """What the runner shall install, all files already verified in `directory` on the host."""

    changes: tuple[Change, ...]
    artefacts: tuple[Artefact, ...]
    removals: tuple[str, ...] = ()
    directory: str = ""
    adjustments: tuple[str, ...] = ()
    lock_timeout: int = 120
    """Seconds to wait for the package manager's lock before failing with its holder's name."""


class Platform(Protocol):
    name: str
    shell: str
    """sh | powershell: the language of every text this platform returns."""
    signatures: Sequence[Signature]
    adjustments: tuple[str, ...]
    """What install_script can do before the install, by the names of rollout/remedies.py."""

    def matches(self, os: OsRelease) -> bool:
        """Say whether this platform reads hosts of that system."""
        ...

    def probes(self, refresh: str) -> Sequence[Probe]:
        """Return the probes of a scan. refresh: auto | never | always (package lists, in isolated state)."""
        ...

    def read(self, snapshot: Snapshot) -> HostFacts:
        """Return what the snapshot shows. What is missing becomes None with its reason, never a guess."""
        ...

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        """Return a probe that simulates installing just these changes: what else gets pulled in or removed.

        `refresh` is that of the scan which found them, so that both look at equally fresh package lists.
        """
        ...

    def read_resolution(self, output: str) -> HostFacts:
        """Read resolve_probe's output: `updates` (incl. state new), `artefacts`, `removals`."""
        ...

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        """Return a probe printing `package:arch version` lines for the named packages (installed ones only)."""
        ...

    def lock_probe(self) -> Probe | None:
        """Return a probe printing `LOCK PID COMMAND` when a process holds the package manager's lock now, or None."""
        ...

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        """Return a script that fetches artefacts from the host's own sources into `directory`, checks SHA-256,
        and prints `have SHA256` or `miss SHA256 reason` for each. Never installs.
        """
        ...

    def install_script(self, request: InstallRequest) -> str:
        """Return the runner's payload: noninteractive, exact versions, output in the C locale.

        It prints `patchctl: step NAME` lines, and its exit code is the package manager's. It takes care of an
        interrupted earlier run only when `adjustments` asks for that.
        """
        ...


class FleetReader(Protocol):
    """What a platform may have besides: a reader for one pass over many snapshots of hosts that resemble each other."""

    def reader(self) -> Callable[[Snapshot], HostFacts]:
        """Return a function that gives what `read` gives, and reads texts that hosts share only once."""
        ...


class PendingAlone(Protocol):
    """What a platform may have besides: a shorter way to ask for pending updates and nothing else."""

    def pending_probes(self, refresh: str) -> Sequence[Probe]:
        """Return the probes for it; `read` understands what they give. Otherwise: those marked `pending`."""
        ...


class WayBack(Protocol):
    """What a platform may have besides: it can put earlier versions back.

    Its install_script then takes changes to lower versions, with their files, and `removals` that are not there.
    """

    def earlier_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        """Return a probe that asks the host where the versions can be had that these changes start from.

        Nothing is fetched. `refresh` as for resolve_probe.
        """
        ...

    def read_earlier(self, changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
        """Read earlier_probe's output: files of earlier versions by SHA-256, `origin` saying where each was found.

        A file without `uri` is on the host, and download_script finds it there. What is not returned cannot be had.
        """
        ...


class TakesOff(Protocol):
    """What a platform with a way back may have besides: its installers refuse a lower version over a higher one.

    So the higher one is taken off first, by its own file (Change.replaces), and not everything can be taken off.
    """

    def why_stays(self, artefact: Artefact) -> str:
        """Return why the version in this file could not be taken off again, or "" if it could."""
        ...

    def read_removable(self, changes: Sequence[Change], output: str) -> dict[str, str]:
        """Read earlier_probe's output for the packages that the changes install anew: why each would stay, "" if not.

        What is not returned is not known, and counts as staying.
        """
        ...


class WholeUpgrades(Protocol):
    """What a platform may have besides: its distributor supports hosts only that have all updates or none."""

    partial_note: str
    """What a plan says that changes only some of a host's packages."""
