"""WinRM's other way to PowerShell: a runspace pool (MS-PSRP) in the place of the command shell, for services that allow
only that. Everything else is as with winrm_client.py: same logins, certificates, deadlines, same script texts.

A script is not run in the runspace itself: [Console]::Out and `exit` mean something else there. The pipeline starts the
same powershell.exe with the same bootstrap, passes the pieces of standard input on, and gives its output in base64.
The messages are pypsrp's; they travel over the guarded HTTP of winrm_http.py, so nothing is sent twice.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pypsrp.complex_objects import ApartmentState, HostInfo, Pipeline, PSInvocationState, RemoteStreamOptions
from pypsrp.complex_objects import RunspacePoolState as PoolState
from pypsrp.exceptions import WinRMError as PypsrpError
from pypsrp.messages import CreatePipeline, EndOfPipelineInput, PipelineInput
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.serializer import Serializer
from pypsrp.wsman import WSMan
from winrm.exceptions import WinRMOperationTimeoutError
from winrm.protocol import Protocol

from patchctl.connect.winrm_client import IDLE, LONGEST_WAIT, Client
from patchctl.connect.winrm_kerberos import get_ticket
from patchctl.connect.winrm_settings import Place
from patchctl.model.errors import ConnectError
from patchctl.model.text import one_line

T = TypeVar("T")
PIPELINE = r"""param([string]$line)
begin {
  $program, $rest = $line -split ' ', 2
  $start = New-Object Diagnostics.ProcessStartInfo $program, $rest
  $start.UseShellExecute = $false; $start.CreateNoWindow = $true
  $start.RedirectStandardInput = $true; $start.RedirectStandardOutput = $true; $start.RedirectStandardError = $true
  $process = [Diagnostics.Process]::Start($start)
  $to = $process.StandardInput.BaseStream
  $from = @($process.StandardOutput.BaseStream, $process.StandardError.BaseStream)
  $marks = @('o', 'e')
  $buffers = @((New-Object byte[] 16384), (New-Object byte[] 16384))
  $reads = @($null, $null)
  for ($i = 0; $i -lt 2; $i++) { $reads[$i] = $from[$i].ReadAsync($buffers[$i], 0, 16384) }
  function Read-Output([int]$wait) {
    $waiting = @($reads | Where-Object { $_ })
    if ($waiting.Count -and $wait) { [void][Threading.Tasks.Task]::WaitAny([Threading.Tasks.Task[]]$waiting, $wait) }
    for ($i = 0; $i -lt 2; $i++) {
      while ($reads[$i] -and $reads[$i].IsCompleted) {
        $count = $reads[$i].Result
        if ($count -le 0) { $reads[$i] = $null }
        else {
          $marks[$i] + [Convert]::ToBase64String($buffers[$i], 0, $count)
          $reads[$i] = $from[$i].ReadAsync($buffers[$i], 0, 16384)
        }
      }
    }
  }
}
process {
  $bytes = [Text.Encoding]::ASCII.GetBytes("$_")
  try { $to.Write($bytes, 0, $bytes.Length); $to.Flush() } catch { $to = [IO.Stream]::Null }  # it has ended already
  Read-Output 0
}
end {
  try {
    $to.Close()
    while ($reads[0] -or $reads[1]) { Read-Output 500 }
    $process.WaitForExit()
    'x' + $process.ExitCode
  } finally { if (-not $process.HasExited) { $process.Kill() } }
}
"""
"""Started in the runspace with the command line as argument. Prints o and e with bytes in base64, and x with the exit
code. Never run on Windows."""


class PsrpClient(Client):
    """As Client: `create` opens a runspace pool, `command` starts a pipeline in it. For one thread."""

    resource = "http://schemas.microsoft.com/powershell/Microsoft.PowerShell"

    def __init__(self, place: Place, password: str, pin: str) -> None:
        super().__init__(place, password, pin)
        # The login is the guarded transport's; what is given here is used for nothing.
        self._connection = WSMan(place.address, port=place.port, ssl=place.tls, auth="basic", encryption="never",
                                 username="-", password="-", no_proxy=True)  # noqa: S106 - no password
        self._connection.transport = cast(Any, _Wire(self._protocol, place.url))
        self._pool: RunspacePool | None = None
        self._pipeline: PowerShell | None = None
        self._rc: int | None = None

    def create(self, shell: str, seconds: float) -> str:
        """Open a runspace pool under an id of our own, to be deleted also when the answer is lost."""
        if self._place.auth == "kerberos":
            get_ticket(self._place, seconds)
        pool = RunspacePool(self._connection, no_profile=True, idle_timeout=IDLE)
        pool.id = pool.shell.id = shell
        pool._serializer = pool._fragmenter.serializer = _Plain()
        self._wait(seconds)

        def act() -> str:
            try:
                pool.open()
            except WinRMOperationTimeoutError:  # sent, and not answered yet: the watchdog ends that
                while pool.state == PoolState.NEGOTIATION_SENT:
                    self._patient(pool)
            if pool.state != PoolState.OPENED:
                raise ValueError(f"the runspace pool is in state {pool.state}")
            return str(pool.shell.id)

        found = self._do(act, seconds)
        self._pool = pool
        return found

    def command(self, shell: str, line: str, seconds: float) -> str:
        """Start a pipeline that runs the command line; return its id."""
        assert self._pool is not None
        pool, pipeline = self._pool, PowerShell(self._pool)
        pipeline.add_script(PIPELINE).add_argument(line)
        message = CreatePipeline(
            False, ApartmentState(value=pool.apartment_state), RemoteStreamOptions(value=0), False,
            HostInfo(host=None), Pipeline(is_nested=False, cmds=pipeline.commands, history=None), False)
        self._rc = None
        # Not begin_invoke: it wants all of the input at once.
        self._do(lambda: pipeline._invoke(message), seconds)
        self._pipeline = pipeline
        return str(pipeline.id)

    def send(self, shell: str, command: str, data: bytes, seconds: float, *, end: bool) -> None:
        """Feed standard input."""
        assert self._pool is not None
        assert self._pipeline is not None
        pool, pipeline = self._pool, self._pipeline
        messages: list[Any] = [PipelineInput(data=data.decode("ascii"))]
        if end:
            messages.append(EndOfPipelineInput())

        def act() -> None:
            for fragment in pool._fragmenter.fragment_multiple(messages, pool.id, pipeline.id):
                pool.shell.send("stdin", fragment, command_id=pipeline._command_id)

        self._do(act, seconds)

    def receive(self, shell: str, command: str, seconds: float) -> tuple[bytes, bytes, int | None] | None:
        """Return (stdout, stderr, exit code once it has ended), or None when nothing came for a while."""
        assert self._pipeline is not None
        pipeline = self._pipeline
        wait = self._wait(seconds)

        def act() -> bool:
            try:
                pipeline.poll_invoke(timeout=wait)
            except WinRMOperationTimeoutError:
                return False
            return True

        if not self._do(act, seconds):
            return None
        said, pipeline.output = pipeline.output, []
        out, err = self._do(lambda: self._read(said), seconds)
        if pipeline.state in (PSInvocationState.FAILED, PSInvocationState.STOPPED):
            words = one_line("; ".join(str(record) for record in pipeline.streams.error) or "no reason given", 300)
            raise ConnectError("psrp-failed", f"{self._place.where}: the pipeline failed: {words}",
                               "may this account start programs there?")
        done = pipeline.state == PSInvocationState.COMPLETED
        if done and self._rc is None:
            raise ConnectError("winrm-answer", f"{self._place.where}: the pipeline ended without an exit code", "")
        return out, err, self._rc if done else None

    def terminate(self, shell: str, command: str, seconds: float) -> None:
        """Let the service drop an ended pipeline."""
        if self._pipeline is not None:
            pipeline, self._pipeline = self._pipeline, None
            self._do(pipeline.close, seconds)

    def _read(self, said: list[Any]) -> tuple[bytes, bytes]:
        parts: dict[str, list[bytes]] = {"o": [], "e": []}
        for item in said:
            if isinstance(item, str) and item[:1] in parts:
                parts[item[0]].append(base64.b64decode(item[1:], validate=True))
            elif isinstance(item, str) and item[:1] == "x":
                self._rc = int(item[1:])
            else:
                raise ValueError("the pipeline printed what it does not print")
        return b"".join(parts["o"]), b"".join(parts["e"])

    def _wait(self, seconds: float) -> int:
        wait = max(1, min(LONGEST_WAIT, int(seconds)))
        self._connection.operation_timeout = wait
        self._protocol.transport.read_timeout_sec = wait + 10
        return wait

    @staticmethod
    def _patient(pool: RunspacePool) -> None:
        try:
            pool._receive()
        except WinRMOperationTimeoutError:
            return

    def _do(self, act: Callable[[], T], seconds: float) -> T:
        def guarded() -> T:
            try:
                return act()
            except (PypsrpError, RecursionError, LookupError) as error:
                raise ValueError(f"{type(error).__name__}: {one_line(str(error), 200)}") from error

        return super()._do(guarded, seconds)


class _Wire:
    """What pypsrp sends its messages by: pywinrm's session over the guarded HTTP. Faults come as pywinrm's."""

    def __init__(self, protocol: Protocol, endpoint: str) -> None:
        self._protocol, self.endpoint = protocol, endpoint

    def send(self, message: bytes, retries_on_read_timeout: int = 0, timeout: int | None = None) -> bytes:
        """Send once, whatever retries are asked for."""
        answer = self._protocol.send_message(message.decode("utf-8"))
        return answer if isinstance(answer, bytes) else answer.encode("utf-8")

    def close(self) -> None:
        """The connection is closed by its owner."""


class _Plain(Serializer):
    """Reads objects of a host: text with a document type definition is refused, entities are never expanded."""

    def deserialize(self, element: Any, metadata: Any = None, clear: bool = True) -> Any:
        if isinstance(element, str) and "<!" in element:
            raise ValueError("an object with a document type definition")
        return super().deserialize(element, metadata, clear)
