"""Carries one Command out over any transport: escalation, script, both outputs drained, every deadline kept.

Before the script was handed over, failures are raised as HostError. From then on the command may have run: what goes
wrong is told in Result.lost as "code: message", with the output that came until then.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Callable, Iterator

from msgspec import Struct

from patchctl.connect.contract import Command, Result, SecretResolver
from patchctl.connect.pipe import Opener, Pipe
from patchctl.connect.privilege import Ascent, Escalation, Step, end_asking, exec_line, script_input
from patchctl.model.errors import CredentialsError, HostError, HostTimeoutError, PrivilegeError
from patchctl.model.hosts import Become, Host, SecretRef
from patchctl.model.text import decode

STDERR_CAP = 256 * 1024
_CHUNK = 64 * 1024
_TICK = 0.5
"""Longest single wait in seconds, so that a closed session is noticed."""


class Shell(Struct, frozen=True):
    """How commands reach one host: where it is (for messages), how to start one, and how to end a stray one."""

    host: Host
    where: str
    open: Opener
    secrets: SecretResolver
    user: str = ""
    """The login user; who logs in as the become user needs no escalation."""
    terminal: bool = False
    """Start on a terminal from the first try (learned from an earlier command)."""
    patience: float | None = None
    """Seconds until the ready line; None = the host's connect timeout."""
    explain: Callable[[int | None, str], HostError | None] | None = None
    """Reads what the transport's own program said when it ended before the login shell spoke."""


class Outcome(Struct, frozen=True):
    """The result, and what the session learned for its next command."""

    result: Result
    terminal: bool = False
    stray: str = ""
    """Script that ends what may still run on the host ("" = it ended by itself)."""


class _Deadlines:
    """Total and silence deadlines on the monotonic clock."""

    def __init__(self, total: float, silence: float) -> None:
        now = time.monotonic()
        self.started = now
        self.total, self.silence = total, silence
        self._end = now + total
        self._heard = now

    def heard(self) -> None:
        self._heard = time.monotonic()

    def left(self) -> float:
        """Seconds to wait at most before looking again."""
        now = time.monotonic()
        return max(0.0, min(self._end - now, self._heard + self.silence - now, _TICK))

    def passed(self) -> str:
        """Return the code of the deadline that has passed, or ""."""
        now = time.monotonic()
        if now >= self._end:
            return "total-timeout"
        return "silence-timeout" if now >= self._heard + self.silence else ""

    def explain(self, code: str) -> str:
        if code == "total-timeout":
            return f"not done after {self.total:g} s"
        return f"no byte for {self.silence:g} s"


def converse(shell: Shell, command: Command) -> Outcome:
    """Run one command. Raise HostError for anything that kept it from starting."""
    timeouts = shell.host.connection.timeouts
    deadlines = _Deadlines(command.timeout or timeouts.total, command.silence or timeouts.silence)
    become = shell.host.connection.become if command.become else None
    if become is not None and become.user == shell.user:
        become = None
    terminal = shell.terminal and become is not None
    while True:
        ascent = _ascent(become, terminal=terminal, streaming=command.stdin is not None)
        pipe = shell.open(exec_line(ascent), terminal=ascent.terminal)
        try:
            ready, stderr = _ascend(pipe, ascent, shell, deadlines, shell.patience or timeouts.connect)
            if ready.kind != "terminal":
                return _deliver(pipe, ascent, shell, command, deadlines, ready, stderr)
        finally:
            pipe.close()
        terminal = True  # nothing was sent yet: sudo's requiretty, su or doas want one


def _ascent(become: Become | None, *, terminal: bool, streaming: bool) -> Ascent:
    has_password = become is not None and become.password is not None
    # doas reads passwords from a terminal only.
    terminal = terminal or (has_password and become is not None and become.method == "doas")
    return Ascent(secrets.token_hex(10), become, has_password, terminal, streaming and not terminal)


def _ascend(
    pipe: Pipe, ascent: Ascent, shell: Shell, deadlines: _Deadlines, patience: float
) -> tuple[Step, bytes]:
    """Go up to the ready line; return the step (ready or terminal) and what came on stderr until then."""
    escalation = Escalation(ascent, shell.where)
    latest = time.monotonic() + patience
    errors = b""
    while True:
        stdout, stderr = pipe.read(max(0.0, min(deadlines.left(), latest - time.monotonic())))
        errors = (errors + stderr)[-_CHUNK:]
        if stdout or stderr:
            deadlines.heard()
        try:
            step = escalation.feed(stdout, stderr)
        except PrivilegeError as error:
            if error.code == "sudo-password-wrong":
                _end_asking(shell, ascent)
            raise
        if step is None:
            if pipe.ended():
                _explain(shell, escalation, pipe.status(), errors)
                escalation.end(pipe.status())
            if time.monotonic() >= latest:
                escalation.stalled(patience)
            if code := deadlines.passed():
                raise HostTimeoutError(
                    code, f"{shell.where}: {deadlines.explain(code)}, before the shell was ready",
                    "the host may hang: look at its load, its memory and the file system of the home folder",
                )
            continue
        if step.kind == "password":
            assert ascent.become is not None
            assert ascent.become.password is not None
            _write_all(pipe, _answer(shell, ascent.become.password), deadlines, shell.where)
            latest = time.monotonic() + patience  # PAM may ask a server, and delays after a wrong password
            continue
        return step, errors


