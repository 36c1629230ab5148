"""How the lab runs the machine's programs: always with a deadline, and with what they said when they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to look at."""


def run(*command: object, timeout: float = 600, stdin: str | None = None, env: dict[str, str] | None = None,
        cwd: Path | None = None) -> str:
    """Run a program of the machine and return its output; LabError with the end of what it said if it fails."""
    words = [str(c) for c in command]
    try:
        done = subprocess.run(
            words, input="" if stdin is None else stdin, capture_output=True, text=True, errors="replace", check=False,
            timeout=timeout, cwd=cwd, env={**os.environ, "PATH": PATH, "LC_ALL": "C", **(env or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words)[:200]}: no end after {timeout:.0f} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout)[-1500:].strip()
        raise LabError(f"{' '.join(words)[:200]}: exit {done.returncode}: {said}")
    return done.stdout


def say(text: str) -> None:
    """Tell the person at the terminal what goes on."""
    print(text, file=sys.stderr, flush=True)
