r"""Where a Windows host's earlier versions can be had, and which updates can be taken off again. Never run on Windows.

Windows Installer keeps a copy of every package it installed (ProductInfo's LocalPackage), whole where the package holds
its own cabinets: its version is the one to go back to. Of updates, component servicing knows whether they are permanent
once they are there (the attribute `permanence` of the package's manifest below %SystemRoot%\servicing\Packages), and
the update agent before that (IUpdate.IsUninstallable). Nothing is fetched or changed.

Lines: `file|NAME|VERSION|ARCH|SHA256|SIZE`, `parts|NAME|VERSION` (its cabinets are elsewhere),
`update|NAME|removable, permanent, superseded, refused or unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_powershell, strip_control
from patchctl.platforms.windows.names import IDENTITY
from patchctl.platforms.windows.probes import UNINSTALL
from patchctl.platforms.windows.system_task import as_system
from patchctl.platforms.windows.update_agent import search_text

CACHED = "in Windows Installer's package cache"

SERVICING = r"""
function Get-Servicing([string]$kb) {
  foreach ($file in [IO.Directory]::GetFiles("$env:SystemRoot\servicing\Packages", 'Package_for_*.mum')) {
    $package = ([xml][IO.File]::ReadAllText($file)).assembly.package
    if (-not $package -or $package.identifier -ne $kb) { continue }
    $identity = [IO.Path]::GetFileNameWithoutExtension($file)
    $state = "$((Get-WindowsPackage -Online -PackageName $identity).PackageState)"
    if (@('Installed', 'InstallPending', 'Superseded') -notcontains $state) { continue }
    [pscustomobject]@{ Identity = $identity; State = $state; Permanent = $package.permanence -eq 'permanent' }
  }
}
"""
"""Given a KB number, what component servicing has of that update. PackageState: learn.microsoft.com, "DISM API"."""

_FILES = r"""
function Get-Property($object, [string]$name, $arguments) {
  return $object.GetType().InvokeMember($name, 'GetProperty', $null, $object, $arguments)
}
function Invoke-Method($object, [string]$name, $arguments) {
  return $object.GetType().InvokeMember($name, 'InvokeMethod', $null, $object, $arguments)
}
function Test-Whole($installer, [string]$path) {
  $database = Invoke-Method $installer 'OpenDatabase' @($path, 0)
  $view = Invoke-Method $database 'OpenView' @('SELECT `Cabinet` FROM `Media`')
  [void](Invoke-Method $view 'Execute' $null)
  while ($record = Invoke-Method $view 'Fetch' $null) {
    if (-not "$(Get-Property $record 'StringData' @(1))".StartsWith('#')) { return $false }
  }
  return $true
}
$installer = New-Object -ComObject WindowsInstaller.Installer
foreach ($view in @(@('x64', 'HKLM:\SOFTWARE\@KEY@'), @('x86', 'HKLM:\SOFTWARE\WOW6432Node\@KEY@'))) {
  foreach ($item in @(Get-ItemProperty -Path "$($view[1])\{*}" -ErrorAction SilentlyContinue)) {
    if (-not $item.DisplayName -or -not $item.DisplayVersion) { continue }
    $version = "$($item.DisplayVersion)"
    $name = $item.DisplayName.Replace($version, '')
    $name = $name -replace '\s*\(?\b(?:x64|x86|amd64|arm64|64-bit|32-bit)\b(?: edition)?\)?', ''
    $name = ($name.Trim() -replace '[\s:]+', '-').Trim('-')
    if ($files -notcontains "$name|$version|$($view[0])") { continue }
    try {
      $path = "$(Get-Property $installer 'ProductInfo' @($item.PSChildName, 'LocalPackage'))"
      if (-not $path -or -not [IO.File]::Exists($path)) { continue }
      if (-not (Test-Whole $installer $path)) { "parts|$name|$version"; continue }
      $sum = (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash
      "file|$name|$version|$($view[0])|$sum|$((New-Object IO.FileInfo $path).Length)"
    } catch { "error|$name|$version|$_" }
  }
}
"""
_UPDATES = r"""
$listed = @(& ([scriptblock]::Create($search)) | Where-Object { $_.StartsWith('{') } | ForEach-Object {
  ConvertFrom-Json $_
} | Where-Object { $_.kind -eq 'update' })
foreach ($line in $updates) {
  $name, $kb, $id = $line -split '\|'
  $here = @(Get-Servicing $kb)
  $offer = @($listed | Where-Object { if ($id) { $_.id -eq $id } else { @($_.kb) -contains $kb.Substring(2) } })
  $word = 'unknown'
  if ($here.Count) {
    $word = 'removable'
    if (@($here | Where-Object { $_.State -eq 'Superseded' }).Count) { $word = 'superseded' }
    if (@($here | Where-Object { $_.Permanent }).Count) { $word = 'permanent' }
  } elseif ($offer.Count) {
    $word = 'refused'
    if (@($offer | Where-Object { $_.uninstallable }).Count -eq $offer.Count) { $word = 'removable' }
  }
  "update|$name|$word"
}
"""
_FILE = re.compile(r"file\|([^|]+)\|([^|]+)\|(x64|x86)\|([0-9A-Fa-f]{64})\|(\d{1,12})")
_WHY = {
    "removable": "", "permanent": "Windows calls it permanent: it cannot be uninstalled",
    "superseded": "a later update has superseded it: it cannot be uninstalled alone",
    "refused": "Windows Update says that it cannot be uninstalled",
}


def command(changes: Sequence[Change]) -> str:
    """Return PowerShell that prints what of the changes can be taken back; the update agent asks nobody for it."""
    files = [f"{c.package}|{c.from_version}|{c.arch}" for c in changes if c.from_version and not c.carrier]
    updates = [
        f"{c.package}|{kb_of(c.package)}|{found[0] if (found := IDENTITY.match(c.to_version)) else ''}"
        for c in changes if not c.from_version and kb_of(c.package)
    ]
    text = f"$files = @({_list(files)})\n$updates = @({_list(updates)})\n"
    if files:
        text += _FILES.replace("@KEY@", UNINSTALL)
    if updates:
        text += f"$search = {quote_powershell(as_system(search_text(online=False), 540))}\n{SERVICING}{_UPDATES}"
    return text


def read(changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
    """Read the files of earlier versions that the host has."""
    wanted = {(c.package, c.from_version, c.arch) for c in changes if c.from_version}
    found = (_FILE.fullmatch(line.strip()) for line in strip_control(output).splitlines())
    return tuple(
        Artefact(m[1], m[2], m[3], m[4].lower(), int(m[5]), _file_name(m[1], m[2]), "", CACHED)
        for m in found if m and (m[1], m[2], m[3]) in wanted
    )  # fmt: skip


def read_removable(changes: Sequence[Change], output: str) -> dict[str, str]:
    """Return why each update would stay, "" where it can be taken off again; those of which nothing is known are not
    returned.
    """
    said = dict(line.strip().split("|")[1:] for line in output.splitlines() if re.fullmatch(
        r"update\|[^|]+\|[a-z]+", line.strip()))  # fmt: skip
    found = {c.package: _WHY[said[c.package]] for c in changes if said.get(c.package) in _WHY}
    drivers = [c.package for c in changes if c.carrier and not c.from_version and not kb_of(c.package)]
    return found | dict.fromkeys(drivers, "an update without a KB number (a driver): it is not taken off by patchctl")


def why_stays(artefact: Artefact) -> str:
    """Return why the version in this file could not be taken off again, or ""."""
    kind = artefact.filename.rpartition(".")[2].lower()
    if kind == "msi" or artefact.uninstall:
        return ""
    if kind == "exe":
        return f"the policy names no uninstall command for {artefact.filename}"
    return f"nobody says that {artefact.filename} can be uninstalled (uninstall: dism, once it was tried)"


def kb_of(package: str) -> str:
    """Return the KB number of an update's name here (names.update_name), or ""."""
    found = re.fullmatch(r"(KB\d{4,8})(?:~[0-9a-fA-F]{8})?", package)
    return found[1] if found else ""


def _file_name(name: str, version: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+~-]", "-", f"{name}-{version}").lstrip("._+~-")[:150] + ".msi"


def _list(items: Sequence[str]) -> str:
    return ", ".join(map(quote_powershell, items))
