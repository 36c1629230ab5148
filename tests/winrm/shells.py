"""One Windows host's shells and commands: made, fed, read, signalled, deleted; quotas; what ran how often."""

from __future__ import annotations

import base64
import importlib
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

from tests.winrm import wsman
from tests.winrm.powershell import Script, read_line, too_long_for_cmd
from tests.winrm.wsman import CMD, NS, SHELL, FaultError, Request

_CHUNK = 32768


class Running:
    """One command: what it has printed and not sent yet, what it is fed, how it ended."""

    def __init__(self, identity: str, line: str, codepage: int) -> None:
        self.id, self.line, self.codepage = identity, line, codepage
        self.changed = threading.Condition()
        self.waiting: list[tuple[str, bytes]] = []
        self.rc: int | None = None
        self.fed = bytearray()
        self.fed_all = False
        self.ended = threading.Event()
        """Terminated or finished."""
        self.on_feed: Callable[[bytes, bool], None] | None = None
        self.kill: Callable[[], None] = lambda: None

    def emit(self, name: str, data: bytes) -> None:
        with self.changed:
            if data and not self.ended.is_set():
                self.waiting.append((name, data))
                self.changed.notify_all()

    def finish(self, rc: int) -> None:
        with self.changed:
            if self.rc is None:
                self.rc = rc
            self.ended.set()
            self.changed.notify_all()

    def feed(self, data: bytes, *, last: bool) -> None:
        with self.changed:
            self.fed += data
            self.fed_all = self.fed_all or last
            self.changed.notify_all()
        if self.on_feed is not None:
            self.on_feed(data, last)

    def wait_for_input(self) -> bytes | None:
        """Return all that was fed once it is complete; None when the command was ended before."""
        with self.changed:
            self.changed.wait_for(lambda: self.fed_all or self.ended.is_set())
            return bytes(self.fed) if self.fed_all else None

    def stop(self) -> None:
        self.kill()
        self.finish(1)


@dataclass
class Shell:
    id: str
    user: str
    codepage: int
    environment: dict[str, str]
    idle: str
    commands: dict[str, Running] = field(default_factory=dict)


POWERSHELL = "http://schemas.microsoft.com/powershell/"


@cache
def psrp() -> Any:
    """Return the module for runspace pools, which builds on this one."""
    return importlib.import_module("tests.winrm.psrp")


Cmd = Callable[[Running, Shell], None]
"""Starts a command line; it calls emit and finish when it comes to that. Wine, or a stand-in."""


