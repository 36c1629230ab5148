"""Makes few PowerShell probes of all questions that SCA rules ask a Windows host, and reads what came back.

Registry keys are read in both views (64 and 32 bit), as Wazuh 4 does. Names and data travel percent-encoded, so that no
value can pass for a frame. Commands are started as one command line, without cmd.exe or PowerShell around them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from msgspec import Struct

from patchctl.assess.content.sca.answers import (
    ABSENT,
    BROKEN,
    LATE,
    NOT_STARTED,
    READ,
    REFUSED,
    STARTED,
    Answer,
    Batch,
    Key,
)
from patchctl.assess.content.sca.questions import BATCH_CAP, COMMAND_SECONDS, TEXT_CAP
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_powershell

KEYS_A_BATCH, COMMANDS_A_BATCH = 200, 40

HIVES = {
    "HKEY_LOCAL_MACHINE": "LocalMachine", "HKLM": "LocalMachine", "HKEY_CLASSES_ROOT": "ClassesRoot",
    "HKEY_CURRENT_CONFIG": "CurrentConfig", "HKEY_USERS": "Users", "HKCU": "CurrentUser",
    "HKEY_CURRENT_USER": "CurrentUser",
}  # fmt: skip

_TEXT = r"""function Show-Line($text) {
  $text = [string]$text
  if ($text.Length -le 3000) { ' ' + $text; return }
  ' ' + $text.Substring(0, 3000)
  for ($i = 3000; $i -lt $text.Length; $i += 3000) { '-' + $text.Substring($i, [Math]::Min(3000, $text.Length - $i)) }
}
"""
_REGISTRY = r"""function Read-Key($n, $hive, $path) {
  '+' + $n
  $path = [Environment]::ExpandEnvironmentVariables($path)
  foreach ($view in 'Registry64', 'Registry32') {
    try {
      $base = [Microsoft.Win32.RegistryKey]::OpenBaseKey($hive, $view)
      $key = $base.OpenSubKey($path)
      if ($null -eq $key) { ' w absent'; continue }
      ' w present'
      foreach ($name in $key.GetSubKeyNames()) { Show-Line ('k ' + [Uri]::EscapeDataString($name)) }
      foreach ($name in $key.GetValueNames()) {
        $kind = $key.GetValueKind($name)
        $data = $key.GetValue($name, $null, 'DoNotExpandEnvironmentNames')
        if ($kind -eq 'DWord') { $data = [BitConverter]::ToUInt32([BitConverter]::GetBytes([int]$data), 0) }
        elseif ($kind -eq 'QWord') { $data = [BitConverter]::ToUInt64([BitConverter]::GetBytes([long]$data), 0) }
        elseif ($kind -eq 'MultiString') { $data = $data -join "`n" }
        elseif ($data -is [byte[]]) { $data = ($data | Select-Object -First 8192 | ForEach-Object { $_.ToString('x2') }) -join '' }
        $data = [string]$data
        if ($data.Length -gt 16000) { $data = $data.Substring(0, 16000) }
        Show-Line ('v ' + $kind + ' ' + [Uri]::EscapeDataString($name) + ' ' + [Uri]::EscapeDataString($data))
      }
    } catch [System.Security.SecurityException], [System.UnauthorizedAccessException] { ' w refused' }
    catch { ' w broken' }
  }
  '=reg'
}
"""  # noqa: E501  # PowerShell reads better on one line
_COMMANDS = r"""function Invoke-Sca($n, $file, $arguments) {
  '+' + $n
  $status = 'none'
  try {
    $start = New-Object Diagnostics.ProcessStartInfo ([Environment]::ExpandEnvironmentVariables($file)), ([Environment]::ExpandEnvironmentVariables($arguments))
    $start.UseShellExecute = $false; $start.CreateNoWindow = $true
    $start.RedirectStandardInput = $true; $start.RedirectStandardOutput = $true; $start.RedirectStandardError = $true
    $process = [Diagnostics.Process]::Start($start)
    $process.StandardInput.Close()
    $out = $process.StandardOutput.ReadToEndAsync(); $err = $process.StandardError.ReadToEndAsync()
    if ($process.WaitForExit(%(milliseconds)d)) {
      $process.WaitForExit()
      $text = ($out.Result + $err.Result) -replace "`r", ''
      if ($text.Length -gt %(cap)d) { $status = 'cut' }
      else {
        $status = [string]$process.ExitCode
        if ($text -ne '') { foreach ($line in ($text -replace "`n$", '').Split("`n")) { Show-Line $line } }
      }
    } else { $process.Kill(); $status = 'late' }
  } catch { }
  '=' + $status
}
"""  # noqa: E501  # PowerShell reads better on one line
_FILES = r"""function Read-File($n, $path, $whole) {
  '+' + $n
  $path = [Environment]::ExpandEnvironmentVariables($path)
  $status = 'absent'
  try {
    if (Test-Path -LiteralPath $path -PathType Leaf) {
      if (-not $whole) { $status = 'read0' }
      elseif ((Get-Item -LiteralPath $path -Force).Length -gt %(cap)d) { $status = 'cut' }
      else { foreach ($line in [IO.File]::ReadAllLines($path)) { Show-Line $line }; $status = 'read0' }
    } elseif (Test-Path -LiteralPath $path) { $status = 'other' }
  } catch { $status = 'refused' }
  '=' + $status
}
"""


class View(Struct, frozen=True):
    """A registry key in one view. `state`: read, absent, refused or broken."""

    state: str
    keys: tuple[str, ...] = ()
    values: tuple[tuple[str, str, str], ...] = ()
    """(name, type, data); several strings are one a line; binary is hexadecimal."""


def split_key(text: str) -> tuple[str, str] | None:
    r"""Given HKLM\path, return (hive, path), or None when the hive is not known."""
    hive, _, path = text.partition("\\")
    found = HIVES.get(hive)
    return (found, path) if found is not None else None


def split_command_line(text: str) -> tuple[str, str]:
    """Return (program, the rest as written) of a command line, as CreateProcess takes it."""
    bare = text.strip(" \t")
    if bare.startswith('"'):
        program, _, rest = bare[1:].partition('"')
    else:
        program, _, rest = bare.partition(" ")
    return program, rest.strip(" \t")


def make_batches(keys: Iterable[Key]) -> list[Batch]:
    """Return the probes that ask a Windows host all these questions, each question once."""
    wanted = list(dict.fromkeys(keys))
    batches = []
    registry = [k for k in wanted if k[0] == "r" and split_key(k[1]) is not None]
    for at in range(0, len(registry), KEYS_A_BATCH):
        part = registry[at : at + KEYS_A_BATCH]
        calls = []
        for number, key in enumerate(part):
            hive, path = split_key(key[1]) or ("", "")
            calls.append(f"Read-Key {number} '{hive}' {quote_powershell(path)}\n")
        batches.append(_batch(part, _TEXT + _REGISTRY + "".join(calls), "r"))
    commands = [k for k in wanted if k[0] == "c"]
    start = _COMMANDS % {"milliseconds": COMMAND_SECONDS * 1000, "cap": TEXT_CAP}
    for at in range(0, len(commands), COMMANDS_A_BATCH):
        part = commands[at : at + COMMANDS_A_BATCH]
        calls = []
        for number, key in enumerate(part):
            program, rest = split_command_line(key[1])
            calls.append(f"Invoke-Sca {number} {quote_powershell(program)} {quote_powershell(rest)}\n")
        batches.append(_batch(part, _TEXT + start + "".join(calls), "c", root=True))
    files = [k for k in wanted if k[0] in "ef"]
    if files:
        calls = [f"Read-File {n} {quote_powershell(k[1])} ${str(k[0] == 'f').lower()}\n" for n, k in enumerate(files)]
        batches.append(_batch(files, _TEXT + _FILES % {"cap": TEXT_CAP} + "".join(calls), "f"))
    return batches


def _batch(keys: Sequence[Key], command: str, kind: str, *, root: bool = False) -> Batch:
    name = f"sca.w{kind}.{hashlib.sha256(command.encode()).hexdigest()[:16]}"
    return Batch(Probe(name, command, root=root, timeout=180.0, cap=BATCH_CAP), tuple(keys))


def read_status(key: Key, word: str, lines: Sequence[str]) -> Answer:
    """Make an Answer of what a batch printed for a question."""
    text = tuple(lines)
    if key[0] == "r":
        return Answer(READ, text) if word == "reg" else Answer(BROKEN)
    if key[0] == "c":
        if re.fullmatch(r"-?\d+", word):
            return Answer(STARTED, text)
        return Answer({"none": NOT_STARTED, "late": LATE, "cut": "large"}.get(word, BROKEN))
    known = {"absent": ABSENT, "other": "other", "refused": REFUSED, "cut": "large"}
    return Answer(READ, text) if word == "read0" else Answer(known.get(word, BROKEN))


def read_views(answer: Answer) -> list[View]:
    """Given the answer to a registry question, return the 64-bit view and the 32-bit one."""
    views: list[tuple[str, list[str], list[tuple[str, str, str]]]] = []
    for line in answer.lines:
        kind, _, rest = line.partition(" ")
        if kind == "w":
            views.append((READ if rest == "present" else rest, [], []))
        elif views and kind == "k":
            views[-1][1].append(unquote(rest))
        elif views and kind == "v":
            data_type, name, data = (*rest.split(" ", 2), "", "")[:3]
            views[-1][2].append((unquote(name), data_type, unquote(data)))
    return [View(state, tuple(keys), tuple(values)) for state, keys, values in views]


def render(data_type: str, data: str, dialect: int) -> str:
    """Return a value's data as Wazuh compares it. Wazuh 4 ends each of several strings with a blank."""
    if data_type == "MultiString":
        return "".join(f"{part} " for part in data.split("\n") if part) if dialect == 4 else " ".join(data.split("\n"))
    if data_type == "QWord" and dialect == 4 and data.isdigit():
        return int(data).to_bytes(8, "little").hex()
    return data
