<#
.SYNOPSIS
Runs the texts that patchctl runs on Windows, keeps what they print, and packs it into a zip. See README.txt.
#>
[CmdletBinding()]
param(
  [switch]$Change,
  [switch]$Reboot,
  [string]$Msi = '',
  [string]$Msu = '',
  [string]$Cab = '',
  [string]$Exe = '',
  [string]$Update = '',
  [string]$RemoveKb = '',
  [string]$RemoveProduct = '',
  [string]$Url = '',
  [string]$UrlSha256 = '',
  [string[]]$Redact = @(),
  [string]$Only = '*',
  [string]$Out = ''
)
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
$Bytes = [Text.Encoding]::GetEncoding(28591)
$Utf8 = New-Object Text.UTF8Encoding $false
$Base = [Environment]::GetFolderPath('CommonApplicationData') + '\patchctl'

function Get-Sum([string]$path) { return (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash.ToLowerInvariant() }

function Get-TextSum([string]$text) {
  $sha = [Security.Cryptography.SHA256]::Create()
  return ([BitConverter]::ToString($sha.ComputeHash($Utf8.GetBytes($text))) -replace '-', '').ToLowerInvariant()
}

# Each text starts as over WinRM: a bootstrap by -EncodedCommand, the text on standard input in base64.
function Invoke-Text([string]$bootstrap, [string]$text, [byte[]]$data, [int]$seconds) {
  $start = New-Object Diagnostics.ProcessStartInfo
  $start.FileName = "$env:SystemRoot\System32\WindowsPowerShell\v1.0\powershell.exe"
  $encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($bootstrap))
  $start.Arguments = "-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand $encoded"
  $start.UseShellExecute = $false
  $start.CreateNoWindow = $true
  $start.RedirectStandardInput = $true
  $start.RedirectStandardOutput = $true
  $start.RedirectStandardError = $true
  $watch = [Diagnostics.Stopwatch]::StartNew()
  $process = [Diagnostics.Process]::Start($start)
  $stdout = New-Object IO.MemoryStream
  $stderr = New-Object IO.MemoryStream
  $copying = @($process.StandardOutput.BaseStream.CopyToAsync($stdout))
  $copying += $process.StandardError.BaseStream.CopyToAsync($stderr)
  $lines = [Convert]::ToBase64String($Utf8.GetBytes($text)) + "`r`n"
  if ($data.Length) { $lines += [Convert]::ToBase64String($data) + "`r`n" }
  $sent = $Bytes.GetBytes($lines)
  $process.StandardInput.BaseStream.Write($sent, 0, $sent.Length)
  $process.StandardInput.BaseStream.Flush()
  $process.StandardInput.Close()
  $ended = $process.WaitForExit($seconds * 1000)
  if (-not $ended) { $process.Kill() }
  foreach ($copy in $copying) { try { [void]$copy.Wait(10000) } catch { Write-Warning "output cut: $_" } }
  $code = $null
  if ($ended) { $code = $process.ExitCode }
  $seconds = [Math]::Round($watch.Elapsed.TotalSeconds, 2)
  return @{ Code = $code; Out = $stdout.ToArray(); Err = $stderr.ToArray(); Seconds = $seconds }
}

# Words that tell whose machine this is. They are replaced by as many letters: lengths in the output stay right.
function Get-Words {
  $found = @($env:COMPUTERNAME, $env:USERNAME, $env:USERDOMAIN, $env:USERDNSDOMAIN, [Net.Dns]::GetHostName()) + $Redact
  try {
    $system = Get-CimInstance Win32_ComputerSystem
    $found += @($system.Domain, $system.Workgroup, $system.PrimaryOwnerName)
    $found += @(Get-CimInstance Win32_UserAccount -Filter 'LocalAccount=True' |
      Where-Object { [long]($_.SID -split '-')[-1] -ge 1000 } | ForEach-Object { $_.Name })
    $found += @(Get-CimInstance Win32_OperatingSystem | ForEach-Object { $_.RegisteredUser; $_.Organization })
    $found += @(Get-ChildItem "$env:SystemDrive\Users" -Directory | ForEach-Object { $_.Name })
    $found += @([Net.Dns]::GetHostAddresses('') | ForEach-Object { "$_" })
    $policy = Get-ItemProperty 'HKLM:\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate' -ErrorAction SilentlyContinue
    $found += @($policy.WUServer, $policy.WUStatusServer, $policy.TargetGroup)
  } catch { Write-Warning "not all words to be redacted were found: $_" }
  $common = @(
    'Administrator', 'Public', 'Default', 'Default User', 'All Users', 'WORKGROUP', 'SYSTEM', 'Windows', 'Users'
    'Windows User', 'Microsoft', '127.0.0.1', '::1'
  )
  $kept = $found | Where-Object { $_ -and "$_".Length -ge 3 -and $common -notcontains $_ } | Select-Object -Unique
  return @($kept | Sort-Object { -"$_".Length })
}

