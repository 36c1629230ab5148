"""The PowerShell Remoting Protocol (MS-PSRP) at the peer: runspace pools and pipelines by psrpcore's server side.

Two kinds of pipeline are answered: the transport's own (connect/winrm_psrp.py), which starts a command line and is fed
its standard input, and any other script, from the peer's transcript: lines as output, errors as records.
"""

from __future__ import annotations

import base64
import threading
import time
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psrpcore import (
    CreatePipelineEvent,
    EndOfPipelineInputEvent,
    PipelineInputEvent,
    PSRPPayload,
    ServerPipeline,
    ServerRunspacePool,
    StreamType,
)
from psrpcore.types import NETException

from patchctl.connect.winrm_psrp import PIPELINE
from patchctl.connect.winrm_script import decode_clixml
from tests.winrm import wsman
from tests.winrm.powershell import Script, read_line
from tests.winrm.shells import Running, Shell
from tests.winrm.wsman import NS, SHELL, Request

if TYPE_CHECKING:
    from tests.winrm.shells import WindowsHost

_PWSH = "{http://schemas.microsoft.com/powershell}creationXml"
_CHUNK = 32768


@dataclass
class PoolShell(Shell):
    """A shell that is a runspace pool."""

    pool: ServerRunspacePool = field(default_factory=ServerRunspacePool)
    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """Whole fragments to be sent: by pipeline id, "" = of the pool itself."""

    def take(self, data: bytes, pipeline: str = "") -> list[Any]:
        """Take fragments in; return the events they make."""
        with self.changed:
            target = uuid.UUID(pipeline) if pipeline else None
            self.pool.receive_data(PSRPPayload(data, StreamType.default, target))
            events = list(iter(self.pool.next_event, None))
            self.drain()
            return events

    def drain(self) -> None:
        """Move what the pool wants to send to where Receive looks. Call with `changed` held."""
        while (payload := self.pool.data_to_send(_CHUNK)) is not None:
            self.waiting[str(payload.pipeline_id or "").upper()].append(payload.data)
        self.changed.notify_all()


class Pipe(Running):
    """A pipeline as a running command: what it prints becomes output objects."""

    def __init__(self, shell: PoolShell, identity: str, line: str, *, wrapped: bool) -> None:
        super().__init__(identity, line, 65001)
        self.shell, self.wrapped = shell, wrapped
        self.pipeline: Any = shell.pool.pipeline_table[uuid.UUID(identity)]

    def emit(self, name: str, data: bytes) -> None:
        with self.shell.changed:
            if not data or self.ended.is_set():
                return
            if self.wrapped:
                for start in range(0, len(data), 16384):
                    piece = base64.b64encode(data[start:start + 16384]).decode()
                    self.pipeline.write_output(("o" if name == "stdout" else "e") + piece)
            elif name == "stdout":
                for line in data.decode().splitlines():
                    self.pipeline.write_output(line)
            else:
                for line in decode_clixml(data).decode().splitlines():
                    self.pipeline.write_error(NETException(Message=line), fully_qualified_error_id="Peer")
            self.shell.drain()

    def finish(self, rc: int) -> None:
        with self.shell.changed:
            if not self.ended.is_set():
                if self.wrapped:
                    self.pipeline.write_output(f"x{rc}")
                self.pipeline.complete()
                self.shell.drain()
            super().finish(rc)
            self.shell.changed.notify_all()


def begin(host: WindowsHost, shell: PoolShell, request: Request) -> None:
    """Open the pool with what came in the Create message."""
    element = request.body.find(f"rsp:Shell/{_PWSH}", NS)
    assert element is not None
    shell.take(base64.b64decode(element.text or ""))


def answer(host: WindowsHost, shell: PoolShell, request: Request) -> str:
    """Carry out Command, Send, Receive or Signal; return the body of the answer. Raise FaultError."""
    if request.action == "Command":
        return _command(host, shell, request)
    if request.action == "Send":
        for stream in request.body.findall("rsp:Send/rsp:Stream", NS):
            identity = (stream.get("CommandId") or "").upper()
            _feed(host, shell, identity, shell.take(base64.b64decode(stream.text or ""), identity))
        return "<rsp:SendResponse/>"
    if request.action == "Receive":
        return _receive(shell, request)
    signal = request.body.find("rsp:Signal", NS)
    assert signal is not None
    command = shell.commands.pop((signal.get("CommandId") or "").upper(), None)
    if command is None:
        raise wsman.command_missing()
    if command.rc is None:
        command.stop()
    return "<rsp:SignalResponse/>"


def _command(host: WindowsHost, shell: PoolShell, request: Request) -> str:
    element = request.body.find("rsp:CommandLine", NS)
    assert element is not None
    identity = (element.get("CommandId") or str(uuid.uuid4())).upper()
    with shell.changed:
        ServerPipeline(shell.pool, uuid.UUID(identity))
    events = shell.take(base64.b64decode(element.findtext("rsp:Arguments", "", NS)), identity)
    _feed(host, shell, identity, events)
    return f"<rsp:CommandResponse><rsp:CommandId>{identity}</rsp:CommandId></rsp:CommandResponse>"


def _feed(host: WindowsHost, shell: PoolShell, identity: str, events: list[Any]) -> None:
    for event in events:
        if isinstance(event, CreatePipelineEvent):
            _start(host, shell, identity)
        elif isinstance(event, PipelineInputEvent):
            shell.commands[identity].feed(str(event.data).encode(), last=False)
        elif isinstance(event, EndOfPipelineInputEvent):
            shell.commands[identity].feed(b"", last=True)


def _start(host: WindowsHost, shell: PoolShell, identity: str) -> None:
    pipeline: Any = shell.pool.pipeline_table[uuid.UUID(identity)]
    with shell.changed:
        pipeline.start()
        shell.drain()
    command = pipeline.metadata.commands[0]
    wrapped = command.command_text == PIPELINE
    line = str(command.parameters[0][1]) if wrapped else command.command_text
    running = shell.commands[identity] = Pipe(shell, identity, line, wrapped=wrapped)
    script = read_line(line) if wrapped else Script(line)
    if script is not None:
        threading.Thread(target=host.run_script, args=(running, script), daemon=True).start()
    else:
        host.run_line(running, shell)


def _receive(shell: PoolShell, request: Request) -> str:
    wanted = request.body.find("rsp:Receive/rsp:DesiredStream", NS)
    assert wanted is not None
    identity = (wanted.get("CommandId") or "").upper()
    command = shell.commands.get(identity)
    if identity and command is None:
        raise wsman.command_missing()
    deadline = time.monotonic() + request.timeout
    with shell.changed:
        while not shell.waiting[identity] and (command is None or command.rc is None):
            if not shell.changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                raise wsman.timed_out()
        data = shell.waiting[identity].pop(0) if shell.waiting[identity] else b""
        done = command is not None and command.rc is not None and not shell.waiting[identity]
    of = f' CommandId="{identity}"' if identity else ""
    state = f'<rsp:CommandState{of} State="{SHELL}CommandState/{"Done" if done else "Running"}"/>'
    return (f'<rsp:ReceiveResponse><rsp:Stream Name="stdout"{of}>{base64.b64encode(data).decode()}</rsp:Stream>'
            f"{state if identity else ''}</rsp:ReceiveResponse>")
