"""A local process on a terminal of its own, for sudo with requiretty, su and doas."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import time
from collections.abc import Mapping, Sequence

_READ = 65536


class TerminalPipe:
    """Implements pipe.Pipe; stdout and stderr come as one."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            try:
                os.execve(argv[0], list(argv), dict(env))  # noqa: S606 - an argument list of ours, no shell involved
            finally:
                os._exit(127)
        os.set_blocking(self._fd, False)
        self._ended = False
        self._code: int | None = None

    def write(self, data: bytes) -> int:
        _, writable, _ = select.select([], [self._fd], [], 0.05)
        if not writable:
            return 0
        try:
            return os.write(self._fd, data[:4096])
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)

    def close_input(self) -> None:
        """A terminal has no end of input; the script's end marker serves."""

    def read(self, timeout: float) -> tuple[bytes, bytes]:
        if self._ended:
            return b"", b""
        readable, _, _ = select.select([self._fd], [], [], timeout)
        if not readable:
            return b"", b""
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return b"", b""
        except OSError:  # EIO: the last process has closed the terminal
            data = b""
        self._ended = not data
        return data, b""

    def ended(self) -> bool:
        return self._ended

    def status(self) -> int | None:
        deadline = time.monotonic() + 2.0
        while self._code is None and time.monotonic() < deadline:
            pid, raw = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(raw)
            else:
                time.sleep(0.02)
        return self._code if self._code is not None and self._code >= 0 else None

    def no_status(self) -> str:
        return "the command was ended by a signal"

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)  # hangs up: the session's processes get SIGHUP
            self._fd = -1
        self._ended = True
        if self._code is None and self.status() is None and self._code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            self.status()