function Hide-Words([byte[]]$raw, [string[]]$words) {
  $text = $Bytes.GetString($raw)
  foreach ($word in $words) {
    foreach ($encoding in @($Utf8, [Text.Encoding]::Unicode)) {
      $form = $Bytes.GetString($encoding.GetBytes($word))
      $text = [regex]::Replace($text, [regex]::Escape($form), ('x' * $form.Length), 'IgnoreCase')
    }
  }
  $text = [regex]::Replace($text, '(S-1-(?:5-21|12-1)-)(\d+-\d+-\d+)', {
    param($found) $found.Groups[1].Value + ($found.Groups[2].Value -replace '\d', '1')
  })
  $text = [regex]::Replace($text, '\b(?:[A-Z0-9]{5}-){4}[A-Z0-9]{5}\b', 'xxxxx-xxxxx-xxxxx-xxxxx-xxxxx')
  return , $Bytes.GetBytes($text)
}

function Get-HostFacts {
  $key = Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion'
  return [ordered]@{
    product = "$($key.ProductName)"; edition = "$($key.EditionID)"; installation = "$($key.InstallationType)"
    release = "$($key.DisplayVersion)"; build = "$($key.CurrentBuildNumber)"; ubr = [long]$key.UBR
    powershell = "$($PSVersionTable.PSVersion)"; clr = "$($PSVersionTable.CLRVersion)"
    culture = [Globalization.CultureInfo]::InstalledUICulture.Name; processor = "$env:PROCESSOR_ARCHITECTURE"
    codepage = [Globalization.CultureInfo]::CurrentCulture.TextInfo.OEMCodePage
  }
}

$me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
  throw 'Start PowerShell with "Run as administrator": most texts need that, as patchctl does.'
}
$kit = [IO.File]::ReadAllText("$PSScriptRoot\steps.json") | ConvertFrom-Json
foreach ($entry in $kit.files.PSObject.Properties) {
  if ($entry.Name -eq 'run-proof.ps1') { continue }
  if ((Get-Sum (Join-Path $PSScriptRoot $entry.Name)) -ne $entry.Value) { throw "$($entry.Name) is not as it was packed" }
}
$there = Test-Path -LiteralPath $Base
if ($Change -and (Test-Path -LiteralPath "$Base\fence")) {
  throw "$Base\fence is there: patchctl manages this host. Steps that change a host do not run on such a one."
}
$given = @{
  msi = $Msi; msu = $Msu; cab = $Cab; exe = $Exe; update = $Update; removekb = $RemoveKb; removeproduct = $RemoveProduct
  url = $Url; reboot = ''
}
if ($Reboot) { $given.reboot = 'yes' }
$forms = @{
  update = '^KB\d{4,8} [0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12} \d{1,9}$'; removekb = '^KB\d{4,8}$'
  removeproduct = '^\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}$'; url = '^https?://[A-Za-z0-9._~:/?&=%+-]+$'
}
foreach ($name in $forms.Keys) {
  if ($given[$name] -and $given[$name] -notmatch $forms[$name]) { throw "-${name}: not of the form $($forms[$name])" }
}
if ($Url -and $UrlSha256 -notmatch '^[0-9a-fA-F]{64}$') { throw '-Url needs -UrlSha256' }
$words = @(Get-Words)
if (-not $Out) { $Out = Join-Path (Get-Location) "windows-proof-result-$(Get-Date -Format 'yyyyMMdd-HHmmss').zip" }
$work = Join-Path $env:TEMP "patchctl-proof-$([Guid]::NewGuid().ToString('N'))"
[void][IO.Directory]::CreateDirectory("$work\captures")
$plain = [IO.File]::ReadAllText("$PSScriptRoot\scripts\bootstrap.ps1")
$fed = [IO.File]::ReadAllText("$PSScriptRoot\scripts\bootstrap-fed.ps1")
$boot = ''
$ran = @()

