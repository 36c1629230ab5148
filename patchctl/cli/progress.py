"""What the terminal shows while a run is under way; everything here goes to stderr.

On a terminal: one overall bar, the hosts in flight with their step, failures above it as they happen. Elsewhere:
one plain line per transition. With --quiet: only what went wrong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

from patchctl.model.ports import Observer
from patchctl.model.text import one_line

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

GOOD = frozenset({"ok", "succeeded", "done", "skipped", "frozen"})
SHOWN_IN_FLIGHT = 8


def wants_colour(stream: TextIO) -> bool:
    """Say whether to colour: NO_COLOR > FORCE_COLOR > TERM=dumb > is a terminal (no-color.org, clig.dev)."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def make_observer(quiet: bool, verbose: int = 0, *, steps: bool = False) -> Observer:
    """Return the observer that fits the stream: live on a terminal, plain lines elsewhere, failures only if quiet.

    `steps`: print each host's steps too where there is no terminal (a rollout's transitions; a scan has none).
    """
    from patchctl.cli.redacting import CleanObserver, run_secrets

    return CleanObserver(_pick_observer(quiet, steps=steps or verbose > 0), run_secrets().clean)


def _pick_observer(quiet: bool, *, steps: bool) -> Observer:
    if quiet:
        return FailuresOnly(sys.stderr)
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return LiveProgress(sys.stderr)
    return PlainLines(sys.stderr, steps=steps)


class FailuresOnly:
    """Says only which hosts went wrong, and notes of a halt: for cron, where silence means all is well."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def started(self, title: str, total: int) -> None:
        pass

    def step(self, host: str, step: str) -> None:
        pass

    def finished(self, host: str, state: str, message: str = "") -> None:
        if state not in GOOD:
            print(one_line(f"{host} {state} {message}"), file=self._stream, flush=True)

    def note(self, message: str) -> None:
        pass

    def ended(self) -> None:
        pass


class PlainLines:
    """One line per transition with the time of day, for logs and pipes."""

    def __init__(self, stream: TextIO, *, steps: bool) -> None:
        self._stream = stream
        self._steps = steps
        self._lock = threading.Lock()
        self._last: dict[str, str] = {}

    def started(self, title: str, total: int) -> None:
        self._print(f"{title}: {total} host{'s' if total != 1 else ''}")

    def step(self, host: str, step: str) -> None:
        if self._steps and self._last.get(host) != step:
            self._last[host] = step
            self._print(f"{host} {step}")

    def finished(self, host: str, state: str, message: str = "") -> None:
        if self._steps or state not in GOOD:
            self._print(f"{host} {state}{': ' + message if message else ''}")

    def note(self, message: str) -> None:
        self._print(message)

    def ended(self) -> None:
        pass

    def _print(self, text: str) -> None:
        with self._lock:
            stamp = time.strftime("%H:%M:%S")
            print(f"{stamp} {one_line(text)}", file=self._stream, flush=True)


class LiveProgress:
    """An overall bar and the hosts in flight, redrawn in place."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._live: Live | None = None
        self._title = ""
        self._total = 0
        self._counts: dict[str, int] = {}
        self._flight: dict[str, str] = {}
        self._since = time.monotonic()

    def started(self, title: str, total: int) -> None:
        from rich.console import Console
        from rich.live import Live

        with self._lock:
            self._title, self._total = title, total
            self._counts, self._flight = {}, {}
            self._since = time.monotonic()
            console = Console(file=self._stream, no_color=not wants_colour(self._stream), highlight=False)
            self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._draw)
            self._live.start()

    def step(self, host: str, step: str) -> None:
        with self._lock:
            self._flight[host] = step

    def finished(self, host: str, state: str, message: str = "") -> None:
        with self._lock:
            self._flight.pop(host, None)
            self._counts[state] = self._counts.get(state, 0) + 1
            if state not in GOOD:
                self._say(f"{host} {state}{': ' + message if message else ''}", "red")

    def note(self, message: str) -> None:
        with self._lock:
            self._say(message, "")

    def ended(self) -> None:
        with self._lock:
            if self._live is not None:
                self._live.stop()
                self._live = None

    def _say(self, message: str, style: str) -> None:
        from rich.text import Text

        text = Text(one_line(message), style=style)
        if self._live is not None:
            self._live.console.print(text)
        else:
            print(text.plain, file=self._stream, flush=True)

    def _draw(self) -> Group:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done = sum(self._counts.values())
        elapsed = int(time.monotonic() - self._since)
        head = Table.grid(padding=(0, 1))
        states = "  ".join(f"{state} {count}" for state, count in sorted(self._counts.items()))
        head.add_row(
            Text(one_line(self._title, 40), style="bold"),
            ProgressBar(total=max(1, self._total), completed=done, width=24),
            Text(f"{done}/{self._total}"),
            Text(f"{elapsed // 60}:{elapsed % 60:02}"),
            Text(states),
        )
        flight = list(self._flight.items())
        rows = [Text(f"  {one_line(host, 40):<24} {one_line(step, 50)}") for host, step in flight[:SHOWN_IN_FLIGHT]]
        if len(flight) > SHOWN_IN_FLIGHT:
            rows.append(Text(f"  and {len(flight) - SHOWN_IN_FLIGHT} more"))
        return Group(head, *rows)
