"""Ctrl-C and SIGTERM as a question the loop can ask: the first stops starting, the second leaves at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class SignalInterrupt:
    """ports.Interrupt over SIGINT, SIGTERM and SIGHUP."""

    def __init__(self) -> None:
        self.signal = 0
        """The first signal that came, 0 = none."""

    def requested(self) -> bool:
        return self.signal != 0

    @property
    def exit_code(self) -> int:
        """130 for Ctrl-C, 143 for the others (128 + SIGTERM), 0 when nothing came."""
        return 0 if not self.signal else 130 if self.signal == signal.SIGINT else 143

    def receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal:
            # What runs on the hosts goes on there; everything recorded is durable already.
            os.write(sys.stderr.fileno(), b"patchctl: left at once; what runs on the hosts goes on there\n")
            os._exit(130 if number == signal.SIGINT else 143)
        self.signal = number


@contextmanager
def catch_signals() -> Iterator[SignalInterrupt]:
    """Give an interrupt that SIGINT, SIGTERM and SIGHUP set; put the old handlers back afterwards."""
    interrupt = SignalInterrupt()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old = {number: signal.signal(number, interrupt.receive) for number in numbers}
    try:
        yield interrupt
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