function Write-Result {
  $document = [ordered]@{
    schema = 'patchctl/windows-proof-result/1'; synthetic = $false; kit_sha256 = Get-Sum "$PSScriptRoot\steps.json"
    driver_sha256 = Get-Sum "$PSScriptRoot\run-proof.ps1"; at = [DateTime]::UtcNow.ToString('s') + 'Z'
    redacted_words = $words.Count; changed = [bool]$Change; host = Get-HostFacts; steps = $ran
  }
  [IO.File]::WriteAllText("$work\result.json", (ConvertTo-Json $document -Depth 6), $Utf8)
  if (Test-Path -LiteralPath $Out) { Remove-Item -LiteralPath $Out }
  Compress-Archive -Path "$work\*" -DestinationPath $Out
}

try {
  foreach ($step in $kit.steps) {
    $entry = [ordered]@{ name = $step.name; sha256 = $step.sha256; state = 'skipped'; reason = ''; filled = @{} }
    if ($step.name -notlike $Only) { $entry.reason = 'not chosen (-Only)' }
    elseif ($step.changing -and -not $Change) { $entry.reason = 'changes the host (-Change)' }
    elseif ($step.needs -and -not $given[$step.needs]) { $entry.reason = "needs -$($step.needs)" }
    if ($entry.reason) { $ran += $entry; continue }
    $text = [IO.File]::ReadAllText((Join-Path $PSScriptRoot $step.file))
    $fill = @{ boot = $boot; update = $Update; removekb = $RemoveKb; removeproduct = $RemoveProduct; url = $Url }
    if ($step.needs -eq 'url') { $fill.sha256 = $UrlSha256.ToLowerInvariant() }
    if ($step.copies) {
      if ($step.needs -eq 'url') { [void][IO.Directory]::CreateDirectory($step.copies) }
      else {
        [void][IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($step.copies))
        Copy-Item -LiteralPath $given[$step.needs] -Destination $step.copies
        $fill.sha256 = Get-Sum $step.copies
      }
    }
    foreach ($name in $fill.Keys) {
      $token = $kit.fills.$name
      if ($fill[$name] -and $text.Contains($token)) {
        $text = $text.Replace($token, $fill[$name])
        if ($name -ne 'url') { $entry.filled[$name] = $fill[$name] }
      }
    }
    $bootstrap = $plain
    $data = New-Object byte[] 0
    if ($step.fed) { $bootstrap = $fed; $data = [IO.File]::ReadAllBytes((Join-Path $PSScriptRoot $step.data)) }
    if ($step.needs -eq 'reboot') { Write-Result }  # what follows may be cut short
    Write-Host "$($step.name) ..." -NoNewline
    $deadline = (Get-Date).AddHours(3)
    $times = 0
    do {
      if ($times) { Start-Sleep -Seconds 5 }
      $result = Invoke-Text $bootstrap $text $data 1200
      $times += 1
      $said = $Bytes.GetString($result.Out)
    } while ($step.repeat -and $said.Contains($step.repeat) -and (Get-Date) -lt $deadline)
    if ($said -match "(?m)^$($kit.nonce) boot (\S+)") { $boot = $Matches[1] }
    $stdout = Hide-Words $result.Out $words
    $stderr = Hide-Words $result.Err $words
    [IO.File]::WriteAllBytes("$work\captures\$($step.name).stdout", $stdout)
    [IO.File]::WriteAllBytes("$work\captures\$($step.name).stderr", $stderr)
    $entry.state = 'ran'
    if ($null -eq $result.Code) { $entry.state = 'late' }
    $entry.exit_code = $result.Code
    $entry.seconds = $result.Seconds
    $entry.times = $times
    $entry.run_sha256 = Get-TextSum $text
    $entry.stdout_sha256 = Get-Sum "$work\captures\$($step.name).stdout"
    $entry.stderr_sha256 = Get-Sum "$work\captures\$($step.name).stderr"
    $ran += $entry
    Write-Host " exit code $($result.Code), $($stdout.Length) bytes, $($result.Seconds) s"
  }
} finally {
  Write-Result
  Remove-Item -LiteralPath $work -Recurse -Force
  # The fence names a store that does not exist: this host was not managed before, and is not now.
  if (-not $Reboot) {
    if ($Change -and (Test-Path -LiteralPath "$Base\fence")) { Remove-Item -LiteralPath "$Base\fence" -Force }
    if (-not $there -and (Test-Path -LiteralPath $Base)) { Remove-Item -LiteralPath $Base -Recurse -Force }
  }
}
Write-Host "Written: $Out. Look through it (it is text) before you give it to anybody."
if ($Reboot) { Write-Host "The host restarts now. Afterwards remove $Base\fence: it names a controller that does not exist." }
