"""What the host runner for Windows does: one PowerShell body a request, and the batch file of an attempt.

Each body follows runner_windows_functions.FUNCTIONS in one block. Never run on Windows; the batch file was, by Wine.
"""

from __future__ import annotations

LOOK = r"""
$veto = Get-Veto
if ($veto) { Say "veto $veto" }
$fenced = Get-Fenced $true
if ($fenced) { Say "fenced $fenced" }
Say-Fence
if ([IO.Directory]::Exists($Runs)) {
  foreach ($dir in [IO.Directory]::GetDirectories($Runs)) {
    $attempt = [IO.Path]::GetFileName($dir)
    Say "attempt $attempt $((Get-State $attempt $false).State)"
  }
}
foreach ($wanted in $Paths) {
  $drive = New-Object IO.DriveInfo $env:SystemDrive
  if ($wanted -ne '/') { $drive = New-Object IO.DriveInfo ($Base.Substring(0, 2)) }
  Say "space $wanted $([long]($drive.AvailableFreeSpace / 1024)) $($drive.Name)"
}
# After a reboot the servicing stack may still be finishing updates: 0 and 1 mean that it does not.
$key = 'HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\Interface'
$servicing = (Get-ItemProperty -LiteralPath $key -ErrorAction SilentlyContinue).ServicingInProgress
if ($null -ne $servicing -and @(0, 1) -notcontains $servicing) { Say "settling servicing in progress ($servicing)" }
Answer 'seen' ''
"""

START = r"""
$spool = "$Runs\$Attempt"
Lock-Base
$fenced = Get-Fenced $true
if ($fenced) { Say-Fence; Answer 'fenced' $fenced }
if ([IO.Directory]::Exists($spool)) {
  $claim = @((Get-Part "$spool\claim" 1000 $false) -split ' ')
  if ($claim[0] -and $claim[0] -cne $Store) { Fail 'foreign-attempt' "claimed by store $($claim[0])" }
  $found = Get-State $Attempt $true
  Say "was $($found.State)"; Say "unit patchctl-$Attempt"
  Answer 'adopted' $found.Why
}
# A request that was under way while its attempt ran, ended and was cleaned up must not run it again.
if (Test-UsedUp $Attempt) {
  Say 'was interrupted'; Say "unit patchctl-$Attempt"
  Answer 'adopted' 'its spool is lost'
}
$fenced = Get-Fenced $false
if ($fenced) { Say-Fence; Answer 'fenced' $fenced }
$veto = Get-Veto
if ($veto) { Answer 'veto' $veto }
$busy = Find-Busy $Attempt
if ($busy) { Say "holder $busy"; Fail 'busy' "attempt $busy still works here" }
$missing = @()
foreach ($line in $FileList) {
  $sum, $file = $line -split ' ', 2
  $seen = ''
  if (Test-Path -LiteralPath "$Files\$file") {
    $seen = (Get-FileHash -LiteralPath "$Files\$file" -Algorithm SHA256).Hash
  }
  if ($seen -ne $sum) { Say "missing $sum"; $missing += $file }
}
if ($missing) { Fail 'staging-missing' "not in $Files or damaged: $($missing -join ' ')" }
foreach ($old in [IO.Directory]::GetDirectories($Base, 'new.*')) { [IO.Directory]::Delete($old, $true) }
$new = "$Base\new.$PID"
try {
  [void][IO.Directory]::CreateDirectory($new)
  Write-Durable "$new\payload.cmd" ($Payload -replace "`r?`n", "`r`n")
  Write-Durable "$new\list.ps1" $List
  Write-Durable "$new\run.cmd" ($Run -replace "`r?`n", "`r`n")
  Write-Durable "$new\claim" "$Store $Epoch $Token $Boot"
  Write-Durable "$new\launching" "$Boot $([Diagnostics.Stopwatch]::GetTimestamp())"
  Write-Durable "$new\ticket" ''
  $room = [IO.File]::Open("$new\reserve", 'Create', 'Write', 'None')
  try { $room.SetLength(262144) } finally { $room.Dispose() }
  Write-Fence $Token $Attempt
} catch {
  if ([IO.Directory]::Exists($new)) { [IO.Directory]::Delete($new, $true) }
  Fail 'spool-full' "cannot write below ${Base}: $_"
}
try { [IO.Directory]::Move($new, $spool) } catch { Fail 'spool-full' "cannot make ${spool}: $_" }
Say "unit patchctl-$Attempt"
try {
  # Functions of modules do not see the $ErrorActionPreference of this script: each call says what to do.
  $action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\cmd.exe" `
    -Argument "/d /c `"$spool\run.cmd`"" -ErrorAction Stop
  $who = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest -ErrorAction Stop
  $how = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
    -MultipleInstances IgnoreNew -ExecutionTimeLimit ([TimeSpan]::Zero) -Priority 5 -ErrorAction Stop
  [void](Register-ScheduledTask -TaskPath '\patchctl\' -TaskName "patchctl-$Attempt" -Action $action -Principal $who `
    -Settings $how -Description "patchctl attempt $Attempt" -Force -ErrorAction Stop)
  Start-ScheduledTask -TaskPath '\patchctl\' -TaskName "patchctl-$Attempt" -ErrorAction Stop
} catch {
  $why = "$_"
  try { [IO.File]::Move("$spool\ticket", "$spool\void") } catch { $why = '' }  # it began all the same
  if ($why) { Fail 'cannot-detach' "the task scheduler refuses it: $why" }
}
# The lock is held until it has begun, so that nobody takes it for one that never will.
for ($i = 0; $i -lt 100 -and [IO.File]::Exists("$spool\ticket"); $i++) { Start-Sleep -Milliseconds 100 }
Say 'detached task'
Answer 'started' ''
"""