def _end_asking(shell: Shell, ascent: Ascent) -> None:
    """End a sudo that asks again, while it waits: the end of its input would count as one more wrong password.

    Best effort, over a second session: where none is given (MaxSessions 1) or the host hides processes, it counts.
    """
    try:
        converse(shell, Command(end_asking(ascent), timeout=10.0, silence=10.0, cap=4096))
    except HostError:
        return  # the refusal itself is what counts and is told


def _explain(shell: Shell, escalation: Escalation, status: int | None, said: bytes) -> None:
    if shell.explain is not None and not escalation.logged_in:
        error = shell.explain(status, decode(said))
        if error is not None:
            raise error


def _answer(shell: Shell, reference: SecretRef) -> bytes:
    password = shell.secrets(reference)
    if any(character in password for character in "\n\r\0"):  # sudo would take it for two answers
        raise CredentialsError(
            "password-form", f"{shell.where}: the become password holds a line break", "check the secret's source")
    return password.encode() + b"\n"


def _write_all(pipe: Pipe, data: bytes, deadlines: _Deadlines, where: str) -> None:
    while data:
        data = data[pipe.write(data):]
        if data and (code := deadlines.passed()):
            raise HostTimeoutError(code, f"{where}: {deadlines.explain(code)} while sending", "")


def _deliver(
    pipe: Pipe, ascent: Ascent, shell: Shell, command: Command, deadlines: _Deadlines, ready: Step, errors: bytes
) -> Outcome:
    """Send the script (and the data behind it), gather both outputs, and say how it ended."""
    outputs = _Outputs(command.cap, ascent, errors)
    outputs.add(ready.rest, b"")
    source = _input(ascent, command)
    pending, lost = b"", ""
    feeding = True
    while True:
        if feeding and not pending:
            pending = next(source, b"")
            if not pending:
                feeding = False
                if not ascent.terminal:  # there it would hang up; the end marker serves
                    pipe.close_input()
        if pending:
            taken = pipe.write(pending)
            pending = pending[taken:]
            if taken:
                deadlines.heard()
        stdout, stderr = pipe.read(0.0 if feeding else deadlines.left())
        if stdout or stderr:
            deadlines.heard()
            outputs.add(stdout, stderr)
        elif pipe.ended():
            break
        if outputs.full:
            lost = f"output-too-large: {shell.where}: more than {command.cap} bytes of output"
            break
        if code := deadlines.passed():
            lost = f"{code}: {shell.where}: {deadlines.explain(code)}"
            break
    status = None if lost else pipe.status()
    if status is None and not lost:
        lost = f"link-lost: {shell.where}: {pipe.no_status()}"
    result = Result(
        status, bytes(outputs.stdout), bytes(outputs.stderr), time.monotonic() - deadlines.started, lost,
        ready.uid == "0",
    )
    return Outcome(result, ascent.terminal, _ending(ascent, ready.pid) if lost else "")


class _Outputs:
    """Keeps stdout up to the cap and the first STDERR_CAP bytes of stderr; the rest is read and dropped."""

    def __init__(self, cap: int, ascent: Ascent, errors: bytes) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self.full = False
        self._cap = cap
        self._mark = b"" if ascent.terminal else f"patchctl:{ascent.nonce}:ready\n".encode()
        self._early = b""
        self.add(b"", errors)

    def add(self, stdout: bytes, stderr: bytes) -> None:
        room = self._cap - len(self.stdout)
        self.stdout += stdout[:room]
        self.full = self.full or len(stdout) > room
        if self._mark and stderr:  # what comes before stderr's own ready line is the login's chatter
            _, found, rest = (self._early + stderr).partition(self._mark)
            self._early = b"" if found else (self._early + stderr)[-len(self._mark):]
            self._mark = b"" if found else self._mark
            stderr = rest
        self.stderr += stderr[: STDERR_CAP - len(self.stderr)]


def _input(ascent: Ascent, command: Command) -> Iterator[bytes]:
    text = script_input(ascent, command.script)
    if command.stdin is None:
        yield from _pieces(text)
    elif not ascent.terminal:
        yield from _pieces(text)
        for block in command.stdin:
            yield from _pieces(block)
    else:
        yield from _pieces(_terminal_upload(ascent, command))


def _terminal_upload(ascent: Ascent, command: Command) -> bytes:
    """A terminal has no end of input and is not for binary data: send it encoded, inside the script."""
    assert command.stdin is not None
    data = base64.encodebytes(b"".join(command.stdin)).decode()
    script = f"{{ base64 -d <<'{ascent.nonce}'\n{data}{ascent.nonce}\n}} | {{ {command.script.rstrip()}\n}}"
    return script_input(ascent, script)


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), _CHUNK):
        yield data[start:start + _CHUNK]


def _ending(ascent: Ascent, pid: str) -> str:
    """Return a script that ends the process group of our inner shell, if that process is still ours."""
    return (
        f'if grep -q {ascent.nonce} /proc/{pid}/cmdline 2>/dev/null; then read -r s </proc/{pid}/stat; '
        's=${s##*) }; set -- $s; '
        'if [ "$3" -gt 1 ]; then kill -TERM "-$3"; sleep 1; kill -KILL "-$3"; fi; fi 2>/dev/null; true'
    )

