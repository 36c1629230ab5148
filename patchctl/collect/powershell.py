"""Compiles probes into one PowerShell script that speaks the same records as collect/script.py.

PowerShell ends its own jobs; a probe's deadline is that of the whole exchange here. Guards (`when`) are PowerShell
expressions. What a command gives is joined line by line as text; the exit code is that of the last program it called.
Whether root is held is for the host to say: members of Administrators with a full token.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.collect.script import PROTOCOL, check_ids, check_nonce
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_powershell

_SETUP = """$ErrorActionPreference = 'Continue'; $ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object System.Text.UTF8Encoding $false
$N = {nonce}
$me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
$root = $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
function Send-Line($text) {{ [Console]::Out.Write("`n" + $N + $text) }}
function Invoke-Probe($id, $cap, $needsRoot, $when, $command) {{
  if ($needsRoot -and -not $root) {{ Send-Line ('!' + $id + ' needs-root .'); return }}
  Send-Line ('+' + $id + ' .')
  $rc = '0'; $text = ''
  try {{
    if ($when -and -not (& ([scriptblock]::Create($when)))) {{ $rc = 'na' }}
    else {{
      $global:LASTEXITCODE = 0
      # Not Out-String: it breaks lines that are longer than its width.
      $text = (@(& ([scriptblock]::Create($command)) 2>$null) -join "`n") -replace "`r", ''
      $rc = "$($LASTEXITCODE -band 0xff)"
    }}
  }} catch {{ $rc = '1' }}
  $bytes = 0; $lines = 0; $cut = 0
  foreach ($line in $text.Split("`n")) {{
    $size = [Text.Encoding]::UTF8.GetByteCount($line) + 1
    if ($bytes + $size - 1 -gt $cap) {{ $cut = 1; break }}
    Send-Line ('=' + $id + ' ' + $line); $bytes += $size; $lines += 1
  }}
  Send-Line ('>' + $id + ' ' + $rc + ' ' + $bytes + ' ' + $lines + ' ' + $cut + ' .')
}}
if ($root) {{ $as = 'root' }} else {{ $as = 'user' }}
Send-Line ('#BEGIN {protocol} ' + $as + ' .')
"""


def compile_powershell(probes: Sequence[Probe], nonce: str) -> str:
    """As compile_script, for hosts that speak PowerShell. Raise ValueError as it does."""
    check_nonce(nonce)
    check_ids(probes)
    calls = [
        f"Invoke-Probe {quote_powershell(p.id)} {p.cap} ${str(p.root).lower()} {quote_powershell(p.when)} "
        f"{quote_powershell(p.command)}\n"
        for p in probes
    ]
    setup = _SETUP.format(nonce=quote_powershell(nonce), protocol=PROTOCOL)
    return f"{setup}{''.join(calls)}Send-Line '#END {len(calls)} .'\n[Console]::Out.Write(\"`n\")\n"
