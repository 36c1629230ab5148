"""As deliver/send.py for hosts that speak PowerShell: artefacts into a directory on the host, and back from there."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence

from patchctl.deliver.cache import CHUNK, ArtefactCache, ArtefactError
from patchctl.deliver.send import RunOnHost, file_name
from patchctl.model.facts import Artefact
from patchctl.model.text import decode, quote_powershell

_BLOCK = 1_048_576
_BLOCKS = 4
"""1 MiB blocks a read: they come as base64, a line each."""

_SETUP = r"""
$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = New-Object Text.UTF8Encoding $false
function Say([string]$text) { [Console]::Out.Write("`n" + $Nonce + ' ' + ($text -replace '[\r\n\0]+', ' ') + "`n") }
function Test-Sum([string]$path, [string]$sum) {
  if (-not (Test-Path -LiteralPath $path)) { return $false }
  return (Get-FileHash -LiteralPath $path -Algorithm SHA256).Hash -eq $sum
}
"""

# The folder above is made by the rules of collect/runner_windows_functions.py: SYSTEM and Administrators only.
_LIST = r"""
try {
  $base = [Environment]::GetFolderPath('CommonApplicationData') + '\patchctl'
  if (-not $Directory.StartsWith("$base\stage\")) { throw "staged files belong below $base\stage" }
  $acl = New-Object Security.AccessControl.DirectorySecurity
  $acl.SetSecurityDescriptorSddlForm('O:BAG:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
  [void][IO.Directory]::CreateDirectory($base, $acl)
  $owner = (Get-Acl -LiteralPath $base).GetOwner([Security.Principal.SecurityIdentifier]).Value
  if (@('S-1-5-18', 'S-1-5-32-544') -notcontains $owner) { throw "$base belongs to $owner" }
  [void][IO.Directory]::CreateDirectory($Directory)
  foreach ($part in [IO.Directory]::GetFiles($Directory, '*.part')) { [IO.File]::Delete($part) }
  foreach ($line in $Sums) {
    $sum, $file = $line -split ' ', 2
    if (Test-Sum "$Directory\$file" $sum) { Say "have $sum" }
  }
  Say 'end'
} catch { Say "no $_" }
"""

_ACCEPT = r"""
foreach ($line in $Sums) {
  $sum, $file = $line -split ' ', 2
  try {
    if (Test-Sum "$Directory\$file.part" $sum) {
      [IO.File]::Delete("$Directory\$file")
      [IO.File]::Move("$Directory\$file.part", "$Directory\$file")
      Say "have $sum"
    } else { [IO.File]::Delete("$Directory\$file.part") }
  } catch { Say "error $_" }
}
Say 'end'
"""

# The transport hands the bytes over as pipeline input, piece by piece (connect/winrm_script.py).
_RECEIVE = (
    "begin {{ $out = [IO.File]::Open({path}, 'Create', 'Write', 'None') }} "
    "process {{ $out.Write($_, 0, $_.Length) }} end {{ $out.Flush($true); $out.Dispose() }}"
)

_READ = r"""
Say 'begin'
$in = [IO.File]::Open($Path, 'Open', 'Read', 'Read')
try {
  [void]$in.Seek($Start, 'Begin')
  $bytes = New-Object byte[] 1048576
  for ($i = 0; $i -lt $Blocks; $i++) {
    $count = 0
    while ($count -lt $bytes.Length) {
      $more = $in.Read($bytes, $count, $bytes.Length - $count)
      if ($more -le 0) { break }
      $count += $more
    }
    if ($count) { Say "data $([Convert]::ToBase64String($bytes, 0, $count))" }
  }
} finally { $in.Dispose() }
Say 'end'
"""


def drop_staged(run: RunOnHost, directory: str) -> None:
    """Remove the directory."""
    path = quote_powershell(directory)
    run(f"if (Test-Path -LiteralPath {path}) {{ Remove-Item -LiteralPath {path} -Recurse -Force }}\n", None, 65536)


def list_staged(run: RunOnHost, directory: str, artefacts: Sequence[Artefact], nonce: str) -> set[str]:
    """Make the directory and return the SHA-256 of those artefacts that are whole in it. Raise ArtefactError."""
    lines = _ask(run, directory, artefacts, nonce, _LIST)
    if "end" not in lines:
        words = next((line[3:] for line in lines if line.startswith("no ")), "no answer")
        raise ArtefactError("disk-staging", f"cannot use {directory}: {words}", "check the disk's free space")
    return {line[5:].lower() for line in lines if line.startswith("have ")}


def send_artefacts(
    run: RunOnHost, directory: str, artefacts: Sequence[Artefact], cache: ArtefactCache, nonce: str
) -> dict[str, ArtefactError]:
    """Send artefacts from the cache; each appears under its name only after the host itself found the right hash.

    Return the errors by SHA-256.
    """
    errors: dict[str, ArtefactError] = {}
    sent: list[Artefact] = []
    for artefact in artefacts:
        try:
            path = quote_powershell(f"{directory}\\{file_name(artefact)}.part")
            run(_RECEIVE.format(path=path), cache.read(artefact.sha256), _BLOCK)
            sent.append(artefact)
        except ArtefactError as error:
            errors[artefact.sha256] = error
    lines = _ask(run, directory, sent, nonce, _ACCEPT) if sent else []
    arrived = {line[5:].lower() for line in lines if line.startswith("have ")}
    for artefact in sent:
        if artefact.sha256 not in arrived:
            errors[artefact.sha256] = ArtefactError(
                "artefact-not-staged", f"{artefact.filename} did not arrive whole", "check the host's free space")
    return errors


def read_back(run: RunOnHost, directory: str, artefact: Artefact, nonce: str) -> Iterator[bytes]:
    """Yield the content of a staged artefact in pieces. Raise ArtefactError when it is cut."""
    path = quote_powershell(f"{directory}\\{file_name(artefact)}")
    for start in range(0, artefact.size or 1, _BLOCK * _BLOCKS):
        setup = f"$Nonce = {quote_powershell(nonce)}\n$Path = {path}\n$Start = {start}\n$Blocks = {_BLOCKS}\n"
        lines = _lines(run(f"& {{\n{setup}{_SETUP}{_READ}}}\n", None, 2 * (_BLOCKS + 1) * _BLOCK), nonce)
        if lines[:1] != ["begin"] or lines[-1:] != ["end"]:
            raise ArtefactError("artefact-download", f"reading {artefact.filename} back was cut")
        for line in lines[1:-1]:
            data = base64.b64decode(line.removeprefix("data "))
            for offset in range(0, len(data), CHUNK):
                yield data[offset:offset + CHUNK]


def _ask(run: RunOnHost, directory: str, artefacts: Sequence[Artefact], nonce: str, body: str) -> list[str]:
    sums = ", ".join(quote_powershell(f"{artefact.sha256} {file_name(artefact)}") for artefact in artefacts)
    head = f"$Nonce = {quote_powershell(nonce)}\n$Directory = {quote_powershell(directory)}\n$Sums = @({sums})\n"
    return _lines(run(f"& {{\n{head}{_SETUP}{body}}}\n", None, _BLOCK), nonce)


def _lines(output: bytes, nonce: str) -> list[str]:
    """Return what the host said with our nonce before it, without it."""
    lines = (line.rstrip("\r") for line in decode(output).split("\n"))
    return [line[len(nonce) + 1:] for line in lines if line.startswith(f"{nonce} ")]
