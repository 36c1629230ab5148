r"""PowerShell texts for the Windows Update Agent's COM API: search, and install exactly what was approved.

Both run as SYSTEM (system_task.py, or inside an attempt). API: learn.microsoft.com, "Windows Update Agent API"
(IUpdateSearcher, IUpdateDownloader, IUpdateInstaller2). Never run on Windows.

The search prints JSON lines: {"kind": "search", ...}, {"kind": "update", ...}, {"kind": "history", ...}; what fails is
a line `patchctl: hresult WHAT 0xNNNNNNNN`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.model.errors import UsageError
from patchctl.model.plan import Change
from patchctl.model.text import quote_powershell

CAB = "wsusscn2.cab"
r"""Microsoft's offline catalogue: where somebody put it into %ProgramData%\patchctl, searches use it alone."""
_IDENTITY = re.compile(r"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})\.(\d{1,9})")

_START = r"""
$ErrorActionPreference = 'Stop'
function Get-Code($failure) {
  $cause = $failure.Exception
  while ($cause.InnerException) { $cause = $cause.InnerException }
  return '0x{0:X8}' -f $cause.HResult
}
function Get-Unix($when) {
  if (-not $when) { return $null }
  return [long](([DateTime]$when - [DateTime]'1970-01-01').TotalSeconds)
}
$session = New-Object -ComObject Microsoft.Update.Session
$session.ClientApplicationID = 'patchctl'
$searcher = $session.CreateUpdateSearcher()
$source = 'as configured on the host'
$cab = [Environment]::GetFolderPath('CommonApplicationData') + '\patchctl\wsusscn2.cab'
"""

# ServerSelection: 0 as configured, 1 the managed server (WSUS), 2 Windows Update, 3 another service by its id.
_OFFLINE = r"""
if ([IO.File]::Exists($cab)) {
  $manager = New-Object -ComObject Microsoft.Update.ServiceManager
  $service = $manager.AddScanPackageService('patchctl offline catalogue', $cab, 1)
  $searcher.ServerSelection = 3
  $searcher.ServiceID = $service.ServiceID
  $source = 'wsusscn2.cab of ' + [IO.File]::GetLastWriteTimeUtc($cab).ToString('yyyy-MM-dd')
}
"""

_SEARCH = r"""
try {
  $searcher.Online = $@ONLINE@
  $found = $searcher.Search('IsInstalled=0 or IsInstalled=1')
} catch { "patchctl: hresult search $(Get-Code $_)"; return }
$last = $null; $installed = $null
try {
  $results = (New-Object -ComObject Microsoft.Update.AutoUpdate).Results
  $last = Get-Unix $results.LastSearchSuccessDate
  $installed = Get-Unix $results.LastInstallationSuccessDate
} catch { $last = $null }  # a host that never searched has no date
[pscustomobject]@{
  kind = 'search'; online = $searcher.Online; source = $source; result = [int]$found.ResultCode
  now = Get-Unix ([DateTime]::UtcNow); last_search = $last; last_install = $installed
} | ConvertTo-Json -Compress
foreach ($update in $found.Updates) {
  [pscustomobject]@{
    kind = 'update'; id = $update.Identity.UpdateID; revision = $update.Identity.RevisionNumber; title = $update.Title
    kb = @($update.KBArticleIDs | ForEach-Object { "$_" }); cves = @($update.CveIDs | ForEach-Object { "$_" })
    severity = "$($update.MsrcSeverity)"; categories = @($update.Categories | ForEach-Object { $_.Name })
    category_ids = @($update.Categories | ForEach-Object { $_.CategoryID })
    installed = [bool]$update.IsInstalled; hidden = [bool]$update.IsHidden; browse_only = [bool]$update.BrowseOnly
    downloaded = [bool]$update.IsDownloaded; size = [long]$update.MaxDownloadSize
    uninstallable = [bool]$update.IsUninstallable
    input = [bool]$update.InstallationBehavior.CanRequestUserInput
    reboot = [int]$update.InstallationBehavior.RebootBehavior; changed = Get-Unix $update.LastDeploymentChangeTime
  } | ConvertTo-Json -Compress -Depth 4
}
$count = $searcher.GetTotalHistoryCount()
if ($count -gt 0) {
  foreach ($entry in $searcher.QueryHistory(0, [Math]::Min($count, 300))) {
    if ([int]$entry.Operation -ne 1) { continue }
    [pscustomobject]@{
      kind = 'history'; id = $entry.UpdateIdentity.UpdateID; revision = $entry.UpdateIdentity.RevisionNumber
      result = [int]$entry.ResultCode; hresult = '0x{0:X8}' -f $entry.HResult; at = Get-Unix $entry.Date
    } | ConvertTo-Json -Compress
  }
}
"""

