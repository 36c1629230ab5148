r"""How check types repair Windows hosts by PowerShell: texts for collect/fixing_windows.py. Never run on Windows.

Each gets a folder of its own as $Folder. Before the line `# change` it only reads, and writes $Folder\restore.ps1,
which puts back what it found. Programs: learn.microsoft.com, "secedit", "auditpol", "net user", "sc.exe config",
"Set-NetFirewallProfile".
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
$old = "$((Get-NetFirewallProfile -Name $profile -PolicyStore PersistentStore).$property)"
[IO.File]::WriteAllText("$Folder\restore.ps1",
  "`$ErrorActionPreference = 'Stop'; `$set = @{ $property = '$old' }; Set-NetFirewallProfile -Name $profile @set")
# change
$set = @{ $property = $value }
Set-NetFirewallProfile -Name $profile @set
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


def repair_by(text: str, what: str, value: str, place: str, shown: str) -> Remediation:
    """Return the remediation that makes the value at `place` what `shown` says."""
    head = f"$what, $value = {quote_powershell(what)}, {quote_powershell(value)}"
    return Remediation("declarative", f"{head}{text}", sets=((place, shown),))
