"""Ctrl-C and SIGTERM as a question the loop can ask: the first stops starting, the second leaves at once."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: all is left and tidied up as after Ctrl-C, with exit code 143."""


def stop_on_signals() -> None:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does. One that is ignored (nohup) stays so."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _terminate)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


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
    """Give an interrupt that SIGINT, SIGTERM and SIGHUP set; put the old handlers back afterwards.

    A signal that whoever started us ignores (nohup, a shell's background job) stays ignored.
    """
    interrupt = SignalInterrupt()
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    old = {number: signal.signal(number, interrupt.receive) for number in numbers}
    try:
        yield interrupt
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
