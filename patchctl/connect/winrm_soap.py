"""The messages of WS-Management's Windows shell, written and read: MS-WSMV 2.2.4 and 3.1.4, DSP0226. Pure text.

pywinrm builds the same from nested dictionaries: a third of the CPU that a visit costs.
"""

from __future__ import annotations

import base64
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CMD = f"{SHELL}/cmd"
_ANYBODY = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd" '
    f'xmlns:p="http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd" xmlns:rsp="{SHELL}"><s:Header>'
    "<a:To>http://windows-host:5985/wsman</a:To>"
    f'<a:ReplyTo><a:Address s:mustUnderstand="true">{_ANYBODY}</a:Address></a:ReplyTo>'
    '<w:MaxEnvelopeSize s:mustUnderstand="true">153600</w:MaxEnvelopeSize>'
    '<w:Locale s:mustUnderstand="false" xml:lang="en-US"/><p:DataLocale s:mustUnderstand="false" xml:lang="en-US"/>'
)
"""153,600 bytes is the smallest envelope that every service accepts and sends."""


def create(shell: str, idle: str) -> str:
    """Open a shell under an id of our own. `idle`: an ISO 8601 duration without requests, after which it ends."""
    return _message(
        f"{TRANSFER}/Create", "", 20,
        f"<rsp:Shell ShellId={quoteattr(shell)}><rsp:IdleTimeOut>{idle}</rsp:IdleTimeOut>"
        "<rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>",
        WINRS_NOPROFILE="TRUE", WINRS_CODEPAGE="65001")


def command(shell: str, line: str) -> str:
    """Start a command line, whose standard input is a pipe and no console."""
    return _message(
        f"{SHELL}/Command", shell, 20,
        f"<rsp:CommandLine><rsp:Command>{escape(line)}</rsp:Command></rsp:CommandLine>",
        WINRS_CONSOLEMODE_STDIN="FALSE", WINRS_SKIP_CMD_SHELL="FALSE")


def send(shell: str, identity: str, data: bytes, *, end: bool) -> str:
    """Feed standard input; `end` closes it."""
    return _message(
        f"{SHELL}/Send", shell, 20,
        f'<rsp:Send><rsp:Stream CommandId={quoteattr(identity)} Name="stdin" End="{str(end).lower()}">'
        f"{base64.b64encode(data).decode()}</rsp:Stream></rsp:Send>")


def receive(shell: str, identity: str, seconds: int) -> str:
    """Ask for output, for which the service may wait so long."""
    return _message(
        f"{SHELL}/Receive", shell, seconds,
        f"<rsp:Receive><rsp:DesiredStream CommandId={quoteattr(identity)}>stdout stderr</rsp:DesiredStream>"
        "</rsp:Receive>")


def terminate(shell: str, identity: str) -> str:
    """End a command, or let the service forget one that has ended."""
    return _message(
        f"{SHELL}/Signal", shell, 20,
        f"<rsp:Signal CommandId={quoteattr(identity)}><rsp:Code>{SHELL}/signal/terminate</rsp:Code></rsp:Signal>")


def delete(shell: str, resource: str = CMD) -> str:
    """Delete a shell of that kind, and whatever runs in it."""
    return _message(f"{TRANSFER}/Delete", shell, 20, "", resource)


def read_shell(answer: bytes) -> str:
    """Return the id of the shell that was made. Raise ValueError."""
    for node in _root(answer).iter():
        if node.get("Name") == "ShellId" and node.text:
            return node.text
    raise ValueError("no shell in the answer")


def read_command(answer: bytes) -> str:
    """Return the id of the command that was started. Raise ValueError."""
    node = _root(answer).find(f".//{{{SHELL}}}CommandId")
    if node is None or not node.text:
        raise ValueError("no command in the answer")
    return node.text


def read_output(answer: bytes) -> tuple[bytes, bytes, int | None]:
    """Return stdout, stderr, and the exit code once the command is done. Raise ValueError."""
    streams = {"stdout": bytearray(), "stderr": bytearray()}
    root = _root(answer)
    if root.find(f".//{{{SHELL}}}ReceiveResponse") is None:
        raise ValueError("no output in the answer")
    for node in root.iter(f"{{{SHELL}}}Stream"):
        if node.text and (node.get("Name") or "") in streams:
            streams[node.get("Name") or ""] += base64.b64decode(node.text)
    state = root.find(f".//{{{SHELL}}}CommandState")
    done = state is not None and (state.get("State") or "").endswith("/Done")
    code = root.findtext(f".//{{{SHELL}}}ExitCode")
    return bytes(streams["stdout"]), bytes(streams["stderr"]), (int(code) if code else -1) if done else None


def _root(answer: bytes) -> ET.Element:
    return ET.fromstring(answer)  # noqa: S314 - the transport lets no document type definition pass


def _message(action: str, shell: str, seconds: int, body: str, resource: str = CMD, **options: str) -> str:
    chosen = "".join(f'<w:Option Name="{name}">{value}</w:Option>' for name, value in options.items())
    return (
        f'{_HEAD}<w:ResourceURI s:mustUnderstand="true">{resource}</w:ResourceURI>'
        f'<a:Action s:mustUnderstand="true">{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<w:OperationTimeout>PT{seconds}S</w:OperationTimeout>"
        + (f'<w:SelectorSet><w:Selector Name="ShellId">{escape(shell)}</w:Selector></w:SelectorSet>' if shell else "")
        + (f"<w:OptionSet>{chosen}</w:OptionSet>" if chosen else "")
        + f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
