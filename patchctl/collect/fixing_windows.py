r"""The texts that repair a Windows host: the runner's payload (a batch file), its listing, the answer to it. Pure.

As collect/fixing.py: what is changed is put aside below BACKUPS\ATTEMPT, one folder a fix: `was` (the value as it was),
`restore.cmd` (takes it back), `name`. A fix that fails is taken back at once. The last KEPT attempts stay.

A fix is one of two things: batch lines that call the helpers below (its first line is BATCH), which need nothing but
reg.exe and were run by Wine's cmd; or PowerShell, never run on Windows, which gets its folder as $Folder and leaves
$Folder\restore.ps1 there before it changes anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.collect.fixing import ACCESS_TIME, KEPT
from patchctl.model.errors import UsageError
from patchctl.model.plan import Fix
from patchctl.model.text import quote_powershell

BACKUPS = r"C:\ProgramData\patchctl\backups"
BATCH = "rem batch"
"""First line of a fix that is batch lines."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,200}")
_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,179}")
_KEY = re.compile(r"HK(?:LM|U|CR)(?:\\[A-Za-z0-9][A-Za-z0-9 ._{}()-]*)+")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
_DATA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
TYPES = ("REG_DWORD", "REG_SZ")

_HEAD = r"""@echo off
setlocal EnableExtensions DisableDelayedExpansion
set "self=%~f0"
set "all=@BACKUPS@\@ATTEMPT@"
set bad=0
set doors=
if not exist "@BACKUPS@\." md "@BACKUPS@"
md "%all%"
>"%all%\attempt" echo @ATTEMPT@
if exist "%all%\attempt" goto :room
echo patchctl: no-backup nothing can be put aside below @BACKUPS@, so nothing was changed
exit /b 1
:room
for /f "skip=@KEPT@ delims=" %%d in ('dir /b /ad /o-d "@BACKUPS@"') do rd /s /q "@BACKUPS@\%%d"
"""
_LAST = r"""
if not defined doors goto :over
echo patchctl: step wait for a new login
>"%all%\asking" echo asking
set waited=0
:asking
if exist "%all%\answered" goto :answered
set /a waited+=1
if %waited% gtr @WAIT@ goto :unanswered
ping.exe -n 2 127.0.0.1 >nul
goto :asking
:answered
del /q "%all%\asking" "%all%\answered"
goto :over
:unanswered
del /q "%all%\asking"
set bad=1
for %%d in (%doors%) do call :shut %%d
:over
exit /b %bad%

:begin
set "number=%1"
set "name=%3"
set "dir=%all%\%1"
set failed=
echo patchctl: step fix %1 of %2: %3
md "%dir%"
>"%dir%\name" echo %3
if not exist "%dir%\name" set "failed=there is no room to put anything aside"
exit /b 0

:end
if defined failed goto :end_failed
>>"%all%\results" echo %name%:fix applied
if "%2"=="1" set "doors=%1 %doors%"
exit /b 0
:end_failed
set bad=1
call :back %1 failed
echo patchctl: fix-failed %name% %failed%; %back%
exit /b 0

:shut
set "dir=%all%\%1"
for /f "usebackq delims=" %%n in ("%dir%\name") do set "name=%%n"
call :back %1 taken-back
echo patchctl: fix-failed %name% nobody has logged in anew since; %back%
exit /b 0

:back
>>"%all%\results" echo %name%:fix %2
set "back=taken back"
if not exist "%all%\%1\restore.cmd" goto :back_done
cmd.exe /d /c "%all%\%1\restore.cmd" >nul 2>nul
if errorlevel 1 set "back=could not be taken back as a whole: see %all%\%1"
exit /b 0
:back_done
set "back=nothing was changed"
exit /b 0

rem reg_look KEY VALUE: note what it is now, and how that is put back; nothing is changed where it could not be.
rem What stands in the registry may be hostile: it is looked at before it becomes part of a line, and digits only may.
:reg_look
set was=
set wastype=
set odd=
reg.exe query "%~1" /v "%~2" >>"%dir%\was" 2>nul
if errorlevel 1 goto :reg_absent
reg.exe query "%~1" /v "%~2" >"%dir%\now" 2>nul
for /f "usebackq tokens=1,2,*" %%a in ("%dir%\now") do if /i "%%a"=="%~2" set "wastype=%%b"
for /f "usebackq tokens=1,2,*" %%a in ("%dir%\now") do if /i "%%a"=="%~2" >"%dir%\data" echo 0%%c
for /f "usebackq delims=0123456789abcdefxABCDEF" %%x in ("%dir%\data") do set odd=1
if /i "%wastype%"=="REG_DWORD" goto :reg_kept
if /i "%wastype%"=="REG_SZ" goto :reg_kept
set odd=1
:reg_kept
if defined odd set "failed=%~2 is of another kind (%wastype%) or holds text"
if defined odd exit /b 0
for /f "usebackq tokens=1,2,*" %%a in ("%dir%\now") do if /i "%%a"=="%~2" set "was=%%c"
>>"%dir%\restore.cmd" echo reg.exe add "%~1" /v "%~2" /t %wastype% /d "%was%" /f
>>"%dir%\restore.cmd" echo if errorlevel 1 exit /b 1
exit /b 0
:reg_absent
>>"%dir%\was" echo %~1 %~2 is not there
>>"%dir%\restore.cmd" echo reg.exe query "%~1" /v "%~2" ^>nul 2^>nul
>>"%dir%\restore.cmd" echo if not errorlevel 1 reg.exe delete "%~1" /v "%~2" /f
exit /b 0

rem reg_set KEY VALUE TYPE DATA: a value that is there keeps its type.
:reg_set
if defined failed exit /b 0
call :reg_look %1 %2
if defined failed exit /b 0
set "type=%~3"
if defined wastype set "type=%wastype%"
reg.exe add "%~1" /v "%~2" /t %type% /d "%~4" /f >"%dir%\said" 2>&1
if errorlevel 1 set "failed=reg add ended with %errorlevel%"
exit /b 0

:reg_delete
if defined failed exit /b 0
call :reg_look %1 %2
if defined failed exit /b 0
reg.exe query "%~1" /v "%~2" >nul 2>nul
if errorlevel 1 exit /b 0
reg.exe delete "%~1" /v "%~2" /f >"%dir%\said" 2>&1
if errorlevel 1 set "failed=reg delete ended with %errorlevel%"
exit /b 0
"""
# A section of this very file, between two marks that only this text has; the marks are not whole in the line itself.
_SECTION = (
    '>>"%dir%\\restore.cmd" echo if exist "%dir%\\restore.ps1" powershell.exe -NoProfile -NonInteractive '
    '-ExecutionPolicy Bypass -File "%dir%\\restore.ps1"\n'
    'powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -Command "$Folder = \'%dir%\'; '
    "$m = '#' + '@NONCE@-@NUMBER@#'; $t = [IO.File]::ReadAllText('%self%'); "
    "$t = $t.Substring($t.LastIndexOf($m) + $m.Length); "
    "& ([scriptblock]::Create($t.Substring(0, $t.IndexOf('#' + '@NONCE@-end#'))))\"\n"
    'if errorlevel 1 set "failed=exit code %errorlevel%"\n'
)


