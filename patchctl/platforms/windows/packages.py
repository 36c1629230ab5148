r"""What installs packages on Windows: a batch file, because cmd, msiexec and reg also run where there is no PowerShell.

Files (.msi, .msu, .cab, .exe) are installed one by one, the first that fails ends it; where an earlier version is put
back, the later one is taken off first. Updates follow, by PowerShell text that stands behind the batch file's end. The
exit code is 0, or that of the first installer that failed. Every code is printed as `patchctl: exit-code FILE NUMBER`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.model.errors import UsageError
from patchctl.model.facts import Artefact, HostFacts, Update
from patchctl.model.plan import Change
from patchctl.model.text import quote_powershell
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.windows.codes import INSTALLER, UPDATE_AGENT, spellings
from patchctl.platforms.windows.earlier import kb_of
from patchctl.platforms.windows.names import CARRIER
from patchctl.platforms.windows.probes import UNINSTALL
from patchctl.platforms.windows.removal import remove_product, remove_updates, take_off
from patchctl.platforms.windows.system_task import as_system
from patchctl.platforms.windows.update_agent import install_text, search_text

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,200}\.(?P<kind>msi|msu|cab|exe)", re.IGNORECASE)
_FOLDER = re.compile(r"[A-Za-z]:(?:\\[A-Za-z0-9][A-Za-z0-9 ._-]*)+")
# wusa takes .msu files when SYSTEM calls it; programs must know the usual words for silence.
_COMMANDS = {
    "msi": 'start "" /wait msiexec.exe /i "{file}" /qn /norestart REBOOT=ReallySuppress '
           '/l*v "%~dp0installer.{number}.txt"',
    "msu": 'start "" /wait wusa.exe "%CD%\\{file}" /quiet /norestart',
    "cab": 'dism.exe /online /add-package "/packagepath:%CD%\\{file}" /quiet /norestart',
    "exe": 'start "" /wait "%CD%\\{file}" /quiet /norestart',
}
_HEAD = """@echo off
setlocal EnableExtensions DisableDelayedExpansion
set bad=0
"""
_END = """goto :end

:judge
echo patchctl: exit-code %1 %2
for %%c in ({good}) do if "%2"=="%%c" goto :good
set bad=%2
exit /b 0
:good
for %%c in ({reboot}) do if "%2"=="%%c" echo patchctl: reboot-required
exit /b 0