POLL = r"""
Read-Fence
$found = Get-State $Attempt $false
if ($found.State -eq 'absent' -and (Test-UsedUp $Attempt)) {
  $found = @{ State = 'interrupted'; Why = 'its spool is lost' }
}
$spool = "$Runs\$Attempt"
if ([IO.Directory]::Exists($spool)) {
  $claim = @((Get-Part "$spool\claim" 1000 $false) -split ' ')
  if ($claim[0] -and $claim[0] -cne $Store) { Say "foreign $($claim[0])" }
  $began = Get-Seconds ([IO.File]::GetLastWriteTimeUtc("$spool\claim"))
  if ($found.State -eq 'finished') {
    $ended = Get-Seconds ([IO.File]::GetLastWriteTimeUtc("$spool\result"))
    Say "result $((Get-Part "$spool\result" 100 $false).Trim()) $began $ended $($claim[3])"
  }
  if ($found.State -eq 'running') { Say "age $((Get-Seconds ([DateTime]::UtcNow)) - $began)" }
  $log = (Get-Part "$spool\log" 2097152 $true) + "`n" + (Get-Part "$spool\alive" 65536 $true)
  $marks = @($log -split "`n" | Where-Object { $_.StartsWith('patchctl: ') } | Select-Object -Last 200)
  Say-Lines 'mark' ($marks -join "`n")
  Say-Lines 'log' ($log.Substring([Math]::Max(0, $log.Length - $Tail)))
  if ($found.State -ne 'running') {
    Say-Lines 'before' (Get-Part "$spool\before" 2097152 $false)
    Say-Lines 'after' (Get-Part "$spool\after" 2097152 $false)
    if ([IO.File]::Exists("$spool\after")) { Say 'compared yes' }
  }
}
Say "unit patchctl-$Attempt"
Answer $found.State $found.Why
"""

REBOOT = r"""
if ($Boot -ne $Expected) { Answer 'rebooted' '' }
Lock-Base
$fenced = Get-Fenced $true
if ($fenced) { Fail 'fenced' $fenced }
$veto = Get-Veto
if ($veto) { Fail 'veto' $veto }
$busy = Find-Busy ''
if ($busy) { Say "holder $busy"; Fail 'busy' "attempt $busy still works here" }
# Five seconds late, so that this answer arrives. 1115 and 1190: a shutdown is under way already.
$said = & "$env:SystemRoot\System32\shutdown.exe" /r /t 5 /d p:2:17 /c 'patchctl: updates are installed' 2>&1
if (@(0, 1115, 1190) -notcontains $LASTEXITCODE) { Fail 'cannot-detach' "shutdown.exe: $LASTEXITCODE $said" }
Answer 'requested' ''
"""

