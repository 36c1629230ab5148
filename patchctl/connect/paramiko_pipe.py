"""A paramiko channel as a Pipe: both streams drained by one thread, no wait without an end."""

from __future__ import annotations

import threading
import time

import paramiko

_READ = 256 * 1024
_LINGER = 2.0
"""Seconds after the exit status in which more output may come: a daemon that kept our stdout never closes it."""


class _Wake:
    """Set when either stream has data. paramiko clears a buffer's event when that buffer runs empty, which would
    lose the other one's wake-up: so only the reader clears this one.
    """

    def __init__(self) -> None:
        self.event = threading.Event()

    def set(self) -> None:
        self.event.set()

    def clear(self) -> None:
        """Left to the reader on purpose."""


class ChannelPipe:
    """Implements pipe.Pipe over one session channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._wake = _Wake()
        channel.settimeout(0.05)
        for buffer in (channel.in_buffer, channel.in_stderr_buffer):
            buffer.set_event(self._wake)  # type: ignore[arg-type]  # duck-typed Event, see _Wake
        self._heard = time.monotonic()

    def write(self, data: bytes) -> int:
        try:
            return self._channel.send(data)
        except TimeoutError:
            return 0
        except OSError:
            return len(data)  # the command is gone: what it said and its status tell why

    def close_input(self) -> None:
        try:
            self._channel.shutdown_write()
        except OSError:
            return  # closed already

    def read(self, timeout: float) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + timeout
        while True:
            self._wake.event.clear()
            stdout = self._channel.recv(_READ) if self._channel.recv_ready() else b""
            stderr = self._channel.recv_stderr(_READ) if self._channel.recv_stderr_ready() else b""
            if stdout or stderr:
                self._heard = time.monotonic()
                return stdout, stderr
            left = deadline - time.monotonic()
            if left <= 0 or self.ended():
                return b"", b""
            self._wake.event.wait(left)

    def ended(self) -> bool:
        channel = self._channel
        if channel.recv_ready() or channel.recv_stderr_ready():
            return False
        if channel.closed:
            return True
        return channel.exit_status_ready() and time.monotonic() - self._heard > _LINGER

    def status(self) -> int | None:
        if not self._channel.exit_status_ready() or self._channel.exit_status < 0:
            return None
        return self._channel.exit_status

    def no_status(self) -> str:
        transport = self._channel.get_transport()
        if transport is not None and transport.is_active():
            return "the command was ended by a signal"
        return "the connection ended before the command did"

    def close(self) -> None:
        self._channel.close()
