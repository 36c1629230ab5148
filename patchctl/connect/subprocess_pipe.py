"""A local process as a Pipe: non-blocking on all three streams, its process group ended on close."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence

_READ = 256 * 1024
_LINGER = 2.0
"""Seconds after the process ended in which output may still come from children that kept its stdout."""


class ProcessPipe:
    """Implements pipe.Pipe over one subprocess in its own session."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str] | None = None, terminal: int | None = None) -> None:
        """Start argv. `terminal` is the slave end of a pty to use for all three streams (see local.py)."""
        stream = subprocess.PIPE if terminal is None else terminal
        self._process = subprocess.Popen(
            list(argv), stdin=stream, stdout=stream, stderr=stream, env=dict(env) if env is not None else None,
            start_new_session=True, bufsize=0,
        )
        self._heard = time.monotonic()
        self._in = self._process.stdin.fileno() if self._process.stdin is not None else -1
        self._outs: dict[int, int] = {}
        for index, out in enumerate((self._process.stdout, self._process.stderr)):
            if out is not None:
                self._outs[out.fileno()] = index
        for fd in (self._in, *self._outs):
            if fd >= 0:
                os.set_blocking(fd, False)

    def write(self, data: bytes) -> int:
        if self._in < 0:
            return len(data)
        with selectors.DefaultSelector() as selector:
            selector.register(self._in, selectors.EVENT_WRITE)
            if not selector.select(0.05):
                return 0
        try:
            return os.write(self._in, data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)  # it no longer reads: what it said and its status tell why

    def close_input(self) -> None:
        if self._in >= 0 and self._process.stdin is not None:
            self._in = -1
            with contextlib.suppress(OSError):  # a broken pipe on close is the process's business
                self._process.stdin.close()

    def read(self, timeout: float) -> tuple[bytes, bytes]:
        if not self._outs:
            return b"", b""
        found = [b"", b""]
        with selectors.DefaultSelector() as selector:
            for fd in self._outs:
                selector.register(fd, selectors.EVENT_READ)
            for key, _ in selector.select(timeout):
                data = self._take(key.fd)
                if data:
                    found[self._outs[key.fd]] = data
                    self._heard = time.monotonic()
                elif data is not None:
                    del self._outs[key.fd]
        return found[0], found[1]

    def _take(self, fd: int) -> bytes | None:
        try:
            return os.read(fd, _READ)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def ended(self) -> bool:
        if not self._outs:
            return True
        return self._process.poll() is not None and time.monotonic() - self._heard > _LINGER

    def status(self) -> int | None:
        try:
            code = self._process.wait(_LINGER)
        except subprocess.TimeoutExpired:
            return None
        return code if code >= 0 else None

    def no_status(self) -> str:
        code = self._process.poll()
        return f"the command was ended by signal {-code}" if code is not None else "the command closed its output"

    def close(self) -> None:
        self.close_input()
        if self._process.poll() is None:
            # Let it end by itself on the closed input for a moment; then its whole group goes.
            try:
                self._process.wait(0.2)
            except subprocess.TimeoutExpired:
                self._kill()
        for out in (self._process.stdout, self._process.stderr):
            if out is not None:
                out.close()

    def _kill(self) -> None:
        for sign, patience in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or run by sudo as root
                os.killpg(self._process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(patience)
                return
