r"""PowerShell text that runs other PowerShell text as SYSTEM and prints what it printed. Never run on Windows.

The Windows Update Agent refuses callers that came over the network (0x80070005; learn.microsoft.com, "Using WUA from a
remote computer"). So the text goes into a file that only SYSTEM and Administrators may read or change, a scheduled task
runs it, and its lines come back through another file. Task and files are gone afterwards, also when it took too long.
Functions of modules (ScheduledTasks is one) do not see a script's $ErrorActionPreference: each call says -ErrorAction.
"""

from __future__ import annotations

from patchctl.model.text import quote_powershell

_WRAPPER = r"""& {
$ErrorActionPreference = 'Stop'
$body = @BODY@
if ([Security.Principal.WindowsIdentity]::GetCurrent().User.Value -eq 'S-1-5-18') {
  & ([scriptblock]::Create($body)); return
}
$base = [Environment]::GetFolderPath('CommonApplicationData') + '\patchctl'
$acl = New-Object Security.AccessControl.DirectorySecurity
$acl.SetSecurityDescriptorSddlForm('O:BAG:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
[void][IO.Directory]::CreateDirectory($base, $acl)
$owner = (Get-Acl -LiteralPath $base).GetOwner([Security.Principal.SecurityIdentifier]).Value
if (@('S-1-5-18', 'S-1-5-32-544') -notcontains $owner) { throw "$base belongs to $owner" }
$name = 'ask-' + [Guid]::NewGuid().ToString('N')
$folder = "$base\$name"
# A question that was cut off may have left its folder: not one that is in use.
Get-ChildItem -LiteralPath $base -Directory -Filter 'ask-*' |
  Where-Object { $_.LastWriteTimeUtc -lt [DateTime]::UtcNow.AddDays(-1) } | Remove-Item -Recurse -Force
[void][IO.Directory]::CreateDirectory($folder)
try {
  $text = "`$said = & {`n" + $body + "`n}`n" +
    "[IO.File]::WriteAllLines(`"`$PSScriptRoot\said.new`", [string[]]@(`$said))`n" +
    "[IO.File]::Move(`"`$PSScriptRoot\said.new`", `"`$PSScriptRoot\said`")`n"
  [IO.File]::WriteAllText("$folder\ask.ps1", $text, (New-Object Text.UTF8Encoding $true))
  $action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe" `
    -Argument "-NoProfile -NonInteractive -ExecutionPolicy Bypass -File `"$folder\ask.ps1`"" -ErrorAction Stop
  $who = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest -ErrorAction Stop
  $how = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
    -ExecutionTimeLimit (New-TimeSpan -Seconds @SECONDS@) -ErrorAction Stop
  [void](Register-ScheduledTask -TaskPath '\patchctl\' -TaskName $name -Action $action -Principal $who -Settings $how `
    -ErrorAction Stop)
  Start-ScheduledTask -TaskPath '\patchctl\' -TaskName $name -ErrorAction Stop
  $deadline = (Get-Date).AddSeconds(@SECONDS@)
  while (-not [IO.File]::Exists("$folder\said") -and (Get-Date) -lt $deadline) { Start-Sleep -Milliseconds 500 }
  if ([IO.File]::Exists("$folder\said")) { [IO.File]::ReadAllLines("$folder\said") }
  else { "patchctl: task-timeout no result after @SECONDS@ s" }
} finally {
  Stop-ScheduledTask -TaskPath '\patchctl\' -TaskName $name -ErrorAction SilentlyContinue
  Unregister-ScheduledTask -TaskPath '\patchctl\' -TaskName $name -Confirm:$false -ErrorAction SilentlyContinue
  Remove-Item -LiteralPath $folder -Recurse -Force -ErrorAction SilentlyContinue
}
}
"""


def as_system(body: str, seconds: int) -> str:
    """Given PowerShell text whose output is lines, return text that runs it as SYSTEM within so many seconds."""
    return _WRAPPER.replace("@SECONDS@", str(int(seconds))).replace("@BODY@", quote_powershell(body))
