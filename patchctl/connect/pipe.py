"""A running remote (or local) command as bytes in and bytes out: what conversation.py needs from every transport."""

from __future__ import annotations

from typing import Protocol


class Pipe(Protocol):
    """One command's input and outputs. Not thread-safe; one conversation owns it."""

    def write(self, data: bytes) -> int:
        """Hand over what fits within about 50 ms; return how many bytes were taken (0 = try later)."""
        ...

    def close_input(self) -> None:
        """Tell the command that no more input comes."""
        ...

    def read(self, timeout: float) -> tuple[bytes, bytes]:
        """Wait at most `timeout` seconds for bytes of stdout or stderr; (b"", b"") = none came or all ended."""
        ...

    def ended(self) -> bool:
        """Say whether both outputs are at their end and nothing is left to read."""
        ...

    def status(self) -> int | None:
        """Return the exit status, or None if it never came (link lost, killed by a signal unknown to us)."""
        ...

    def no_status(self) -> str:
        """Say why the ended command has no exit status."""
        ...

    def close(self) -> None:
        """Let go of the command: close its streams. Never blocks for long, may be called twice."""
        ...


class Opener(Protocol):
    """Starts a command line on the host, on a terminal or not. Raise HostError when that fails."""

    def __call__(self, line: str, *, terminal: bool) -> Pipe: ...
