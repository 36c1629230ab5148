r"""Texts that take off what is installed: programs by their own file, products by their code, updates by dism.

`wusa /uninstall` refuses cumulative updates, and quiet ones on newer systems; dism takes them off by their package's
identity, which component servicing knows. Batch for programs (run by Wine's msiexec), PowerShell for updates (never run
on Windows).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.model.errors import UsageError
from patchctl.model.facts import Artefact
from patchctl.model.text import quote_powershell
from patchctl.platforms.windows.earlier import SERVICING, kb_of, why_stays

_PRODUCT = re.compile(r"\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}")
_PROGRAM = re.compile(r'"?[A-Za-z]:(?:\\[A-Za-z0-9][A-Za-z0-9 ._()-]*)+\.exe"?(?: [/A-Za-z0-9-][A-Za-z0-9=_.:/-]*)*')
# What is gone already is as wanted: a second try after a reboot in the middle must come to the same end.
_JUDGE = """set code=%errorlevel%
for %%c in (1605 1614) do if %code%==%%c echo patchctl: already-gone {what}
for %%c in (1605 1614) do if %code%==%%c set code=0
call :judge {what} %code%
if not %bad%==0 goto :end
"""

_UPDATES = r"""
foreach ($name in $removed) {
  "patchctl: step remove $name"
  try { $here = @(Get-Servicing ($name -split '~')[0]) }
  catch { "patchctl: servicing-unreadable $name $_"; exit 1 }
  if (-not $here.Count) { "patchctl: already-gone $name"; continue }
  if (@($here | Where-Object { $_.Permanent }).Count) { "patchctl: permanent $name"; exit 1 }
  if (@($here | Where-Object { $_.State -eq 'Superseded' }).Count) { "patchctl: superseded $name"; exit 1 }
  foreach ($one in $here) {
    & "$env:SystemRoot\System32\dism.exe" /online /remove-package "/packagename:$($one.Identity)" /quiet /norestart
    $code = $LASTEXITCODE
    "patchctl: exit-code $name $code"
    if (@(0, 3010) -notcontains $code) { exit 1 }
    if ($code -eq 3010) { 'patchctl: reboot-required' }
  }
}
"""


def take_off(artefact: Artefact, number: int) -> str:
    """Return batch lines that take the version off which is in this (staged) file. Raise UsageError where none can."""
    why = why_stays(artefact)
    if why:
        raise UsageError("cannot-uninstall", why, "")
    if artefact.filename.lower().endswith(".msi"):
        command = _msiexec(f'"{artefact.filename}"', number)
    elif _PROGRAM.fullmatch(artefact.uninstall):
        command = f'start "" /wait {artefact.uninstall}'
    else:
        raise UsageError("invalid-name", f"{artefact.uninstall!r} cannot stand in a batch file", "")
    return f"echo patchctl: step remove {artefact.filename}\n{command}\n{_JUDGE.format(what=artefact.filename)}"


def remove_product(code: str, number: int) -> str:
    """Return batch lines that uninstall a product by its code. Raise UsageError for what is none."""
    if not _PRODUCT.fullmatch(code):
        raise UsageError("invalid-name", f"{code!r} is neither a product code nor a KB number", "")
    return f"echo patchctl: step remove {code}\n{_msiexec(code, number)}\n{_JUDGE.format(what=code)}"


def _msiexec(what: str, number: int) -> str:
    return (
        f'start "" /wait msiexec.exe /x {what} /qn /norestart REBOOT=ReallySuppress /l*v "%~dp0remover.{number}.txt"'
    )


def remove_updates(names: Sequence[str]) -> str:
    """Return PowerShell that takes updates off by dism, one after the other; what is superseded or permanent stays."""
    wanted = ", ".join(quote_powershell(name) for name in names if kb_of(name))
    return f"$ErrorActionPreference = 'Stop'\n$removed = @({wanted})\n{SERVICING}{_UPDATES}"