class WindowsHost:
    """The state behind one peer. Thread-safe."""

    def __init__(self, run_cmd: Cmd, run_powershell: Callable[[Running, Script], None]) -> None:
        self._run_cmd, self._run_powershell = run_cmd, run_powershell
        self._lock = threading.RLock()
        self.shells: dict[str, Shell] = {}
        self.max_shells = 30
        self.allow_command_shells = True
        """AllowRemoteShellAccess: without it only runspace pools are made."""
        self.executions: Counter[str] = Counter()
        """How often each command line was started; for PowerShell fed on standard input, each script's text."""
        self.opened = 0
        """Shells made since the start."""

    def handle(self, request: Request, user: str) -> bytes:
        """Return the body of the answer. Raise FaultError."""
        if not request.resource.startswith((SHELL, POWERSHELL)):
            raise FaultError(
                "a:DestinationUnreachable", 2150858752,
                "The WS-Management service cannot process the request. The resource URI is missing or it has an "
                "incorrect format. ")
        if request.action == "Create":
            body = self._create(request, user)
        else:
            with self._lock:
                shell = self.shells.get(request.shell)
            if shell is None:
                raise wsman.shell_missing(request.shell)
            if request.resource.startswith(POWERSHELL) and request.action != "Delete":
                body = psrp().answer(self, shell, request)
                return wsman.envelope(f"{SHELL}{request.action}Response", request.message, body)
            act = {"Delete": self._delete, "Command": self._command, "Receive": self._receive, "Send": self._send,
                   "Signal": self._signal}[request.action]
            body = act(shell, request)
        base = wsman.TRANSFER if request.action in ("Create", "Delete") else SHELL
        return wsman.envelope(f"{base}{request.action}Response", request.message, body)

    def drop_shells(self) -> None:
        """Forget every shell, as a restart of the service does."""
        with self._lock:
            shells = list(self.shells.values())
            self.shells.clear()
        for shell in shells:
            for command in list(shell.commands.values()):
                command.stop()

    def _create(self, request: Request, user: str) -> str:
        element = request.body.find("rsp:Shell", NS)
        assert element is not None
        if not (self.allow_command_shells or request.resource.startswith(POWERSHELL)):
            raise wsman.NAMED["access-denied"]
        with self._lock:
            if sum(shell.user == user for shell in self.shells.values()) >= self.max_shells:
                raise wsman.too_many_shells(self.max_shells)
            identity = (element.get("ShellId") or str(uuid.uuid4())).upper()
            environment = {e.get("Name") or "": e.text or "" for e in element.iter(f"{{{NS['rsp']}}}Variable")}
            pool = request.resource.startswith(POWERSHELL)
            kind = psrp().PoolShell if pool else Shell
            shell = self.shells[identity] = kind(
                identity, user, int(request.options.get("WINRS_CODEPAGE", "437")), environment,
                element.findtext("rsp:IdleTimeOut", "", NS))
            self.opened += 1
        uri = request.resource if pool else CMD
        if pool:
            psrp().begin(self, shell, request)
        return (
            f"<x:ResourceCreated><a:Address>http://peer/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>{uri}"
            f'</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{identity}</w:Selector></w:SelectorSet>'
            "</a:ReferenceParameters></x:ResourceCreated>"
            f"<rsp:Shell><rsp:ShellId>{identity}</rsp:ShellId><rsp:ResourceUri>{uri}</rsp:ResourceUri><rsp:Owner>"
            f"{escape(user)}</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:IdleTimeOut>PT7200.000S"
            "</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr"
            "</rsp:OutputStreams></rsp:Shell>")

    def _delete(self, shell: Shell, request: Request) -> str:
        with self._lock:
            self.shells.pop(shell.id, None)
        for command in list(shell.commands.values()):
            command.stop()
        return ""

    def _command(self, shell: Shell, request: Request) -> str:
        element = request.body.find("rsp:CommandLine", NS)
        assert element is not None
        words = [element.findtext("rsp:Command", "", NS), *(e.text or "" for e in element.findall("rsp:Arguments", NS))]
        line = " ".join(words).strip()
        command = Running((element.get("CommandId") or str(uuid.uuid4())).upper(), line, shell.codepage)
        with self._lock:
            if command.id in shell.commands:
                raise FaultError("w:AlreadyExists", 183, "Cannot create a file when that file already exists. ")
            shell.commands[command.id] = command
        script = read_line(line)
        if too_long_for_cmd(line, skip_shell=request.options.get("WINRS_SKIP_CMD_SHELL", "").upper() == "TRUE"):
            command.emit("stderr", b"The command line is too long.\r\n")
            command.finish(1)
        elif script is not None:
            threading.Thread(target=self._powershell, args=(command, script), daemon=True).start()
        else:
            self.note(line)
            self._run_cmd(command, shell)
        return f"<rsp:CommandResponse><rsp:CommandId>{command.id}</rsp:CommandId></rsp:CommandResponse>"

    def note(self, what: str) -> None:
        with self._lock:
            self.executions[what] += 1

    def run_line(self, command: Running, shell: Shell) -> None:
        """Start a command line that is not PowerShell."""
        self.note(command.line)
        self._run_cmd(command, shell)

    def run_script(self, command: Running, script: Script) -> None:
        """Run a script once all of it has come."""
        self._powershell(command, script)

    def _powershell(self, command: Running, script: Script) -> None:
        complete = script.complete(command)
        if complete is None:
            return  # ended before its text had come
        self.note(complete.text)
        self._run_powershell(command, complete)

    @staticmethod
    def _find(shell: Shell, identity: str | None) -> Running:
        command = shell.commands.get((identity or "").upper())
        if command is None:
            raise wsman.command_missing()
        return command

    def _receive(self, shell: Shell, request: Request) -> str:
        wanted = request.body.find("rsp:Receive/rsp:DesiredStream", NS)
        assert wanted is not None
        command = self._find(shell, wanted.get("CommandId"))
        with command.changed:
            if not command.changed.wait_for(lambda: command.waiting or command.rc is not None, request.timeout):
                raise wsman.timed_out()
            parts, room = [], _CHUNK
            while command.waiting and room > 0:
                name, data = command.waiting.pop(0)
                if len(data) > room:
                    command.waiting.insert(0, (name, data[room:]))
                    data = data[:room]
                room -= len(data)
                text = base64.b64encode(data).decode()
                parts.append(f'<rsp:Stream Name="{name}" CommandId="{command.id}">{text}</rsp:Stream>')
            if command.rc is not None and not command.waiting:
                parts += [f'<rsp:Stream Name="{name}" CommandId="{command.id}" End="true"></rsp:Stream>'
                          for name in ("stdout", "stderr")]
                parts.append(
                    f'<rsp:CommandState CommandId="{command.id}" State="{SHELL}CommandState/Done"><rsp:ExitCode>'
                    f"{command.rc}</rsp:ExitCode></rsp:CommandState>")
            else:
                parts.append(f'<rsp:CommandState CommandId="{command.id}" State="{SHELL}CommandState/Running"/>')
        return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"

    def _send(self, shell: Shell, request: Request) -> str:
        for stream in request.body.findall("rsp:Send/rsp:Stream", NS):
            command = self._find(shell, stream.get("CommandId"))
            command.feed(base64.b64decode(stream.text or ""), last=(stream.get("End") or "").lower() == "true")
        return "<rsp:SendResponse/>"

    def _signal(self, shell: Shell, request: Request) -> str:
        signal = request.body.find("rsp:Signal", NS)
        assert signal is not None
        command = self._find(shell, signal.get("CommandId"))
        code = request.body.findtext("rsp:Signal/rsp:Code", "", NS).lower()
        if code.endswith("/terminate"):
            with self._lock:
                shell.commands.pop(command.id, None)
        if command.rc is None:
            command.stop()
        return "<rsp:SignalResponse/>"
