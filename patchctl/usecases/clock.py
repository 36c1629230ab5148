"""The real clock; the simulator brings its own."""

from __future__ import annotations

import time


class SystemClock:
    """ports.Clock as this machine's clock tells it."""

    def now(self) -> float:
        return time.time()
