r"""How check types repair Windows hosts by PowerShell: texts for collect/fixing_windows.py. Never run on Windows.

Each gets a folder of its own as $Folder. Before the line `# change` it only reads, and writes $Folder\restore.ps1,
which puts back what it found. Programs: learn.microsoft.com, "secedit", "auditpol", "net user", "sc.exe config",
"Set-NetFirewallProfile", "Set-MpPreference", "Remove-LocalGroupMember", "Disable-WindowsOptionalFeature",
"New-SmbShare", "Resume-BitLocker".
"""

from __future__ import annotations

from patchctl.model.assessment import Remediation
from patchctl.model.text import quote_powershell

POLICY = r"""
$tool = "$env:SystemRoot\System32\secedit.exe"
$head = "[Unicode]`r`nUnicode=yes`r`n[Version]`r`nsignature=`"`$CHICAGO`$`"`r`nRevision=1`r`n[@SECTION@]`r`n"
& $tool /export /cfg "$Folder\before.inf" /quiet
if ($LASTEXITCODE -ne 0) { throw "secedit /export ended with $LASTEXITCODE" }
$old = @([IO.File]::ReadAllLines("$Folder\before.inf") | Where-Object { $_ -match "^$what\s*=" })
if ($old.Count) { $old = $old[0] } elseif ($what -clike 'Se*') { $old = "$what =" } else { $old = '' }
[IO.File]::WriteAllText("$Folder\back.inf", "$head$old`r`n", [Text.Encoding]::Unicode)
[IO.File]::WriteAllText("$Folder\set.inf", "$head$what = $value`r`n", [Text.Encoding]::Unicode)
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "& '$tool' /configure /db `"`$PSScriptRoot\back.sdb`" /cfg `"`$PSScriptRoot\back.inf`" /quiet; exit `$LASTEXITCODE")
# change
& $tool /configure /db "$Folder\set.sdb" /cfg "$Folder\set.inf" /quiet
if ($LASTEXITCODE -ne 0) { throw "secedit /configure ended with $LASTEXITCODE" }
"""
"""$what is the setting, $value what it becomes: SIDs with a star before each for rights."""

AUDIT = r"""
$tool = "$env:SystemRoot\System32\auditpol.exe"
& $tool /backup "/file:$Folder\before.csv"
if ($LASTEXITCODE -ne 0) { throw "auditpol /backup ended with $LASTEXITCODE" }
$row = @([IO.File]::ReadAllLines("$Folder\before.csv") | Where-Object { $_ -like "*$what*" })
if ($row.Count -ne 1) { throw "auditpol does not list $what" }
$old = [int]($row[0] -split ',')[6]
$words = @('/success:disable /failure:disable', '/success:enable /failure:disable', '/success:disable /failure:enable',
  '/success:enable /failure:enable')
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "& '$tool' /set '/subcategory:{$what}' $($words[$old]); exit `$LASTEXITCODE")
# change
$flags = $words[[int]$value] -split ' '
& $tool /set "/subcategory:{$what}" $flags[0] $flags[1]
if ($LASTEXITCODE -ne 0) { throw "auditpol /set ended with $LASTEXITCODE" }
"""
"""$what is the subcategory's GUID, $value 0 none, 1 success, 2 failure, 3 both."""

FIREWALL = r"""
$profile, $property = $what -split ' '
$old = "$((Get-NetFirewallProfile -Name $profile -PolicyStore PersistentStore -ErrorAction Stop).$property)"
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "`$set = @{ $property = '$old' }; Set-NetFirewallProfile -Name $profile -ErrorAction Stop @set")
# change
$set = @{ $property = $value }
Set-NetFirewallProfile -Name $profile -ErrorAction Stop @set
"""
"""$what is the profile and the property."""

ACCOUNT = r"""
$rid, $property = $what -split ' '
$found = @(Get-CimInstance Win32_UserAccount -Filter 'LocalAccount=True' | Where-Object { $_.SID -like "*-$rid" })
if ($found.Count -ne 1) { throw "no local account has the number $rid" }
$words = @{ 'Disabled True' = '/active:no'; 'Disabled False' = '/active:yes'
  'PasswordRequired True' = '/passwordreq:yes'; 'PasswordRequired False' = '/passwordreq:no' }
$name = $found[0].Name.Replace("'", "''")
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "& net.exe user '$name' $($words["$property $($found[0].$property)"]); exit `$LASTEXITCODE")
# change
& net.exe user $found[0].Name $words["$property $value"]
if ($LASTEXITCODE -ne 0) { throw "net user ended with $LASTEXITCODE" }
"""
"""$what is the last number of the SID, and Disabled or PasswordRequired."""

SERVICE = r"""
$found = Get-CimInstance Win32_Service -Filter "Name='$what'"
$words = @{ Auto = 'auto'; Manual = 'demand'; Disabled = 'disabled'; Boot = 'boot'; System = 'system' }
if ($found) {
  $text = "& sc.exe config '$what' start= $($words[$found.StartMode])"
  if ($found.State -eq 'Running') { $text += "; & sc.exe start '$what'" }
  [IO.File]::WriteAllText("$Folder\restore.ps1", "$text; exit `$LASTEXITCODE")
  # change
  & sc.exe config $what start= $value
  if ($LASTEXITCODE -ne 0) { throw "sc config ended with $LASTEXITCODE" }
  if ($value -eq 'disabled' -and $found.State -eq 'Running') { Stop-Service -Name $what -Force }
}
"""
"""$what is the service's name, $value how it starts, in sc.exe's words."""


