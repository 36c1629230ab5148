"""What connect/contract.py promises, of every transport that reaches a host: the same statements over all of them.

Scripts are sh at one end and PowerShell (answered from transcripts, tests/winrm) at the other: each statement is told
what its script does, in both languages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from patchctl.connect.connections import Connections
from patchctl.connect.contract import Command, Session
from patchctl.connect.credentials import Secrets
from patchctl.model.hosts import Become, Connection, Host, Inventory, SecretRef, Timeouts
from tests.connect.conftest import StartServer
from tests.connect.server import connect, make_host
from tests.winrm.peers import ADMIN, PASSWORD, Peer, StartPeers
from tests.winrm.powershell import Answer

TRANSPORTS = ("ssh", "openssh", "local", "winrm", "winrm-psrp")
TIMES = Timeouts(30.0, 30.0, 60.0)
BYTES = bytes(range(256)) * 400
SAYS, FAILS, BINARY, READS, HANGS, FLOODS = "says", "fails", "binary", "reads", "hangs", "floods"
SH = {
    SAYS: "echo out", FAILS: "echo out; echo err >&2; exit 3", BINARY: f"cat {{folder}}/{BINARY}", READS: "cat",
    HANGS: "echo begun; sleep 300", FLOODS: "cat /dev/zero",
}  # fmt: skip


@dataclass
class Reached:
    """A host behind one transport."""

    open: Callable[[], Session]
    folder: Path
    peer: Peer | None = None
    fed: list[bytes] = field(default_factory=list)

    def script(self, what: str) -> str:
        return f"# {what}" if self.peer is not None else SH[what].format(folder=self.folder)

    def answer(self, script: str, data: bytes) -> Answer | None:
        """Do at the peer what the sh scripts do."""
        if script == f"# {HANGS}":
            return Answer("begun\n", until=lambda running: not running.ended.wait())
        known = {
            SAYS: Answer("out\n"), FAILS: Answer("out\n", "err\n", 3), BINARY: Answer(BYTES), READS: Answer(data),
            FLOODS: Answer(b"\0" * 400_000),
        }  # fmt: skip
        return known.get(script.removeprefix("# "))


@pytest.fixture(params=TRANSPORTS)
def reached(
    request: pytest.FixtureRequest, tmp_path: Path, known: Path, user_key: Path,
) -> Iterator[Reached]:
    with ExitStack() as stack:
        name: str = request.param
        (tmp_path / BINARY).write_bytes(BYTES)
        if name.startswith("winrm"):
            start_peers: StartPeers = request.getfixturevalue("winrm_peers")
            (peer,) = start_peers()
            settings = {"auth": "ntlm", "scheme": "http", **({"client": "psrp"} if name.endswith("psrp") else {})}
            host = Host("h", Connection(
                "winrm", peer.address, peer.port, ADMIN, SecretRef("plain", PASSWORD), timeouts=TIMES, winrm=settings))
            connections = Connections(
                Inventory({"h": host}, {}, {}), known_hosts=[], ssh_config=None, secrets=Secrets())
            found = Reached(lambda: connections.open(host), tmp_path, peer)
            peer.powershell(found.answer)
        else:
            if name == "local":
                host = Host("h", Connection("local", become=Become("none"), timeouts=TIMES))
            else:
                start: StartServer = request.getfixturevalue("start")
                server = start()
                known.write_text(server.known_line())
                host = make_host(server, user_key, "h", transport=name, timeouts=TIMES)
            connections = connect([host], known)
            found = Reached(lambda: connections.open(host), tmp_path)
        stack.callback(connections.close)
        yield found
        if found.peer is not None:
            assert (found.peer.shells, found.peer.unknown) == ((), [])


def test_a_nonzero_exit_is_data_and_the_streams_stay_apart(reached: Reached) -> None:
    session = reached.open()
    try:
        result = session.run(Command(reached.script(FAILS)))
        assert (result.rc, result.stdout, result.stderr, result.lost) == (3, b"out\n", b"err\n", "")
    finally:
        session.close()


def test_one_session_runs_many_and_may_be_closed_twice(reached: Reached) -> None:
    session = reached.open()
    try:
        for _ in range(3):
            result = session.run(Command(reached.script(SAYS)))
            assert (result.rc, result.stdout, result.lost) == (0, b"out\n", "")
    finally:
        session.close()
        session.close()


def test_output_comes_back_byte_for_byte(reached: Reached) -> None:
    session = reached.open()
    try:
        assert session.run(Command(reached.script(BINARY))).stdout == BYTES
    finally:
        session.close()


def test_data_arrives_whole(reached: Reached) -> None:
    session = reached.open()
    try:
        result = session.run(Command(reached.script(READS), stdin=[BYTES, b"", b"end"]))
        assert (result.rc, result.stdout) == (0, BYTES + b"end")
    finally:
        session.close()


@pytest.mark.parametrize(("deadline", "code"), [("timeout", "total-timeout"), ("silence", "silence-timeout")])
def test_what_hangs_is_ended_by_our_own_clock_and_told_as_lost(reached: Reached, deadline: str, code: str) -> None:
    session = reached.open()
    try:
        seconds = {deadline: 3.0}
        result = session.run(Command(reached.script(HANGS), **seconds))  # type: ignore[arg-type]
        assert result.rc is None
        assert result.lost.startswith(f"{code}: "), result.lost
        assert result.stdout in (b"begun\n", b""), "what came until then, on a machine that is not too busy"
        assert session.run(Command(reached.script(SAYS))).stdout == b"out\n", "the session goes on"
    finally:
        session.close()


def test_more_than_the_cap_is_cut_and_told_as_lost(reached: Reached) -> None:
    session = reached.open()
    try:
        result = session.run(Command(reached.script(FLOODS), cap=100_000))
        assert (result.rc, len(result.stdout)) == (None, 100_000)
        assert result.lost.startswith("output-too-large: "), result.lost
    finally:
        session.close()


def test_every_transport_is_here_or_reaches_no_host() -> None:
    from patchctl.connect.registry import transport_names

    assert set(transport_names()) - {"fake"} == {name.partition("-")[0] for name in TRANSPORTS}
