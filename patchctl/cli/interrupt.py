"""Ctrl-C and SIGTERM during a rollout: the first asks it to stop starting, the second leaves at once."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType

_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


class SignalInterrupt:
    """ports.Interrupt fed by signals, as a context manager that puts the old handlers back."""

    def __init__(self) -> None:
        self._received = 0
        self._before: dict[int, signal._HANDLER] = {}

    def requested(self) -> bool:
        return self._received != 0

    @property
    def exit_code(self) -> int:
        """Return 130 or 143 when a signal came, else 0."""
        return _CODES.get(signal.Signals(self._received), 0) if self._received else 0

    def __enter__(self) -> SignalInterrupt:
        for number in _CODES:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            # Hosts finish on their own and the journal is durable at every moment: leaving here loses nothing.
            raise KeyboardInterrupt
        self._received = number
        print("patchctl: stopping; once more to leave at once", file=sys.stderr, flush=True)
