"""The shells a script must work on, as far as this machine has them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

import pytest

from patchctl.collect.parse import parse_output
from patchctl.collect.script import compile_script
from patchctl.model.evidence import Probe, Snapshot

NONCE = "0123456789abcdef"
SHELLS = [
    pytest.param(argv, id=argv[0], marks=pytest.mark.skipif(not shutil.which(argv[0]), reason=f"no {argv[0]} here"))
    for argv in (["dash"], ["bash", "--posix"], ["busybox", "ash"])
]


def run_script(
    shell: Sequence[str], script: str, *, env: dict[str, str] | None = None, user: int | None = None, before: str = ""
) -> bytes:
    """Feed a script to a shell as a connection does: on standard input."""
    found = subprocess.run(
        shell, input=(before + script).encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60,
        env=env, user=user,
    )  # fmt: skip
    return found.stdout


def ask(shell: Sequence[str], probes: Sequence[Probe], **kwargs: object) -> Snapshot:
    """Compile, run here, parse."""
    output = run_script(shell, compile_script(probes, NONCE), **kwargs)  # type: ignore[arg-type]
    return read(output, probes)


def read(output: bytes, probes: Sequence[Probe], *, lost: str = "", as_root: bool = True) -> Snapshot:
    return parse_output(output, probes, NONCE, host="h", taken_at=0.0, as_root=as_root, seconds=0.0, lost=lost)
