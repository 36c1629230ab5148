"""Makes stdin, stdout and stderr safe to use, whatever the caller left of them: closed, not UTF-8, no terminal."""

from __future__ import annotations

import io
import os
import sys


def prepare_streams() -> None:
    """Put /dev/null in the place of closed streams, and let no character end the run that a stream cannot show.

    With descriptor 1 closed the next file that is opened becomes stdout: what a child process prints would go into the
    database (Single UNIX Specification, open(): the lowest descriptor that is free).
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # becomes `number`: all lower ones are open by now
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_utf8(stream: object) -> bool:
    """Say whether a stream takes every character (True for what has no encoding of its own)."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return str(encoding).lower().replace("_", "-") in ("utf-8", "utf8")
