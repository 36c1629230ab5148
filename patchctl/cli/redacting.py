"""Keeps the secrets of a run off the terminal: one Redactor a run, through which all that is printed goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from patchctl.model.ports import Observer
    from patchctl.model.redaction import Redactor


class RunSecrets:
    """The secrets that one run of the command line has resolved. Costs nothing until the first is wanted."""

    def __init__(self) -> None:
        self._redactor: Redactor | None = None

    def redactor(self) -> Redactor:
        """Return the run's Redactor, to be given to whatever resolves secrets."""
        if self._redactor is None:
            from patchctl.model.redaction import Redactor

            self._redactor = Redactor()
        return self._redactor

    def clean(self, text: str) -> str:
        return text if self._redactor is None else self._redactor.clean(text)

    def clean_all(self, value: Any) -> Any:
        """Clean every text in JSON data."""
        if self._redactor is None or not self._redactor.knows_any:
            return value
        from patchctl.model.redaction import clean_values

        return clean_values(value, self.clean)


def run_secrets() -> RunSecrets:
    """Return the secrets of the command that is running (kept with its click context)."""
    context = click.get_current_context(silent=True)
    return RunSecrets() if context is None else context.find_root().ensure_object(RunSecrets)


class CleanStream:
    """A text stream that masks secrets in what is written; everything else is the stream's own.

    A reader that has seen enough (`| head`) ends what is printed, never what is done: the rest is written to nobody,
    the work goes on to its end, and the exit code stays what the command found.
    """

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._stream, self._clean = stream, clean
        self.used = False
        """Whether anything was written."""

    def write(self, text: str) -> int:
        self.used = self.used or bool(text)
        self._send(self._clean(text))
        return len(text)

    def write_cleaned(self, text: str) -> None:
        """Write what was cleaned already, value by value: masking digits inside JSON would break it."""
        self.used = self.used or bool(text)
        self._send(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self.discard()

    def _send(self, text: str) -> None:
        try:
            self._stream.write(text)
        except BrokenPipeError:
            self.discard()

    def discard(self) -> None:
        """Put /dev/null in the place of a closed pipe or a full disk; what the stream still holds goes there too."""
        nobody = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nobody, self._stream.fileno())
        os.close(nobody)
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class CleanObserver:
    """Masks secrets before an observer lays texts out: a stream does not recognise one that a line break splits."""

    def __init__(self, observer: Observer, clean: Callable[[str], str]) -> None:
        self._observer, self._clean = observer, clean

    def started(self, title: str, total: int) -> None:
        self._observer.started(title, total)

    def step(self, host: str, step: str) -> None:
        self._observer.step(host, step)

    def finished(self, host: str, state: str, message: str = "") -> None:
        self._observer.finished(host, state, self._clean(message))

    def note(self, message: str) -> None:
        self._observer.note(self._clean(message))

    def ended(self) -> None:
        self._observer.ended()
