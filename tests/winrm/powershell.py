"""PowerShell at the peer: there is no engine here. A script is answered from a transcript, or it FAILS.

How a script arrives is real: -EncodedCommand (base64 of UTF-16LE) with cmd.exe's limit of 8191 characters, and the
transport's bootstrap, which takes the script from standard input.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from patchctl.connect.winrm_script import read_bootstrap

if TYPE_CHECKING:
    from tests.winrm.shells import Running

_ENCODED = re.compile(r"^\s*powershell(?:\.exe)?\b.*?\s-e(?:nc|ncodedcommand)?\s+([A-Za-z0-9+/=]+)\s*$", re.I)
_CMD_LIMIT = 8191


@dataclass(frozen=True, slots=True)
class Answer:
    """What a script prints and how it ends."""

    stdout: bytes | str = b""
    stderr: bytes | str = b""
    rc: int = 0
    errors: tuple[str, ...] = ()
    """Error records: written to stderr as CLIXML, after a progress record, as powershell.exe does."""
    until: Callable[[Running], bool] | None = None
    """Called after the output: ends when it returns; False = the command was ended meanwhile."""


Transcript = Callable[[str, bytes], "Answer | None"] | Mapping[str, "Answer"]
"""Given a script and what it is fed, its answer; None = not known, which fails. Or scripts by their exact text."""


@dataclass(frozen=True, slots=True)
class Script:
    """A PowerShell script on its way. `nonce` is set when the transport's bootstrap carries it."""

    text: str
    data: bytes = b""
    nonce: str = ""
    needs_elevation: bool = False
    fed: bool = False

    def complete(self, command: Running) -> Script | None:
        """Return it with what comes on standard input; None when the command was ended before all had come."""
        if not self.fed:
            return self
        got = command.wait_for_input()
        if got is None:
            return None
        lines = [line for line in got.decode("ascii").splitlines() if line]
        parts = [base64.b64decode(line, validate=True) for line in lines]
        return Script(parts[0].decode("utf-8"), b"".join(parts[1:]), self.nonce, self.needs_elevation)


def read_line(line: str) -> Script | None:
    """Return the script of a command line, None when it is no powershell -EncodedCommand."""
    found = _ENCODED.match(line)
    if found is None:
        return None
    try:
        text = base64.b64decode(found[1], validate=True).decode("utf-16-le")
    except (binascii.Error, UnicodeDecodeError):
        return None
    carried = read_bootstrap(text)
    if carried is None:
        return Script(text)
    nonce, needs = carried
    return Script("", nonce=nonce, needs_elevation=needs, fed=True)


def too_long_for_cmd(line: str, *, skip_shell: bool) -> bool:
    """WinRS wraps every command in cmd /c, whose limit is 8191 characters."""
    return not skip_shell and len(line) > _CMD_LIMIT - len("cmd /c ")


def clixml(errors: tuple[str, ...]) -> bytes:
    r"""As powershell.exe writes to a redirected stderr: a progress record, then error lines with _x000D__x000A_."""
    progress = (
        '<Obj S="progress" RefId="0"><TN RefId="0"><T>System.Management.Automation.PSCustomObject</T><T>System.Object'
        '</T></TN><MS><I64 N="SourceId">1</I64><PR N="Record"><AV>Preparing modules for first use.</AV>'
        "<AI>0</AI><Nil /><PI>-1</PI><PC>-1</PC><T>Completed</T><SR>-1</SR><SD> </SD></PR></MS></Obj>")
    lines = "".join(
        f'<S S="Error">{escape(line)}_x000D__x000A_</S>' for error in errors for line in error.splitlines())
    return (
        '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
        f"{progress}{lines}</Objs>"
    ).encode()


class Engine:
    """Answers scripts. `unknown` collects those it had no answer for: a test looks at it when it ends."""

    def __init__(self) -> None:
        self.transcript: Transcript = {}
        self.elevated = True
        self.unknown: list[str] = []

    def run(self, command: Running, script: Script) -> None:
        if script.nonce:
            command.emit("stderr", f"{script.nonce} {self.elevated}\r\n".encode())
            if script.needs_elevation and not self.elevated:
                command.finish(223)
                return
        known = self.transcript
        try:
            answer = known(script.text, script.data) if callable(known) else known.get(script.text)
        except Exception as error:  # a test's own mistake must not look like a host that hangs
            self.unknown.append(f"{error!r} at {script.text[:200]!r}")
            command.finish(254)
            raise
        if answer is None:
            self.unknown.append(script.text)
            command.emit("stderr", clixml((f"NO TRANSCRIPT for this script: {script.text[:200]!r}",)))
            command.finish(255)
            return
        command.emit("stdout", _encode(answer.stdout))
        command.emit("stderr", _encode(answer.stderr))
        if answer.errors:
            command.emit("stderr", clixml(answer.errors))
        if answer.until is None or answer.until(command):
            command.finish(answer.rc)


def _encode(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8")
