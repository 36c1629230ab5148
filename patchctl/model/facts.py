"""What a platform reads out of a Snapshot. None always means unknown, never none."""

from __future__ import annotations

from msgspec import Struct


class OsRelease(Struct, frozen=True):
    id: str = ""
    version: str = ""
    family: str = ""
    """debian | redhat | suse | alpine | arch | windows"""
    codename: str = ""
    name: str = ""


class Package(Struct, frozen=True):
    name: str
    version: str
    arch: str
    source: str = ""
    source_version: str = ""
    status: str = "installed"
    """installed, or the package manager's own word for a broken state (half-configured, ...)"""


class Update(Struct, frozen=True):
    """One pending change of a package as the package manager itself would make it."""

    package: str
    arch: str
    installed: str
    """"" for a package that would be newly installed"""
    candidate: str
    origin: str = ""
    """Human form of the archive it comes from: Debian-Security:12/oldstable-security"""
    security: bool | None = None
    state: str = "upgradable"
    """upgradable | new (pulled in) | held | phased | kept-back | pinned"""
    reason: str = ""
    """Why it is not simply upgradable, down to the root cause."""
    advisories: tuple[str, ...] = ()
    cves: tuple[str, ...] = ()
    severity: str = ""
    known_exploited: bool | None = None
    """Whether a feed says that it is exploited in the wild; None = no feed was asked."""
    classifications: tuple[str, ...] = ()
    """What its publisher files it under, words of model.policy.CLASSIFICATIONS; () = unknown."""


class Artefact(Struct, frozen=True):
    """A file that carries one package version. sha256 is the promise; the rest is where to find it."""

    package: str
    version: str
    arch: str
    sha256: str
    size: int
    filename: str
    """Base name chosen by us: never taken from host output unchecked."""
    uri: str = ""
    origin: str = ""
    signature: str = ""
    """Detached signature in base64, where the package manager wants one beside each file (pacman)."""
    carrier: str = ""
    """As Change.carrier: windows-update has no file of ours, its update id and revision name the content."""
    uninstall: str = ""
    """How it is taken off again, where its kind does not tell: as PackageOffer.uninstall."""


class FileSystem(Struct, frozen=True):
    mount: str
    total: int
    available: int
    """Bytes free for a non-root user, as df reports them."""


class RebootNeed(Struct, frozen=True):
    required: bool | None
    reasons: tuple[str, ...] = ()


class HostFacts(Struct, frozen=True):
    """A host as one Snapshot shows it. `unknown` maps a field's name to the reason why it is None."""

    os: OsRelease = OsRelease()
    kernel: str = ""
    boot_id: str = ""
    arch: str = ""
    packages: tuple[Package, ...] | None = None
    updates: tuple[Update, ...] | None = None
    """Pending, held, phased and kept-back alike; state tells them apart."""
    artefacts: tuple[Artefact, ...] = ()
    removals: tuple[str, ...] = ()
    """Packages that the full upgrade would remove; never done without being planned."""
    held: tuple[str, ...] | None = None
    broken: tuple[str, ...] | None = None
    """Half-installed or half-configured packages, or the words of the package manager's audit."""
    reboot: RebootNeed = RebootNeed(None)
    reboot_packages: tuple[tuple[str, str], ...] | None = None
    """(package, user) of files in use by what only a reboot restarts: systemd[1], dbus-daemon[352] ..."""
    restarts: tuple[str, ...] | None = None
    """Units whose processes still run deleted files."""
    file_systems: tuple[FileSystem, ...] | None = None
    clock_skew: float | None = None
    """Seconds, host minus controller."""
    metadata_age: float | None = None
    """Seconds since the package lists were last truly refreshed."""
    last_activity: float | None = None
    """Unix time of the last package change."""
    other_updaters: tuple[str, ...] | None = None
    failed_units: tuple[str, ...] | None = None
    unknown: tuple[tuple[str, str], ...] = ()

    def why_unknown(self, field: str) -> str:
        return dict(self.unknown).get(field, "")

    def pending(self) -> tuple[Update, ...] | None:
        """Return what an upgrade would change now (upgradable and pulled in), or None when unknown."""
        if self.updates is None:
            return None
        return tuple(u for u in self.updates if u.state in ("upgradable", "new"))