_INSTALL = r"""
function Get-Result($what, $answer) {
  "patchctl: result $what code=$([int]$answer.ResultCode)"
  if ([int]$answer.ResultCode -ne 2) { "patchctl: hresult $what $('0x{0:X8}' -f $answer.HResult)" }
}
'patchctl: step search'
$set = New-Object -ComObject Microsoft.Update.UpdateColl
$names = @()
foreach ($line in $wanted) {
  $name, $id, $revision = $line -split ' '
  try { $found = $searcher.Search("UpdateID='$id' and RevisionNumber=$revision") }
  catch { "patchctl: hresult search $(Get-Code $_)"; exit 1 }
  if ($found.Updates.Count -ne 1) { "patchctl: not-offered $name"; exit 1 }
  $update = $found.Updates.Item(0)
  if ($update.IsInstalled) { "patchctl: already $name"; continue }
  if ($update.InstallationBehavior.CanRequestUserInput) { "patchctl: asks-questions $name"; exit 1 }
  if (-not $update.EulaAccepted) { $update.AcceptEula() }
  [void]$set.Add($update)
  $names += $name
}
if ($set.Count -eq 0) { 'patchctl: step nothing to do'; exit 0 }
$installer = $session.CreateUpdateInstaller()
if ($installer.IsBusy) { 'patchctl: hresult installer 0x80240016'; exit 1 }
if ($installer.RebootRequiredBeforeInstallation) { 'patchctl: reboot-first'; exit 1 }
'patchctl: step download'
$downloader = $session.CreateUpdateDownloader()
$downloader.Updates = $set
try { $answer = $downloader.Download() } catch { "patchctl: hresult download $(Get-Code $_)"; exit 1 }
for ($i = 0; $i -lt $set.Count; $i++) {
  if (-not $set.Item($i).IsDownloaded) { Get-Result $names[$i] ($answer.GetUpdateResult($i)); exit 1 }
}
'patchctl: step install'
$installer.Updates = $set
$installer.AllowSourcePrompts = $false
$installer.ForceQuiet = $true
try { $answer = $installer.Install() } catch { "patchctl: hresult install $(Get-Code $_)"; exit 1 }
$bad = 0
for ($i = 0; $i -lt $set.Count; $i++) {
  $one = $answer.GetUpdateResult($i)
  Get-Result $names[$i] $one
  if ([int]$one.ResultCode -ne 2) { $bad = 1 }
}
if ($answer.RebootRequired) { 'patchctl: reboot-required' }
exit $bad
"""


def search_text(*, online: bool) -> str:
    """Return the search for everything that is installed or offered, and the history of installations."""
    return _START + _OFFLINE + _SEARCH.replace("@ONLINE@", "true" if online else "false")


def install_text(changes: Sequence[Change]) -> str:
    """Return what downloads and installs exactly these update ids and revisions; exit code 0 = all succeeded.

    Whatever is not offered any more in the planned revision stops it before anything is changed. Raise UsageError for
    a change that names no update id and revision.
    """
    lines = []
    for change in changes:
        found = _IDENTITY.fullmatch(change.to_version)
        if found is None:
            raise UsageError("invalid-name", f"{change.package} {change.to_version!r} is no update id and revision", "")
        name = re.sub(r"[^A-Za-z0-9~._-]", "-", change.package)
        lines.append(quote_powershell(f"{name} {found[1]} {found[2]}"))
    return f"$wanted = @({', '.join(lines)})\n{_START}{_OFFLINE}$searcher.Online = $true\n{_INSTALL}"