def set_value(key: str, value: str, kind: str, data: str) -> str | None:
    """Return batch lines that set a registry value, None for what cannot stand in a batch file as it is."""
    if kind not in TYPES or not (_KEY.fullmatch(key) and _VALUE.fullmatch(value) and _DATA.fullmatch(data)):
        return None
    if kind == "REG_DWORD" and not (data.isdigit() and int(data) < 1 << 32):
        return None
    return f'{BATCH}\ncall :reg_set "{key}" "{value}" {kind} "{data}"\n'


def delete_value(key: str, value: str) -> str | None:
    """Return batch lines that delete a registry value, None likewise."""
    return f'{BATCH}\ncall :reg_delete "{key}" "{value}"\n' if _KEY.fullmatch(key) and _VALUE.fullmatch(value) else None


def render_payload(fixes: Sequence[Fix], attempt: str, nonce: str, wait: int = ACCESS_TIME) -> str:
    """As fixing.render_payload. Raise UsageError for names that cannot stand in a batch file."""
    names = (("attempt", attempt, _ATTEMPT), *(("fix", fix.name, _NAME) for fix in fixes))
    for what, name, pattern in names:
        if not pattern.fullmatch(name):
            raise UsageError("invalid-name", f"{what} {name!r} cannot be used on a Windows host", "")
    values = {
        "BACKUPS": BACKUPS, "ATTEMPT": attempt, "KEPT": str(KEPT), "WAIT": str(int(wait)), "NONCE": nonce,
    }  # fmt: skip
    fixes = sorted(fixes, key=lambda fix: fix.access)  # the way in last
    begun, labels, sections = [], [], []
    for number, fix in enumerate(fixes, 1):
        begun.append(f"call :begin {number} {len(fixes)} {fix.name}\nif not defined failed call :fix{number}\n"
                     f"call :end {number} {int(fix.access)}\n")  # fmt: skip
        batch = fix.script.startswith(f"{BATCH}\n")
        body = fix.script if batch else _SECTION.replace("@NUMBER@", str(number))
        labels.append(f":fix{number}\n{body.rstrip()}\nexit /b 0\n")
        if not batch:
            text = f"$ErrorActionPreference = 'Stop'\n{fix.script.rstrip()}"
            sections.append(f"#{nonce}-{number}#\n{text}\n#{nonce}-end#\n")
    undo = [
        f'>>"%all%\\restore.cmd" echo if exist "%all%\\{number}\\restore.cmd" call "%all%\\{number}\\restore.cmd"\n'
        for number in range(len(fixes), 0, -1)
    ]
    driver = re.sub("@([A-Z]+)@", lambda found: values[found[1]], "".join([_HEAD, *undo, *begun, _LAST]))
    own = "".join(labels).replace("@NONCE@", nonce)
    return f"{driver}\n{own}\n{''.join(sections)}"


def render_listing(attempt: str) -> str:
    """Return PowerShell that lists what became of each fix, as `NAME:fix applied`."""
    path = quote_powershell(f"{BACKUPS}\\{attempt}\\results")
    return f"if ([IO.File]::Exists({path})) {{ [IO.File]::ReadAllLines({path}) }}\n"


def backup_folder(attempt: str) -> str:
    """Return the folder on the host in which an attempt put aside what it changed."""
    return f"{BACKUPS}\\{attempt}"


def render_answer(attempt: str) -> str:
    """Return PowerShell by which the controller, who has just logged in, answers a payload that asks for it."""
    asking, answered = (quote_powershell(f"{BACKUPS}\\{attempt}\\{name}") for name in ("asking", "answered"))
    return f"if ([IO.File]::Exists({asking})) {{ [IO.File]::WriteAllText({answered}, 'in') }}\n"