CLEANUP = r"""
if (-not [IO.Directory]::Exists($Base)) { Answer 'clean' '' }
Lock-Base
$fenced = Get-Fenced $true
if ($fenced) { Fail 'fenced' $fenced }
if ((Get-State $Attempt $true).State -eq 'running') {
  Say "holder $Attempt"; Fail 'busy' "attempt $Attempt still works"
}
# The attempts before this one on this host have the same name up to the number; their outcomes are recorded too.
$family = $Attempt.Substring(0, $Attempt.LastIndexOf('.') + 1)
$number = $Attempt.Substring($family.Length)
foreach ($dir in [IO.Directory]::GetDirectories($Runs)) {
  $other = [IO.Path]::GetFileName($dir)
  if (-not $other.StartsWith($family)) { continue }
  $suffix = $other.Substring($family.Length)
  if ($suffix -notmatch '^\d{1,9}$' -or $number -notmatch '^\d{1,9}$' -or [long]$suffix -gt [long]$number) { continue }
  if ((Get-State $other $true).State -eq 'running') { continue }
  Unregister-ScheduledTask -TaskPath '\patchctl\' -TaskName "patchctl-$other" -Confirm:$false `
    -ErrorAction SilentlyContinue
  try { [IO.Directory]::Delete($dir, $true) } catch { $S.Error = "$_" }  # told below, as residue
}
if ($Files -and [IO.Directory]::Exists($Files)) {
  try { [IO.Directory]::Delete($Files, $true) } catch { $S.Error = "$_" }
}
foreach ($old in [IO.Directory]::GetDirectories($Base, 'new.*')) { [IO.Directory]::Delete($old, $true) }
[IO.File]::Delete("$Base\fence.new")
foreach ($empty in @("$Base\stage", $Runs)) { try { [IO.Directory]::Delete($empty) } catch { $S.Error = "$_" } }
Exit-Lock
foreach ($left in [IO.Directory]::GetFileSystemEntries($Base)) {
  $leaf = [IO.Path]::GetFileName($left)
  if (@('runs', 'stage') -contains $leaf) {
    foreach ($inside in [IO.Directory]::GetFileSystemEntries($left)) { Say "residue $inside" }
  } elseif ($leaf -like 'ask-*') { continue }  # a scan that is under way: platforms/windows/system_task.py
  elseif (@('fence', 'hold', 'lock', 'backups', 'wsusscn2.cab') -notcontains $leaf) { Say "residue $left" }
}
foreach ($task in @(Get-ScheduledTask -TaskPath '\patchctl\' -ErrorAction SilentlyContinue)) {
  if ($task.TaskName -eq "patchctl-$Attempt") { Say "residue task $($task.TaskName)" }
}
Answer 'clean' ''
"""

TAKEOVER = r"""
Lock-Base
Read-Fence
Say-Fence
$f = $S.Fence
if ($f.Count -and $f[0] -ceq $Store) {
  if ([long]$f[1] -gt $Epoch) {
    Fail 'fenced' "the host knows epoch $($f[1]) of this store already, newer than $Epoch"
  }
  if ([long]$f[2] -gt $Token) { $Token = [long]$f[2] }
}
try { Write-Fence $Token '-' } catch { Fail 'spool-full' "cannot write $Base\fence: $_" }
Answer 'taken' ''
"""

# Only what Wine's cmd does as Windows' does: no `||` behind cd and ren, no handles but the standard ones. `alive` is
# the runner's stderr, which everything it starts inherits.
RUN = r"""@echo off
rem Runner of one patchctl attempt, started as a SYSTEM task. Safe to read, not to run again.
setlocal EnableExtensions DisableDelayedExpansion
cd /d "%~dp0"
call :work 2>alive
exit /b 0

:work
rem Whoever renames the ticket decides: the runner, or somebody who called the attempt off.
if not exist ticket exit /b 0
ren ticket begun
if exist ticket exit /b 0
if not exist begun exit /b 0
call :list before
cmd.exe /d /c payload.cmd >log <nul
set code=%errorlevel%
call :list after
if exist reserve del /q reserve
>result.new echo %code%
ren result.new result
exit /b 0

:list
powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File list.ps1 >%1 <nul
exit /b 0
"""
