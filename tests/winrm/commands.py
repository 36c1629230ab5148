"""A peer's command lines in Wine: cmd, reg, sc, net, wmic, msiexec are real; silent stubs of Wine are failures."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING

from tests.windows.wine import Disk, environment

if TYPE_CHECKING:
    from tests.winrm.shells import Running, Shell

_WORKS_WITHOUT_OUTPUT = (
    "powershell", "pwsh", "dism", "schtasks", "systeminfo", "tasklist", "shutdown", "findstr", "where", "certutil",
    "wusa", "pnputil", "bcdedit", "auditpol", "secedit", "quser", "qwinsta",
)
_STUB = re.compile(
    rf'(?:^|[&|(]|\bcmd(?:\.exe)?\s+/c)\s*"?(?:[^\s"&|]*\\)?({"|".join(_WORKS_WITHOUT_OUTPUT)})(?:\.exe)?\b', re.I)


class Commands:
    """Runs command lines in one disk's cmd.exe. Exit codes come back whole, by a file: Unix ones have eight bits."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def windows_path(self, path: Path) -> str:
        return "Z:" + str(path).replace("/", "\\")

    def __call__(self, command: Running, shell: Shell) -> None:
        stub = _STUB.search(command.line)
        if stub is not None:
            command.emit(
                "stderr", f"'{stub[1]}' prints nothing and succeeds under Wine: not run by this peer\r\n".encode())
            command.finish(9009)
            return
        folder = Path(tempfile.mkdtemp(prefix="winrs"))
        batch, rc = folder / "c.bat", folder / "rc"
        escaped = re.sub(r'([&|<>^"()])', r"^\1", command.line).replace("%", "%%")  # the inner cmd sees it as sent
        try:
            text = f"@echo off\r\ncmd /c {escaped}\r\n>{self.windows_path(rc)} echo %ERRORLEVEL%\r\n".encode("cp437")
        except UnicodeEncodeError:
            command.emit("stderr", b"this peer takes only characters of code page 437 in command lines\r\n")
            command.finish(9009)
            return
        batch.write_bytes(text)
        process = subprocess.Popen(
            ["wine", "cmd", "/c", self.windows_path(batch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env={**environment(self.disk.prefix), **shell.environment}, cwd=folder,
            start_new_session=True)
        command.kill = lambda: _kill(process)
        command.on_feed = lambda data, last: _feed(process, data, last=last)
        pumps = [
            threading.Thread(target=_pump, args=(stream, name, command), daemon=True)
            for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr"))
        ]
        for pump in pumps:
            pump.start()
        threading.Thread(target=_end, args=(process, pumps, command, folder), daemon=True).start()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _feed(process: subprocess.Popen[bytes], data: bytes, *, last: bool) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, ValueError):
        process.stdin.write(data)
        process.stdin.flush()
        if last:
            process.stdin.close()


def _pump(stream: IO[bytes], name: str, command: Running) -> None:
    """Pass output on in the shell's code page: Wine prints in the OEM one, 437 here (wmic in UTF-16, as on Windows)."""
    while data := os.read(stream.fileno(), 8192):
        if command.codepage == 65001 and not data.startswith(b"\xff\xfe") and b"\0" not in data:
            data = data.decode("cp437").encode("utf-8")
        command.emit(name, data)


def _end(process: subprocess.Popen[bytes], pumps: list[threading.Thread], command: Running, folder: Path) -> None:
    code = process.wait()
    for pump in pumps:
        pump.join(2)
    try:
        code = int((folder / "rc").read_text().strip())
    except (OSError, ValueError):
        code = code if code >= 0 else 1
    shutil.rmtree(folder, ignore_errors=True)
    command.finish(code)
