"""What is asked of a Windows host, all in one script: registry keys by reg.exe, the rest by CIM and the update agent.

`reg query` of a key that is not there ends with 1 and prints nothing on stdout: that is an answer. Probes print lines
of text. Never run on Windows; `reg query`, `sc` and `net` were run on Wine.
"""

from __future__ import annotations

from patchctl.model.evidence import Probe
from patchctl.platforms.windows.system_task import as_system
from patchctl.platforms.windows.update_agent import search_text

SEARCH_TIME = 540
"""Seconds for a search: a client that has not searched for long takes minutes."""

_VERSION = r"reg.exe query 'HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion'"
_BOOT = (
    "$c = [Globalization.CultureInfo]::InvariantCulture; "
    "$f = Get-CimInstance Win32_Process -Filter \"Name='smss.exe'\" | Sort-Object CreationDate | "
    "Select-Object -First 1; $f.CreationDate.ToUniversalTime().ToString(\"yyyyMMdd'T'HHmmss'.'ffffff'Z'\", $c); "
    "(Get-CimInstance Win32_OperatingSystem).LastBootUpTime.ToUniversalTime().ToString('s', $c)"
)
UNINSTALL = r"Microsoft\Windows\CurrentVersion\Uninstall"
_PROGRAMS = rf"""
'@@ 64'; reg.exe query 'HKLM\SOFTWARE\{UNINSTALL}' /s /reg:64
'@@ 32'; reg.exe query 'HKLM\SOFTWARE\{UNINSTALL}' /s /reg:32
'@@ user'
foreach ($hive in @(reg.exe query HKU)) {{
  if ($hive -match '^HKEY_USERS\\S-1-(5-21|12-1)-[0-9-]+$') {{ reg.exe query "$hive\SOFTWARE\{UNINSTALL}" /s }}
}}
$global:LASTEXITCODE = 0
"""
_CBS = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing"
PENDING_KEYS: tuple[tuple[str, str], ...] = (
    ("cbs", rf"{_CBS}\RebootPending"),
    ("cbs-in-progress", rf"{_CBS}\RebootInProgress"),
    ("cbs-packages", rf"{_CBS}\PackagesPending"),
    ("update-agent", r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired"),
    ("roles", r"HKLM\SOFTWARE\Microsoft\ServerManager\ServicingStorage\ServerComponentCache\RestartRequired"),
)
"""(word, key): the key's existence means that a reboot is pending. The keys that reboot checks commonly read."""
PENDING_VALUES: tuple[tuple[str, str, str], ...] = (
    ("files", r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager", "PendingFileRenameOperations"),
    ("name-now", r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ActiveComputerName", "ComputerName"),
    ("name-next", r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName", "ComputerName"),
    ("servicing", rf"{_CBS}\Interface", "ServicingInProgress"),
)
_REBOOT = "\n".join([
    *(f"'@@ {word}'; reg.exe query '{key}'" for word, key in PENDING_KEYS),
    *(f"'@@ {word}'; reg.exe query '{key}' /v {name}" for word, key, name in PENDING_VALUES),
    "'@@ end'", "$global:LASTEXITCODE = 0",
])  # fmt: skip
_SETTINGS = r"""
'@@ policy'; reg.exe query 'HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate' /s
'@@ managers'
foreach ($name in @('CcmExec', 'IntuneManagementExtension', 'TaniumClient')) { sc.exe query $name }
'@@ end'
$global:LASTEXITCODE = 0
"""
_SERVICES = (
    "Get-CimInstance Win32_Service | ForEach-Object { "
    "$_ | Select-Object Name,StartMode,State,ExitCode,StartName | ConvertTo-Json -Compress }"
)
_FEATURES = (
    "Get-CimInstance Win32_OptionalFeature -Filter 'InstallState=1' | ForEach-Object { $_.Name }"
)
_USERS = (
    "Get-CimInstance Win32_UserAccount -Filter 'LocalAccount=True' | ForEach-Object { "
    "$_ | Select-Object Name,SID,Disabled,PasswordRequired | ConvertTo-Json -Compress }"
)
_DISKS = (
    "Get-CimInstance Win32_LogicalDisk -Filter 'DriveType=3' | ForEach-Object { "
    "$_ | Select-Object DeviceID,Size,FreeSpace | ConvertTo-Json -Compress }"
)
_HOTFIXES = "Get-CimInstance Win32_QuickFixEngineering | ForEach-Object { $_.HotFixID }"
_CLOCK = "[long](([DateTime]::UtcNow - [DateTime]'1970-01-01').TotalSeconds)"


def probes(refresh: str) -> tuple[Probe, ...]:
    """Return the probes of a scan. refresh never: the update agent answers from what it knows, without asking."""
    search = as_system(search_text(online=refresh != "never"), SEARCH_TIME)
    return (
        Probe("windows.clock", _CLOCK, timeout=10, volatile=True, pending=True),
        Probe("windows.os", _VERSION, timeout=30, pending=True),
        Probe("windows.updates", search, root=True, timeout=600, cap=16 * 1024 * 1024, pending=True),
        Probe("windows.reboot", _REBOOT, root=True, timeout=60, pending=True),
        Probe("windows.programs", _PROGRAMS, root=True, timeout=120, cap=16 * 1024 * 1024, pending=True),
        Probe("windows.boot", _BOOT, timeout=60),
        Probe("windows.hotfixes", _HOTFIXES, timeout=120),
        Probe("windows.settings", _SETTINGS, root=True, timeout=60),
        Probe("windows.services", _SERVICES, root=True, timeout=60),
        Probe("windows.features", _FEATURES, root=True, timeout=120),
        Probe("windows.users", _USERS, root=True, timeout=60),
        Probe("windows.disks", _DISKS, timeout=30, volatile=True),
    )