GROUP = r"""
$group, $how = $what -split ' '
$named = @($value -split ',' | Where-Object { $_ })
$here = @(Get-LocalGroupMember -SID $group -ErrorAction Stop | ForEach-Object { $_.SID.Value })
$come = @(if ($how -eq 'only') { $named | Where-Object { $here -notcontains $_ } })
$gone = @($here | Where-Object { ($named -contains $_) -eq ($how -eq 'without') })
$back = @("`$ErrorActionPreference = 'Stop'")
foreach ($one in $gone) { $back += "Add-LocalGroupMember -SID '$group' -Member '$one' -ErrorAction Stop" }
foreach ($one in $come) { $back += "Remove-LocalGroupMember -SID '$group' -Member '$one' -ErrorAction Stop" }
[IO.File]::WriteAllLines("$Folder\restore.ps1", [string[]]$back)
# change
foreach ($one in $come) { Add-LocalGroupMember -SID $group -Member $one -ErrorAction Stop }
foreach ($one in $gone) { Remove-LocalGroupMember -SID $group -Member $one -ErrorAction Stop }
"""
"""$what is the group's SID and `only` or `without`, $value the SIDs that are to be its members, or not."""

DEFENDER = r"""
$old = (Get-MpPreference -ErrorAction Stop).$what
if ($null -eq $old -or $old -is [array]) { throw "Defender has no single value for $what" }
$put = $value
if ($old -is [bool]) { $before = "`$$old"; $put = $value -eq 'True' }
else { $before = "'" + "$old".Replace("'", "''") + "'" }
[IO.File]::WriteAllText("$Folder\restore.ps1", "`$set = @{ $what = $before }; Set-MpPreference -ErrorAction Stop @set",
  (New-Object Text.UTF8Encoding $true))
# change
$set = @{ $what = $put }
Set-MpPreference -ErrorAction Stop @set
"""
"""$what is a preference. Where tamper protection is on, Defender ignores the change: the next assessment tells."""

FEATURE = r"""
$found = Get-CimInstance Win32_OptionalFeature -Filter "Name='$what'"
if (-not $found -or $found.InstallState -ne 1) { throw "$what is not on" }
[IO.File]::WriteAllText("$Folder\restore.ps1", "`$ErrorActionPreference = 'Stop'; " +
  "[void](Enable-WindowsOptionalFeature -Online -NoRestart -FeatureName '$what' -ErrorAction Stop)")
# change
$said = Disable-WindowsOptionalFeature -Online -NoRestart -FeatureName $what -ErrorAction Stop
if ($said.RestartNeeded) { 'patchctl: reboot-required' }
"""
"""$what is the feature. Its files stay, so that it can be turned on again."""

SHARE_REMOVAL = r"""
$old = @(Get-SmbShare -ErrorAction Stop | Where-Object { $_.Name -eq $what })
if ($old.Count -ne 1 -or $old[0].Special -or -not $old[0].Path) { throw "$what is no share that somebody made" }
$words = @{}
foreach ($name in @('Path', 'Description', 'SecurityDescriptor', 'FolderEnumerationMode', 'CachingMode')) {
  $words[$name] = "'" + "$($old[0].$name)".Replace("'", "''") + "'"
}
$set = @($words.GetEnumerator() | ForEach-Object { "$($_.Key) = $($_.Value)" }) -join '; '
[IO.File]::WriteAllText("$Folder\restore.ps1", "`$set = @{ $set }; " +
  "[void](New-SmbShare -Name '$what' -EncryptData `$$($old[0].EncryptData) -ErrorAction Stop @set)",
  (New-Object Text.UTF8Encoding $true))
# change
Remove-SmbShare -Name $what -Force -ErrorAction Stop
"""
"""$what is the share's name; the folder behind it stays as it is."""

SHARE_ENCRYPTION = r"""
$old = Get-SmbShare -Name $what -ErrorAction Stop
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "Set-SmbShare -Name '$what' -EncryptData `$$($old.EncryptData) -Force -ErrorAction Stop")
# change
Set-SmbShare -Name $what -EncryptData ($value -eq 'True') -Force -ErrorAction Stop
"""
"""$what is the share's name, $value True or False."""

BITLOCKER = r"""
$old = Get-BitLockerVolume -MountPoint $what -ErrorAction Stop
if ("$($old.VolumeStatus)" -ne 'FullyEncrypted') {
  throw "$what is not encrypted: turn BitLocker on by hand, when it is settled who keeps the recovery key"
}
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "[void](Suspend-BitLocker -MountPoint '$what' -RebootCount 0 -ErrorAction Stop)")
# change
[void](Resume-BitLocker -MountPoint $what -ErrorAction Stop)
"""
"""$what is the drive, as C:."""


def repair_by(text: str, what: str, value: str, place: str, shown: str) -> Remediation:
    """Return the remediation that makes the value at `place` what `shown` says."""
    head = f"$what, $value = {quote_powershell(what)}, {quote_powershell(value)}"
    return Remediation("declarative", f"{head}{text}", sets=((place, shown),))
