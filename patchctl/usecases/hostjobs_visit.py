"""One visit to one host: a fresh session, and the runner's questions over it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from patchctl.collect.parse import parse_output
from patchctl.collect.runner import Controller, Reply, Request, parse_reply
from patchctl.connect.contract import Command, Reach, Result, Session
from patchctl.model.errors import HostError
from patchctl.model.evidence import Evidence, Probe, Snapshot
from patchctl.model.hosts import Host
from patchctl.model.text import decode, one_line
from patchctl.usecases.hostjobs_health import direct_reach
from patchctl.usecases.hostjobs_ways import WAYS, Way
from patchctl.usecases.scan import compile_probes, shell_of, stretch

REQUEST_TIME = 180.0
"""Seconds for one question to the runner: it waits up to about 20 s for a lock, and slow disks sync slowly."""
PROBE_CAP = 8 * 1024 * 1024


class Opener(Protocol):
    """What opens sessions: connect.connections.Connections."""

    def open(self, host: Host) -> Session: ...


class AnswerLostError(HostError):
    """The host was reached, but its answer did not come to its end: what was asked may or may not have happened."""

    status = "unreachable"


class RefusedError(HostError):
    """The host answered, and the answer is no."""


class Visit:
    """An open session of one host job. Everything runs as root; every exchange has a nonce of its own."""

    def __init__(self, session: Session, controller: Controller) -> None:
        self._session = session
        self._controller = controller

    def ask(self, request: Request) -> Reply:
        """Put a question to the runner. Raise AnswerLostError when the answer is not whole, or HostError."""
        nonce = secrets.token_hex(16)
        result = self.run(self.way.render(request, self._controller, nonce), timeout=REQUEST_TIME)
        reply = parse_reply(result.stdout, nonce)
        if not reply.complete:
            raise AnswerLostError("answer-lost", f"no whole answer from the host: {_ending(result)}", "ask again")
        return reply

    @property
    def shell(self) -> str:
        """The host's language: sh | powershell."""
        return shell_of(self._session.host)

    @property
    def way(self) -> Way:
        """How the host's language is spoken."""
        return WAYS[self.shell]

    @property
    def reach(self) -> Reach:
        """From where the host's ports are reached."""
        found: Reach | None = getattr(self._session, "reach", None)  # not every transport has ports to look at
        return found or direct_reach(self._session.host)

    def probe(self, probes: Sequence[Probe]) -> Mapping[str, Evidence]:
        """Ask probes in one script. Raise HostError when nothing could be run."""
        if not probes:
            return {}
        nonce = secrets.token_hex(16)
        total = 60.0 + sum(probe.timeout for probe in probes)
        probes = stretch(probes, self._session.host)
        result = self.run(compile_probes(self.shell, probes, nonce), timeout=total, cap=PROBE_CAP)
        snapshot = parse_output(
            result.stdout, probes, nonce, host=self._session.host.name, taken_at=0.0, as_root=result.as_root,
            seconds=result.seconds, lost=result.lost,
        )
        return snapshot.evidence

    def collect(self, work: Callable[[Session], Snapshot]) -> Snapshot:
        """Let a use case take its snapshot over this session."""
        return work(self._session)

    def run(
        self, script: str, *, stdin: Iterable[bytes] | None = None, timeout: float, cap: int = 4 * 1024 * 1024
    ) -> Result:
        """Run text of the host's shell as root; the host may be silent for as long as it may take in all.

        `timeout`: seconds at a site without timeout_factor.
        """
        timeout *= self._session.host.connection.timeouts.factor
        return self._session.run(
            Command(script, become=True, stdin=stdin, timeout=timeout, silence=timeout, cap=cap)
        )


def _ending(result: Result) -> str:
    said = decode(result.stderr).strip().splitlines()
    words = result.lost or (f"exit status {result.rc}" if result.rc is not None else "the end was not seen")
    return one_line(f"{words}; {said[-1]}" if said else words)
