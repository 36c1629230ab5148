r"""Transport "fake": hosts that answer from a function or a table, for tests and demonstrations. No process is started.

fake = FakeTransport({"web01": {"echo hello": "hello"}})      by host, by script text (or part of it)
fake = FakeTransport(lambda host, command: Result(0, b"...", b"", 0.0))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from patchctl.connect.context import Context
from patchctl.connect.contract import Command, Result
from patchctl.model.errors import ConnectError, HostError
from patchctl.model.hosts import Host

Answer = Result | str | bytes | HostError
"""A whole result, the stdout of a command that succeeded, or an error to raise."""

Answers = Callable[[Host, Command], Answer] | Mapping[str, Mapping[str, Answer] | HostError]


class Sent(Struct, frozen=True):
    """One command that a fake host was given; `data` is what it would have read from stdin."""

    host: str
    command: Command
    data: bytes = b""


class FakeTransport:
    """Hosts made of answers. `sent` records what they were asked, in order."""

    name = "fake"

    def __init__(self, answers: Answers | Context) -> None:
        """`answers` by host and script; a Context (as the registry passes) makes hosts that know no answer."""
        self._answers: Answers = {} if isinstance(answers, Context) else answers
        self.sent: list[Sent] = []

    def open(self, host: Host) -> FakeSession:
        """Raise the host's error if the table has one, or ConnectError for a host that is not in it."""
        if not callable(self._answers):
            known = self._answers.get(host.name)
            if known is None:
                raise ConnectError("no-route", f"{host.name}: no such fake host", "add it to the fake's answers")
            if isinstance(known, HostError):
                raise known
        return FakeSession(host, self)

    def answer(self, host: Host, command: Command) -> Result:
        """Return what the host says to the command. Raise the HostError that stands in its place."""
        self.sent.append(Sent(host.name, command, b"".join(command.stdin or ())))
        found = self._find(host, command)
        if isinstance(found, HostError):
            raise found
        if isinstance(found, Result):
            return found
        output = found if isinstance(found, bytes) else found.encode()
        return Result(0, output, b"", 0.0, as_root=command.become)

    def _find(self, host: Host, command: Command) -> Answer:
        if callable(self._answers):
            return self._answers(host, command)
        table = self._answers[host.name]
        assert not isinstance(table, HostError)
        if command.script in table:
            return table[command.script]
        for part, answer in table.items():
            if part in command.script:
                return answer
        return Result(127, b"", b"fake: no answer for this script\n", 0.0, as_root=command.become)


class FakeSession:
    """A session with one fake host."""

    def __init__(self, host: Host, transport: FakeTransport) -> None:
        self.host = host
        self._transport = transport

    def run(self, command: Command) -> Result:
        return self._transport.answer(self.host, command)

    def close(self) -> None:
        """Nothing is open."""


TRANSPORT = FakeTransport
