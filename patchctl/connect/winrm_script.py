"""How a script of any length comes to PowerShell over WinRM, and what comes back on stderr. Pure text.

cmd.exe takes 8,191 characters, which as base64 of UTF-16 is about 3,000 characters of script. So -EncodedCommand holds
a short bootstrap only, and the script comes on standard input: one line of base64 (of UTF-8), then one for each piece
of data for the script. All of it is ASCII, so no code page can change it. powershell.exe reads a redirected standard
input itself and hands it on as $input, line by line; reading [Console]::In beside it would race with that.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

NOT_ELEVATED = 223
"""What the bootstrap exits with when elevation is needed and not held; the script did not run then."""
_NONCE = re.compile(r"[0-9a-f]{32}")
_SHELL = "powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand "
_BOOTSTRAP = """$ProgressPreference='SilentlyContinue'
[Console]::OutputEncoding=New-Object Text.UTF8Encoding $false
$w=New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
$e=$w.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
[Console]::Error.WriteLine('{nonce} '+$e)
if({need} -and -not $e){{exit {not_elevated}}}
if(-not $input.MoveNext()){{[Console]::Error.WriteLine('no script came');exit 222}}
$s=[scriptblock]::Create([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($input.Current)))
{run}
"""
_PLAIN = "& $s"
_FED = "$input|ForEach-Object{,[Convert]::FromBase64String($_)}|& $s"
_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_CLIXML = b"#< CLIXML"


def bootstrap(nonce: str, *, need_elevation: bool, data: bool) -> str:
    """Return the text that -EncodedCommand holds.

    It first writes `nonce True|False` to stderr: whether the token is an elevated Administrator's. With `data` the
    script gets byte arrays as its pipeline input ($_ in a process block).
    """
    if not _NONCE.fullmatch(nonce):
        raise ValueError("a nonce is 32 hexadecimal digits")
    return _BOOTSTRAP.format(
        nonce=nonce, need="$true" if need_elevation else "$false", not_elevated=NOT_ELEVATED,
        run=_FED if data else _PLAIN)


def command_line(text: str) -> str:
    """Return the command line that runs a short PowerShell text."""
    return _SHELL + base64.b64encode(text.encode("utf-16-le")).decode("ascii")


def read_bootstrap(text: str) -> tuple[str, bool] | None:
    """Return (nonce, whether elevation is needed) of a text that is the bootstrap to the letter, else None."""
    found = _NONCE.search(text)
    if found is None:
        return None
    for need in (False, True):
        for data in (False, True):
            if text == bootstrap(found[0], need_elevation=need, data=data):
                return found[0], need
    return None


def input_lines(script: str, data: Iterable[bytes]) -> Iterator[bytes]:
    """Give what goes to standard input: the script's line, then one line for each piece of data that is not empty."""
    yield base64.b64encode(script.encode("utf-8")) + b"\r\n"
    for piece in data:
        if piece:
            yield base64.b64encode(piece) + b"\r\n"


def split_nonce(stderr: bytes, nonce: str) -> tuple[bytes, bool | None]:
    """Return stderr without the bootstrap's line, and what that said of elevation (None = it never came)."""
    found = re.search(rf"{nonce} (True|False)\r?\n".encode("ascii"), stderr)
    if found is None:
        return stderr, None
    return stderr[:found.start()] + stderr[found.end():], found[1] == b"True"


def decode_clixml(stderr: bytes) -> bytes:
    """Return stderr as a person reads it: the texts of error, warning and verbose records, no progress records.

    CLIXML (MS-PSRP 2.2.5) is written by powershell.exe when its stderr is redirected. What is not readable as such
    stays as it is: host output is hostile, and hiding it would be worse.
    """
    if _CLIXML not in stderr:
        return stderr
    before, *documents = stderr.split(_CLIXML)
    parts = [before]
    for document in documents:
        text = document.lstrip(b"\r\n")
        end = text.rfind(b"</Objs>")
        read = _texts(text[: end + len(b"</Objs>")]) if end >= 0 else None
        parts += [_CLIXML, document] if read is None else [read, text[end + len(b"</Objs>"):].lstrip(b"\r\n")]
    return b"".join(parts)


def _texts(document: bytes) -> bytes | None:
    if b"<!" in document:  # no record has a DTD: never expand entities of a host's
        return None
    try:
        root = ET.fromstring(f"<all>{document.decode('utf-8', 'replace')}</all>")  # noqa: S314 - no DTD, see above
    except ET.ParseError:
        return None
    streams = ("Error", "Warning", "Verbose", "Debug", "Info")
    found = [
        element.text or "" for element in root.iter()
        if element.tag.rpartition("}")[2] == "S" and element.get("S") in streams
    ]
    text = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), "".join(found)).replace("\r\n", "\n")
    return text.encode("utf-8", "replace")
