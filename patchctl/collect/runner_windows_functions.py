r"""PowerShell functions of the host runner for Windows; runner_windows_bodies.py uses them. Never run on Windows.

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
