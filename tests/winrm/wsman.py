"""WS-Management messages as Windows words them: requests read, answers and faults written (MS-WSMV, DSP0226)."""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.sax.saxutils import escape

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
}
TRANSFER = NS["x"] + "/"
SHELL = NS["rsp"] + "/"
CMD = SHELL + "cmd"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"


class FaultError(Exception):
    """A SOAP fault: what the service answers with HTTP status 500."""

    def __init__(self, subcode: str, code: int, text: str, side: str = "s:Sender") -> None:
        super().__init__(text)
        self.subcode, self.code, self.text, self.side = subcode, code, text, side


def shell_missing(shell: str) -> FaultError:
    return FaultError(
        "w:InvalidSelectors", 2150858843,
        f"The request for the Windows Remote Shell with ShellId {shell} failed because the shell was not found on the "
        "server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on the server.")


def command_missing() -> FaultError:
    return FaultError(
        "w:InvalidSelectors", 2150858843,
        "The Windows Remote Shell received a request to perform an operation on a command identifier that does not "
        "exist. Either the command has completed execution or the client specified an invalid command identifier. ")


def too_many_shells(most: int) -> FaultError:
    return FaultError(
        "w:QuotaLimit", 2150859173,
        "The WS-Management service cannot process the request. This user is allowed a maximum number of "
        f"{most} concurrent shells, which has been exceeded. Close existing shells or raise the quota for this user. ")


def timed_out() -> FaultError:
    return FaultError(
        "w:TimedOut", 2150858793,
        "The WS-Management service cannot complete the operation within the time specified in OperationTimeout.  ",
        "s:Receiver")


NAMED = {
    "max-shells": too_many_shells(30),
    "max-users": FaultError(
        "w:QuotaLimit", 2150859174, "The WS-Management service cannot process the request. The maximum number of users "
        "executing shell operations has been exceeded. Retry after sometime or raise the quota for concurrent shell "
        "users. "),
    "max-processes": FaultError(
        "w:QuotaLimit", 2147944122, "The WS-Management service cannot process the request. The maximum number of "
        "processes per shell has been reached. "),
    "access-denied": FaultError("w:AccessDenied", 5, "Access is denied. "),
    "timed-out": timed_out(),
    "shell-gone": shell_missing("0"),
    "service-stopping": FaultError(
        "w:InternalError", 995, "The I/O operation has been aborted because of either a thread exit or an application "
        "request. ", "s:Receiver"),
}


@dataclass(frozen=True, slots=True)
class Request:
    """One request, read."""

    action: str
    """The last word: Create, Delete, Command, Receive, Send, Signal."""
    message: str
    resource: str
    shell: str
    options: dict[str, str]
    timeout: float
    body: ET.Element


def read_request(xml: bytes) -> Request:
    root = ET.fromstring(xml)
    header, body = root.find("s:Header", NS), root.find("s:Body", NS)
    assert header is not None and body is not None

    def text(path: str) -> str:
        return (header.findtext(path, "", NS) or "").strip()

    selectors = {e.get("Name"): e.text or "" for e in header.findall("w:SelectorSet/w:Selector", NS)}
    options = {e.get("Name") or "": e.text or "" for e in header.findall("w:OptionSet/w:Option", NS)}
    period = re.fullmatch(r"PT([\d.]+)S", text("w:OperationTimeout"))
    return Request(
        text("a:Action").rsplit("/", 1)[-1], text("a:MessageID"), text("w:ResourceURI"),
        selectors.get("ShellId", "").upper(), options, float(period[1]) if period else 60.0, body)


def envelope(action: str, relates: str, body: str) -> bytes:
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
    return (
        f'<s:Envelope xml:lang="en-US" {names}><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:To>{NS['a']}/role/anonymous</a:To><a:RelatesTo>{escape(relates)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def fault(error: FaultError, relates: str) -> bytes:
    said = escape(error.text)
    return envelope(
        "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", relates,
        f"<s:Fault><s:Code><s:Value>{error.side}</s:Value><s:Subcode><s:Value>{error.subcode}</s:Value></s:Subcode>"
        f'</s:Code><s:Reason><s:Text xml:lang="en-US">{said}</s:Text></s:Reason><s:Detail><f:WSManFault '
        f'xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{error.code}" Machine="PEER">'
        f"<f:Message>{said}</f:Message></f:WSManFault></s:Detail></s:Fault>")


def identify_answer() -> bytes:
    """What Windows says to an unauthenticated Identify: no version of the system (DSP0226 section 11)."""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{NS["s"]}"><s:Header/><s:Body><wsmid:IdentifyResponse '
        f'xmlns:wsmid="{IDENTITY}"><wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd'
        "</wsmid:ProtocolVersion><wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
        "<wsmid:ProductVersion>OS: 0.0.0 SP: 0.0 Stack: 3.0</wsmid:ProductVersion>"
        "</wsmid:IdentifyResponse></s:Body></s:Envelope>"
    ).encode()
