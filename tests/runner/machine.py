"""A host that is a folder: the runner's scripts run for real, below a prefix, without root."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

from patchctl.collect.runner import Cleanup, Controller, Poll, Reply, Request, Start, parse_reply, render

SHELLS = {"dash": ["dash"], "bash": ["bash", "--posix"], "busybox": ["busybox", "sh"]}
ATTEMPT = "2026-11-monthly.0a1b2c3d.1"


def available_shells() -> list[str]:
    return [name for name, argv in SHELLS.items() if shutil.which(argv[0])]


class Machine:
    """One pretended host below `folder`."""

    grace = 30

    def __init__(self, folder: Path, shell: str = "dash") -> None:
        self.root = folder / "root"
        self.tools = folder / "tools"
        self.root.mkdir(parents=True)
        self.tools.mkdir()
        self.argv = SHELLS[shell]
        program = shutil.which(self.argv[0])
        assert program
        self.shell = self.tools / "sh"
        if shell == "busybox":
            self.shell.symlink_to(program)  # busybox looks at the name it is called by
        else:
            self.shell = Path(program)
        self.stub("sync", "exit 0")  # no power is cut here; durability is another test's subject

    @property
    def base(self) -> Path:
        return self.root / "var/lib/patchctl"

    def stub(self, name: str, text: str) -> None:
        """Put a program of this name first on the PATH of the host's shell."""
        path = self.tools / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def controller(self, store: str = "store-a", epoch: int = 1, token: int = 1) -> Controller:
        return Controller(store, epoch, token, f"me@{store}", str(self.root), str(self.shell), self.grace)

    def launch(self, request: Request, controller: Controller | None = None, **env: str) -> Asked:
        """Start the script of a request; Asked.reply() waits for its end."""
        nonce = secrets.token_hex(16)
        script = render(request, controller or self.controller(), nonce)
        process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": f"{self.tools}:{os.environ['PATH']}", **env},
        )
        return Asked(process, script, nonce)

    def ask(self, request: Request, controller: Controller | None = None) -> Reply:
        asked = self.launch(request, controller)
        reply = asked.reply()
        assert asked.errors == b"", asked.errors.decode()
        assert reply.complete
        return reply

    def start(self, payload: str, attempt: str = ATTEMPT, controller: Controller | None = None) -> Reply:
        return self.ask(Start(attempt, payload, f"cat '{self.root}/packages' 2>/dev/null"), controller)

    def wait(self, attempt: str = ATTEMPT, seconds: float = 90) -> Reply:
        """Poll until the attempt no longer runs."""
        deadline = time.monotonic() + seconds
        while (reply := self.ask(Poll(attempt))).state == "running":
            assert time.monotonic() < deadline, reply
            time.sleep(0.05)
        return reply

    def clean(self, attempt: str = ATTEMPT) -> Reply:
        return self.ask(Cleanup(attempt))

    def runs(self) -> list[str]:
        """Lines that payloads made by `counting` left."""
        file = self.root / "runs"
        return file.read_text().split("\n")[:-1] if file.exists() else []

    def counting(self, name: str, seconds: str = "0") -> str:
        """A payload that leaves one line, and OVERLAP if another one is at work."""
        root = self.root
        return (
            f"mkdir {root}/active 2>/dev/null || echo OVERLAP >> {root}/runs\n"
            f"echo {name} >> {root}/runs; sleep {seconds}; rmdir {root}/active"
        )


class Asked:
    def __init__(self, process: subprocess.Popen[bytes], script: str, nonce: str) -> None:
        self.process = process
        self.errors = b""
        self._script = script
        self._nonce = nonce

    def send(self) -> None:
        """Hand the script over without waiting for its end."""
        assert self.process.stdin
        self.process.stdin.write(self._script.encode())
        self.process.stdin.close()
        self.process.stdin = None

    def reply(self) -> Reply:
        script = self._script.encode() if self.process.stdin else None
        output, self.errors = self.process.communicate(script, timeout=60)
        return parse_reply(output, self._nonce)