:end
exit /b %bad%
"""
_AGENT = (
    "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "
    '"$t = [IO.File]::ReadAllText(\'%~f0\'); & ([scriptblock]::Create($t.Substring($t.LastIndexOf(\'#AGENT\' + \'#\')'
    ' + 7)))"\n'
    "if not %errorlevel%==0 set bad=%errorlevel%\n"
)

_PROGRAMS = r"""
foreach ($view in @(@('x64', 'HKLM:\SOFTWARE\@KEY@'), @('x86', 'HKLM:\SOFTWARE\WOW6432Node\@KEY@'))) {
  foreach ($item in @(Get-ItemProperty -Path "$($view[1])\*" -ErrorAction SilentlyContinue)) {
    if (-not $item.DisplayName -or $item.SystemComponent -eq 1 -or $item.ParentKeyName) { continue }
    $version = "$($item.DisplayVersion)"
    $name = $item.DisplayName
    if ($version) { $name = $name.Replace($version, '') }
    $name = $name -replace '\s*\(?\b(?:x64|x86|amd64|arm64|64-bit|32-bit)\b(?: edition)?\)?', ''
    $name = ($name.Trim() -replace '[\s:]+', '-').Trim('-')
    if (-not $version) { $version = 'unknown' }
    if ($wanted -contains $name) { $name + ':' + $view[0] + ' ' + $version }
  }
}
"""
_UPDATES = r"""
$listed = @(& ([scriptblock]::Create($search)) | ForEach-Object { ConvertFrom-Json $_ })
$here = @($listed | Where-Object { $_.kind -eq 'update' -and $_.installed })
$known = @()
foreach ($one in $here) {
  $kb = 'KB' + @($one.kb)[0]
  $known += $kb
  $long = $kb + '~' + $one.id.Substring(0, 8)
  foreach ($name in @($kb, $long, $one.id)) {
    if ($wanted -contains $name) { $name + ':windows-update ' + $one.id + '.' + $one.revision }
  }
}
foreach ($fix in @(Get-CimInstance Win32_QuickFixEngineering | ForEach-Object { $_.HotFixID })) {
  if ($wanted -contains $fix -and $known -notcontains $fix) { $fix + ':hotfix installed' }
}
"""


def fingerprint_text(packages: Sequence[str]) -> str:
    """Return PowerShell that prints `package:arch version` of those that are installed.

    The update agent is asked, offline, only where one of the names can be its.
    """
    names = sorted(set(packages))
    text = f"$wanted = @({', '.join(map(quote_powershell, names))})\n" + _PROGRAMS.replace("@KEY@", UNINSTALL)
    if any(re.match(r"KB\d|[0-9a-f]{8}-", name) for name in names):
        search = as_system(search_text(online=False), 540)
        text += f"$search = {quote_powershell(search)}\n{_UPDATES}"
    return text


def install_batch(request: InstallRequest) -> str:
    """Return the payload. Raise UsageError for what cannot stand in a batch file as it is: nothing is quoted there."""
    files = {artefact.sha256: artefact for artefact in request.artefacts}
    carried = [change for change in request.changes if change.carrier == CARRIER]
    updates = [removal for removal in request.removals if kb_of(removal)]
    lines = [_HEAD]
    if not _FOLDER.fullmatch(request.directory):
        raise UsageError("invalid-name", f"{request.directory!r} cannot be a folder in a batch file", "")
    if len(carried) < len(request.changes):
        lines.append(f'if not exist "{request.directory}\\." exit /b 3\ncd /d "{request.directory}"\n')
    for number, change in enumerate((c for c in request.changes if c.carrier != CARRIER), 1):
        lines.append(_install(change, files, number))
    for number, removal in enumerate((r for r in request.removals if not kb_of(r)), 1):
        lines.append(remove_product(removal, number))
    if carried or updates:
        lines.append(f"echo patchctl: step {'update-agent' if carried else 'remove-updates'}\n{_AGENT}")
    good = " ".join(word for code in (*INSTALLER, *UPDATE_AGENT) if code.ok for word in spellings(code.number)[:1])
    reboot = " ".join(str(code.number) for code in INSTALLER if code.ok and code.reboot)
    lines.append(_END.format(good=good, reboot=reboot))
    if carried or updates:
        removing = remove_updates(updates) if updates else ""
        lines.append(f"#AGENT#\n{removing}{install_text(carried) if carried else ''}")
    return "".join(lines)


def _install(change: Change, files: dict[str, Artefact], number: int) -> str:
    artefact = files.get(change.sha256) or next((a for a in files.values() if a.package == change.package), None)
    found = _FILE.fullmatch(artefact.filename) if artefact is not None else None
    if artefact is None or found is None:
        name = artefact.filename if artefact else ""
        raise UsageError("invalid-name", f"{name!r} of {change.package!r} is no file that Windows installs",
                         "it must end in .msi, .msu, .cab or .exe, of letters, digits and . _ + ~ - only")
    there = files.get(change.replaces)
    if change.replaces and there is None:
        raise UsageError("invalid-name", f"no file is known of the {change.package} that is to be taken off", "")
    off = take_off(there, number) if there is not None else ""
    command = _COMMANDS[found["kind"].lower()].format(file=artefact.filename, number=number)
    return (
        f"{off}echo patchctl: step install {artefact.filename}\n{command}\n"
        f"call :judge {artefact.filename} %errorlevel%\nif not %bad%==0 goto :end\n"
    )


def download_text(artefacts: Sequence[Artefact], directory: str) -> str:
    """Return PowerShell that fetches files by http(s) into the directory, checks SHA-256, and says have or miss.

    A file without an address is looked for among the packages that Windows Installer keeps.
    """
    items = ",\n".join(
        f"@({quote_powershell(a.sha256)}, {quote_powershell(a.filename)}, {quote_powershell(a.uri)}, {int(a.size)})"
        for a in artefacts
    )
    return f"""& {{
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor 3072
$directory = {quote_powershell(directory)}
foreach ($item in @({items})) {{
  $sum, $file, $uri, $size = $item
  try {{
    $part = "$directory\\$file.part"
    if (-not $uri) {{
      foreach ($kept in [IO.Directory]::GetFiles("$env:SystemRoot\\Installer", '*.msi')) {{
        if ((New-Object IO.FileInfo $kept).Length -ne $size) {{ continue }}
        if ((Get-FileHash -LiteralPath $kept -Algorithm SHA256).Hash -ne $sum) {{ continue }}
        [IO.File]::Copy($kept, $part, $true)
        [IO.File]::Delete("$directory\\$file"); [IO.File]::Move($part, "$directory\\$file")
        "have $sum"
        break
      }}
      continue
    }}
    if ($uri -notmatch '^https?://') {{ throw 'no http or https address' }}
    (New-Object Net.WebClient).DownloadFile($uri, $part)
    $seen = (Get-FileHash -LiteralPath $part -Algorithm SHA256).Hash
    if ($seen -ne $sum) {{ [IO.File]::Delete($part); throw "has SHA-256 $seen" }}
    [IO.File]::Delete("$directory\\$file"); [IO.File]::Move($part, "$directory\\$file")
    "have $sum"
  }} catch {{ "miss $sum $_" }}
}}
}}
"""


def echo_text(changes: Sequence[Change]) -> str:
    """Return PowerShell that gives the changes back: nothing else is pulled in, and the host is still there."""
    lines = (f"{c.package}\t{c.arch}\t{c.from_version}\t{c.to_version}" for c in changes)
    return f"'@@ changes'; @({', '.join(map(quote_powershell, lines))}); '@@ end'"


def read_resolution(output: str) -> HostFacts:
    """Read what echo_text printed."""
    lines = [line.rstrip("\r") for line in output.strip().splitlines()]
    if lines[:1] != ["@@ changes"] or lines[-1:] != ["@@ end"]:
        return HostFacts(unknown=(("updates", "the host's answer is not whole"),))
    found = [line.split("\t") for line in lines[1:-1]]
    return HostFacts(updates=tuple(Update(w[0], w[1], w[2], w[3]) for w in found if len(w) == 4))
