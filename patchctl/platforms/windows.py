"""Windows, so far only what the platform contract asks for: PowerShell texts and a reader of their answers.

Answered by the fake transport in tests; the full platform (Windows Update Agent as SYSTEM task) comes later, so
`install_script` refuses by name instead of doing half of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, FileSystem, HostFacts, OsRelease, Package, RebootNeed, Update
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.model.text import one_line, quote_powershell
from patchctl.platforms.contract import InstallRequest

_OS = (
    "Get-CimInstance Win32_OperatingSystem | "
    "Select-Object Caption,Version,BuildNumber,OSArchitecture,@{n='Boot';e={$_.LastBootUpTime.ToUniversalTime().Ticks}}"
    " | ConvertTo-Json -Compress"
)
_HOTFIXES = "@(Get-HotFix | Select-Object HotFixID,InstalledOn) | ConvertTo-Json -Compress"
_PENDING = (
    "$s = (New-Object -ComObject Microsoft.Update.Session).CreateUpdateSearcher(); ONLINE"
    "$r = $s.Search('IsInstalled=0 and IsHidden=0'); @($r.Updates | ForEach-Object { [pscustomobject]@{"
    "id=$_.Identity.UpdateID; revision=$_.Identity.RevisionNumber; title=$_.Title; kb=@($_.KBArticleIDs);"
    "cves=@($_.CveIDs); severity=$_.MsrcSeverity; categories=@($_.Categories | ForEach-Object {$_.Name}) } })"
    " | ConvertTo-Json -Compress -Depth 4"
)
_REBOOT = (
    "@('HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Component Based Servicing\\RebootPending',"
    "'HKLM:\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\WindowsUpdate\\Auto Update\\RebootRequired')"
    " | Where-Object { Test-Path $_ } | ForEach-Object { Split-Path $_ -Leaf }"
)
_DISKS = (
    "@(Get-CimInstance Win32_LogicalDisk -Filter 'DriveType=3' | Select-Object DeviceID,Size,FreeSpace)"
    " | ConvertTo-Json -Compress"
)


class Windows:
    """platforms/contract.py for Windows."""

    name = "windows"
    shell = "powershell"
    signatures: ClassVar[Sequence[Signature]] = (
        Signature("update-access-denied", "access", "0x80070005", "Windows Update refused access (0x80070005)"),
        Signature("no-space", "disk", "0x80070070", "no space left for the update (0x80070070)"),
        Signature("update-server-unreachable", "repository", "0x8024402C", "the update server does not answer "
                  "(0x8024402C)", transient=True),
    )  # fmt: skip
    adjustments: tuple[str, ...] = ()

    def matches(self, os: OsRelease) -> bool:
        return os.family == "windows"

    def probes(self, refresh: str) -> Sequence[Probe]:
        online = f"$s.Online = ${str(refresh != 'never').lower()}; "
        return (
            Probe("windows.os", _OS, timeout=60, pending=True),
            Probe("windows.hotfixes", _HOTFIXES, timeout=120),
            Probe("windows.pending", _PENDING.replace("ONLINE", online), root=True, timeout=600, pending=True),
            Probe("windows.reboot", _REBOOT, timeout=30),
            Probe("windows.disks", _DISKS, timeout=30, volatile=True),
        )

    def read(self, snapshot: Snapshot) -> HostFacts:
        unknown: dict[str, str] = {}
        system = _load(snapshot, "windows.os", "kernel", unknown)
        hotfixes = _load(snapshot, "windows.hotfixes", "packages", unknown)
        pending = _load(snapshot, "windows.pending", "updates", unknown)
        disks = _load(snapshot, "windows.disks", "file_systems", unknown)
        first = system[0] if system else {}
        for field in ("held", "broken", "metadata_age"):
            unknown[field] = "not collected on Windows yet"
        return HostFacts(
            os=read_os(snapshot), kernel=_text(first, "Version"), boot_id=_text(first, "Boot"),
            arch=_text(first, "OSArchitecture"),
            packages=None if hotfixes is None else tuple(Package(_text(x, "HotFixID"), "", "") for x in hotfixes),
            updates=None if pending is None else tuple(_update(x) for x in pending),
            reboot=_reboot(snapshot, unknown),
            file_systems=None if disks is None else tuple(
                FileSystem(_text(x, "DeviceID"), int(x.get("Size") or 0), int(x.get("FreeSpace") or 0)) for x in disks
            ),
            unknown=tuple(unknown.items()),
        )  # fmt: skip

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        # Windows updates bring what they need themselves: the answer to "what else" is the list of what is pending.
        return Probe("windows.resolve", _PENDING.replace("ONLINE", ""), root=True, timeout=600, pending=True)

    def read_resolution(self, output: str) -> HostFacts:
        found = _json_list(output)
        if found is None:
            return HostFacts(unknown=(("updates", "the host's answer is not JSON"),))
        return HostFacts(updates=tuple(_update(x) for x in found))

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        names = ",".join(quote_powershell(name) for name in sorted(set(packages)))
        text = f"Get-HotFix | Where-Object {{ @({names}) -contains $_.HotFixID }} "
        text += "| ForEach-Object { $_.HotFixID + ': 1' }"
        return Probe("windows.fingerprint", text, timeout=120)

    def lock_probe(self) -> Probe | None:
        return None

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return "".join(f"'miss {a.sha256} Windows fetches its own updates'\n" for a in artefacts)

    def install_script(self, request: InstallRequest) -> str:
        return "'patchctl: step refused'; 'installing on Windows is not built yet'; exit 1\n"


def read_os(snapshot: Snapshot) -> OsRelease:
    """Return what windows.os says; an empty OsRelease when it could not be read."""
    found = _json_list(snapshot.output("windows.os") or "")
    if not found:
        return OsRelease()
    return OsRelease("windows", _text(found[0], "BuildNumber"), "windows", "", _text(found[0], "Caption"))


def _load(snapshot: Snapshot, probe: str, field: str, unknown: dict[str, str]) -> list[dict[str, Any]] | None:
    output = snapshot.output(probe)
    found = _json_list(output) if output is not None else None
    if found is None:
        unknown[field] = snapshot.reason(probe) or f"{probe} gave no JSON"
    return found


def _json_list(text: str) -> list[dict[str, Any]] | None:
    """Read ConvertTo-Json output, which writes a list of one as that one and an empty list as nothing."""
    if not text.strip():
        return []
    try:
        data = json.loads(text)
    except ValueError:
        return None
    items = data if isinstance(data, list) else [data]
    return items if all(isinstance(x, dict) for x in items) else None


def _update(item: dict[str, Any]) -> Update:
    kbs = [f"KB{x}" for x in item.get("kb") or () if str(x).isdigit()]
    categories = {str(c) for c in item.get("categories") or ()}
    return Update(
        kbs[0] if kbs else _text(item, "id"), "", "", f"{_text(item, 'id')}.{_text(item, 'revision')}",
        "Windows Update",
        "Security Updates" in categories, "upgradable", _text(item, "title"),
        cves=tuple(one_line(str(c), 30) for c in item.get("cves") or ()), severity=_text(item, "severity").lower(),
    )  # fmt: skip


def _reboot(snapshot: Snapshot, unknown: dict[str, str]) -> RebootNeed:
    output = snapshot.output("windows.reboot")
    if output is None:
        unknown["reboot"] = snapshot.reason("windows.reboot")
        return RebootNeed(None)
    reasons = tuple(f"registry key {one_line(x, 60)}" for x in output.splitlines() if x.strip())
    return RebootNeed(bool(reasons), reasons)


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key)
    return "" if value is None else one_line(str(value), 200)


PLATFORM = Windows()
