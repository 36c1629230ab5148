r"""PowerShell text of the host runner for Windows: functions, and one body a request. Never run on Windows.

As collect/runner_functions.py, with what Windows offers instead. Everything lives in %ProgramData%\patchctl, which
only SYSTEM and Administrators may enter. Three atomic steps carry the promises:

  lock    a file that a process holds open for itself alone; the system closes and deletes it when the process ends.
  claim   one rename of the finished spool folder to runs\ATTEMPT, which fails if that is there: the attempt is used up.
  begun   a rename of the spool's `ticket`: to `begun` by its runner, or to `void` by whoever calls it off. One wins.

The runner holds `alive`, its stderr, open while it works, and what it starts inherits that: so a runner that died while
its installer goes on still counts as running, and nothing needs process numbers, which Windows gives out again.
"""

from __future__ import annotations

FUNCTIONS = r"""
$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
$Base = [Environment]::GetFolderPath('CommonApplicationData') + '\patchctl'
$Runs = "$Base\runs"
$Hold = "$Base\hold"
$Culture = [Globalization.CultureInfo]::InvariantCulture
$S = @{ Lock = $null; Error = ''; Fence = @() }

function Say([string]$text) { [Console]::Out.Write($Nonce + ' ' + ($text -replace '[\r\n\0]+', ' ') + "`n") }

# The session manager is the first process of a boot. Its start does not move when the clock is set, as
# LastBootUpTime does.
function Get-Boot {
  $first = Get-CimInstance Win32_Process -Filter "Name='smss.exe'" | Sort-Object CreationDate | Select-Object -First 1
  return $first.CreationDate.ToUniversalTime().ToString("yyyyMMdd'T'HHmmss'.'ffffff'Z'", $Culture)
}

function Exit-Lock { if ($S.Lock) { $S.Lock.Dispose(); $S.Lock = $null } }

# Answer with a state and a reason, give the lock back, end.
function Answer([string]$state, [string]$why) {
  Say "state $state"
  if ($why) { Say "reason $why" }
  Exit-Lock
  Say 'end'
  exit 0
}

function Fail([string]$code, [string]$why) { Say "code $code"; Answer 'failed' $why }

# The folder, made with its access list in one step. One that somebody else made there is not used: any user may
# create folders in ProgramData.
function Open-Base {
  $acl = New-Object Security.AccessControl.DirectorySecurity
  $acl.SetSecurityDescriptorSddlForm('O:BAG:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
  try { [void][IO.Directory]::CreateDirectory($Base, $acl) } catch { Fail 'spool-full' "cannot make ${Base}: $_" }
  $found = New-Object IO.DirectoryInfo $Base
  if ($found.Attributes -band [IO.FileAttributes]::ReparsePoint) { Fail 'spool-full' "$Base is a link" }
  $owner = (Get-Acl -LiteralPath $Base).GetOwner([Security.Principal.SecurityIdentifier]).Value
  if (@('S-1-5-18', 'S-1-5-32-544') -notcontains $owner) {
    Fail 'spool-full' "$Base belongs to ${owner}: give it to Administrators (icacls /setowner) or remove it"
  }
  [void][IO.Directory]::CreateDirectory($Runs)
}

# Get in, or fail with the reason in $S.Error. 25 tries take about 10 s.
function Enter-Lock([int]$tries) {
  for ($i = 0; $i -lt $tries; $i++) {
    try {
      $S.Lock = New-Object IO.FileStream("$Base\lock", 'OpenOrCreate', 'ReadWrite', 'None', 4096, 'DeleteOnClose')
      return $true
    } catch { $S.Error = "$_"; Start-Sleep -Milliseconds 400 }
  }
  return $false
}

function Lock-Base {
  Open-Base
  if (-not (Enter-Lock 25)) { Fail 'busy' "another patchctl holds $Base\lock: $($S.Error)" }
}

function Write-Durable([string]$path, [string]$text) {
  $bytes = (New-Object Text.UTF8Encoding $false).GetBytes($text)
  $stream = [IO.File]::Open($path, 'Create', 'Write', 'None')
  try { $stream.Write($bytes, 0, $bytes.Length); $stream.Flush($true) } finally { $stream.Dispose() }
}

# The first or the last $limit bytes of a file that may be in use, "" if there is none.
function Get-Part([string]$path, [int]$limit, [bool]$last) {
  if (-not [IO.File]::Exists($path)) { return '' }
  $stream = [IO.File]::Open($path, 'Open', 'Read', 'ReadWrite, Delete')
  try {
    if ($last -and $stream.Length -gt $limit) { [void]$stream.Seek(-$limit, 'End') }
    $bytes = New-Object byte[] $limit
    $count = 0
    while ($count -lt $limit) {
      $more = $stream.Read($bytes, $count, $limit - $count)
      if ($more -le 0) { break }
      $count += $more
    }
    return [Text.Encoding]::UTF8.GetString($bytes, 0, $count)
  } finally { $stream.Dispose() }
}

function Say-Lines([string]$key, [string]$text) {
  foreach ($line in ($text -split "`n")) { if ($line.Trim()) { Say "$key $($line.TrimEnd())" } }
}

# The veto of the host's owner: the file's existence counts, its first line is the reason. "" = none.
function Get-Veto {
  if (-not (Test-Path -LiteralPath $Hold)) { return '' }
  $why = ((Get-Part $Hold 300 $false) -split "`n")[0].Trim()
  if (-not $why) { $why = 'no reason given' }
  return "${Hold}: $why"
}

# Sets $S.Fence: store, epoch, token, name, last attempt; empty = nobody's host yet, store ? = it cannot be read.
function Read-Fence {
  $S.Fence = @()
  if (-not (Test-Path -LiteralPath "$Base\fence")) { return }
  $words = @((Get-Part "$Base\fence" 4096 $false).Trim() -split ' ')
  if ($words.Count -lt 5 -or $words[1] -notmatch '^\d{1,18}$' -or $words[2] -notmatch '^\d{1,18}$') {
    $words = @('?', '0', '0', '-', '-')
  }
  $S.Fence = $words
}

function Say-Fence { if ($S.Fence.Count) { Say "fence $($S.Fence -join ' ')" } }

function Write-Fence([string]$token, [string]$attempt) {
  Write-Durable "$Base\fence.new" "$Store $Epoch $token $Name $attempt`n"
  if ([IO.File]::Exists("$Base\fence")) { [IO.File]::Replace("$Base\fence.new", "$Base\fence", [NullString]::Value) }
  else { [IO.File]::Move("$Base\fence.new", "$Base\fence") }
}

# Why this controller may not act here, "" if it may. With $asking an older token passes: it starts nothing.
function Get-Fenced([bool]$asking) {
  Read-Fence
  $f = $S.Fence
  if (-not $f.Count) { return '' }
  if ($f[0] -eq '?') { return "$Base\fence cannot be read" }
  if ($f[0] -cne $Store) { return "belongs to the controller $($f[3]) (store $($f[0]), epoch $($f[1]))" }
  if ([long]$f[1] -lt $Epoch) {
    return "knows epoch $($f[1]) of this store, not ${Epoch}: a restored store needs an explicit takeover"
  }
  if ([long]$f[1] -gt $Epoch) {
    return "has moved on to epoch $($f[1]) of this store ($($f[3])); this copy is of epoch $Epoch"
  }
  if (-not $asking -and [long]$f[2] -gt $Token) {
    return "has already acted on token $($f[2]), this request carries ${Token}: a newer run took over"
  }
  return ''
}

# Is the attempt used up although it has no spool? (call after Read-Fence or Get-Fenced)
function Test-UsedUp([string]$attempt) {
  if ($S.Fence.Count -lt 5) { return $false }
  $last = $S.Fence[4]
  if ($last -ceq $attempt) { return $true }
  $mine = $attempt -split '\.'; $theirs = $last -split '\.'
  if (($mine[0..($mine.Count - 2)] -join '.') -cne ($theirs[0..($theirs.Count - 2)] -join '.')) { return $false }
  if ($mine[-1] -notmatch '^\d{1,9}$' -or $theirs[-1] -notmatch '^\d{1,9}$') { return $false }
  return [long]$mine[-1] -lt [long]$theirs[-1]
}

# Does some process hold the file open?
function Test-Held([string]$path) {
  if (-not [IO.File]::Exists($path)) { return $false }
  try { [IO.File]::Open($path, 'Open', 'ReadWrite', 'None').Dispose(); return $false } catch { return $true }
}

# Was the attempt handed to the task scheduler less than GRACE seconds ago, in this boot? Then it may yet begin.
function Test-OnItsWay([string]$spool) {
  $words = @((Get-Part "$spool\launching" 200 $false).Trim() -split ' ')
  if ($words.Count -ne 2 -or $words[0] -ne $Boot -or $words[1] -notmatch '^\d{1,18}$') { return $false }
  $ticks = [Diagnostics.Stopwatch]::GetTimestamp() - [long]$words[1]
  return ($ticks / [Diagnostics.Stopwatch]::Frequency) -lt $Grace
}

# How is an attempt doing? State: running, finished, interrupted, absent. What was claimed and never began is called
# off.
function Get-State([string]$attempt, [bool]$locked) {
  $spool = "$Runs\$attempt"
  if (-not [IO.Directory]::Exists($spool)) { return @{ State = 'absent'; Why = '' } }
  if ([IO.File]::Exists("$spool\result")) { return @{ State = 'finished'; Why = '' } }
  if ([IO.File]::Exists("$spool\ticket")) {
    if ((Test-OnItsWay $spool) -or -not ($locked -or (Enter-Lock 8))) {
      return @{ State = 'running'; Why = 'is being started' }
    }
    try { [IO.File]::Move("$spool\ticket", "$spool\void") } catch { $S.Error = "$_" }  # its runner was faster
    if (-not $locked) { Exit-Lock }
  }
  if ([IO.File]::Exists("$spool\void")) {
    return @{ State = 'interrupted'; Why = 'was claimed, but its runner never began' }
  }
  if (Test-Held "$spool\alive") { return @{ State = 'running'; Why = '' } }
  if ([IO.File]::Exists("$spool\result")) { return @{ State = 'finished'; Why = '' } }
  $claim = @((Get-Part "$spool\claim" 1000 $false) -split ' ')
  if ($claim.Count -lt 4 -or $claim[3] -ne $Boot) {
    return @{ State = 'interrupted'; Why = 'the host was restarted while it ran' }
  }
  return @{ State = 'interrupted'; Why = 'its runner died' }
}

# Name another attempt that still works on this host (call with the lock held), "" = none.
function Find-Busy([string]$mine) {
  foreach ($dir in [IO.Directory]::GetDirectories($Runs)) {
    $other = [IO.Path]::GetFileName($dir)
    if ($other -cne $mine -and (Get-State $other $true).State -eq 'running') { return $other }
  }
  return ''
}

function Get-Seconds([DateTime]$when) { return [long](($when - [DateTime]'1970-01-01').TotalSeconds) }

$Boot = Get-Boot
Say "boot $Boot"
"""

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
  $action = New-ScheduledTaskAction -Execute "$env:SystemRoot\System32\cmd.exe" -Argument "/d /c `"$spool\run.cmd`""
  $who = New-ScheduledTaskPrincipal -UserId 'S-1-5-18' -LogonType ServiceAccount -RunLevel Highest
  $how = New-ScheduledTaskSettingsSet -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries `
    -MultipleInstances IgnoreNew -ExecutionTimeLimit ([TimeSpan]::Zero) -Priority 5
  [void](Register-ScheduledTask -TaskPath '\patchctl\' -TaskName "patchctl-$Attempt" -Action $action -Principal $who `
    -Settings $how -Description "patchctl attempt $Attempt" -Force)
  Start-ScheduledTask -TaskPath '\patchctl\' -TaskName "patchctl-$Attempt"
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
  elseif (@('fence', 'hold', 'lock', 'wsusscn2.cab') -notcontains $leaf) { Say "residue $left" }
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
