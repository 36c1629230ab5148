"""What all ways of asking dnf and yum have in common: names, advisories, and the answer itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from patchctl.model.facts import Artefact, Update

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,200}")
_ARCH = re.compile(r"[a-z0-9_]{1,20}")
_ADVISORY = re.compile(r"(\S+)\s+(?:(\w+)/)?(Sec\.|security|bugfix|enhancement|newpackage|unknown|unspecified)(?=\s|$)")
_NEVRA = re.compile(r"(.+)-((?:\d+:)?[^-]+-[^-]+)\.([^.\s]+)")
SEVERITIES = ("critical", "important", "moderate", "low")
VERSION = re.compile(r"(?:[0-9]+:)?[A-Za-z0-9._+~^]+-[A-Za-z0-9._+~^]+")


class Pending(Struct, frozen=True):
    """What one question gave. `error` = why the updates are unknown; "" = they are known."""

    updates: tuple[Update, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    removals: tuple[str, ...] = ()
    age: float | None = None
    """Seconds since the oldest repository was checked."""
    refreshed: bool = False
    error: str = ""
    reboots: tuple[str, ...] = ()
    """Packages whose advisory asks for a reboot."""


def file_name(package: str, version: str, arch: str) -> str:
    """Return the base name of an artefact, made of checked parts: without the epoch, a caret as %5e."""
    return f"{package}-{version.rpartition(':')[2]}.{arch}.rpm".replace("^", "%5e")


def valid_name(name: str, arch: str, version: str) -> bool:
    """Say whether these are a package's name, architecture and version as rpm allows them."""
    return bool(_NAME.fullmatch(name) and _ARCH.fullmatch(arch) and VERSION.fullmatch(version))


def worst_severity(severities: Iterable[str]) -> str:
    """Return the worst of these words; "" when none is known."""
    return min((s for s in severities if s in SEVERITIES), key=SEVERITIES.index, default="")


def read_advisories(lines: Sequence[str]) -> Iterator[tuple[str, str, bool, str, str, str]]:
    """Given `updateinfo list` (dnf 4, yum) or `advisory list` (dnf 5), yield (id, severity, security, name, arch,
    version).
    """
    for line in lines:
        match = _ADVISORY.match(line.strip())
        nevra = next((m for word in line.split()[2:] if (m := _NEVRA.fullmatch(word))), None)
        if match and nevra:
            severity = (match[2] or "").lower()
            if not severity and len(line.split()) > 3 and line.split()[2].lower() in SEVERITIES:
                severity = line.split()[2].lower()  # dnf 5 has it in a column of its own
            security = match[3] in ("Sec.", "security")
            severity = {"medium": "moderate"}.get(severity, severity)  # Amazon Linux calls it so
            known = severity if severity in SEVERITIES else ""
            yield match[1], known, security, nevra[1], nevra[3], nevra[2].removeprefix("0:")
