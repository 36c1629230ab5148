"""Hung and flooding hosts: every deadline is kept, memory stays bounded, nothing is left running, others go on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.connect.connections import Connections
from patchctl.connect.contract import Command, Result
from patchctl.connect.fanout import visit
from patchctl.model.errors import HostError, HostFailure, UsageError
from patchctl.model.hosts import Become, Connection, Host, Inventory, Timeouts
from tests.connect.conftest import StartServer
from tests.connect.server import connect, make_host


@pytest.fixture()
def run(start: StartServer, known: Path, user_key: Path) -> Iterator[Callable[..., Result]]:
    server = start()
    known.write_text(server.known_line())
    local = Host("here", Connection(transport="local", become=Become("none"), timeouts=Timeouts(10.0, 20.0, 30.0)))
    hosts = {"ssh": make_host(server, user_key), "local": local,
             "openssh": make_host(server, user_key, "web02", transport="openssh")}
    connections = connect(list(hosts.values()), known)

    def act(transport: str, command: Command) -> Result:
        session = connections.open(hosts[transport])
        try:
            return session.run(command)
        finally:
            session.close()

    yield act
    connections.close()


@pytest.mark.parametrize("transport", ["ssh", "openssh", "local"])
def test_silence_and_total_deadlines_end_the_command_and_its_children(
    run: Callable[..., Result], transport: str, tmp_path: Path
) -> None:
    for settings, code in (({"silence": 4.0, "timeout": 40.0}, "silence-timeout"), ({"timeout": 8.0}, "total-timeout")):
        mark = tmp_path / f"{transport}-{code}"
        script = f"echo begun; (while :; do echo $$ > {mark}; sleep 0.2; done) & wait"
        if code == "total-timeout":
            script = f"echo begun; (while :; do echo tick; date +%N > {mark}; sleep 0.2; done) & wait"
        result = run(transport, Command(script, **settings))  # type: ignore[arg-type]
        assert result.rc is None
        assert result.lost.startswith(f"{code}: ")
        assert result.stdout.startswith(b"begun\n")
        assert result.seconds < 30
        before = mark.stat().st_mtime_ns  # the loop that wrote it is gone: the whole process group was ended
        time.sleep(0.8)
        assert mark.stat().st_mtime_ns == before


@pytest.mark.parametrize("transport", ["ssh", "openssh", "local"])
def test_output_is_kept_up_to_the_cap(run: Callable[..., Result], transport: str) -> None:
    result = run(transport, Command("cat /dev/zero", cap=100_000))
    assert len(result.stdout) == 100_000
    assert result.rc is None
    assert result.lost.startswith("output-too-large: ")
    both = run(transport, Command("head -c 5000000 /dev/zero >&2; echo done; exit 4", cap=1000))
    assert (both.rc, both.stdout, len(both.stderr)) == (4, b"done\n", 256 * 1024)


def test_a_daemon_that_keeps_the_output_open_does_not_hold_the_result(run: Callable[..., Result]) -> None:
    for transport in ("ssh", "local"):
        result = run(transport, Command("sleep 30 & echo $!; exit 5"))
        os.kill(int(result.stdout), 15)
        assert (result.rc, result.lost) == (5, "")


def test_a_command_killed_by_a_signal_has_no_exit_status(run: Callable[..., Result]) -> None:
    for transport in ("ssh", "local"):
        result = run(transport, Command("echo here; kill -KILL $$"))
        assert (result.rc, result.stdout) == (None, b"here\n")
        assert "signal" in result.lost


FLOOD = """
import resource, sys, threading
from pathlib import Path
from patchctl.connect.contract import Command
from patchctl.connect.fanout import visit
from patchctl.model.hosts import Timeouts
from tests.connect.server import Sshd, connect, make_host

address, port, key, known, count = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])
server = Sshd(Path("."), address, port, key, None)
hosts = [make_host(server, key, f"h{n}", timeouts=Timeouts(90.0, 90.0, 90.0)) for n in range(count)]
connections = connect(hosts, known)

def work(host):
    session = connections.open(host)
    try:
        return session.run(Command("head -c 15000000 /dev/zero & head -c 15000000 /dev/zero >&2; wait", cap=1_000_000))
    finally:
        session.close()

def quiet(host):
    session = connections.open(host)
    try:
        return session.run(Command("true"))
    finally:
        session.close()

list(visit(hosts, quiet, count))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for host, outcome in visit(hosts, work, count):
    assert hasattr(outcome, "stdout"), outcome
    assert len(outcome.stdout) <= 1_000_000 and len(outcome.stderr) <= 262144, outcome
    assert outcome.lost.startswith("output-too-large"), outcome.lost
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_twenty_floods_at_once_cost_bounded_memory(start: StartServer, known: Path, user_key: Path) -> None:
    server = start()
    known.write_text(server.known_line())
    done = subprocess.run(
        [sys.executable, "-c", FLOOD, server.address, str(server.port), str(user_key), str(known), "20"],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    print("RSS growth", done.stdout)
    assert int(done.stdout) < 150  # MB for 20 x 30 MB of output, of which 20 x 1.25 MB are kept


class Tarpit:
    """A port that accepts and says what it is told, then nothing."""

    def __init__(self, address: str, greeting: bytes, *, close: bool = False) -> None:
        self.socket = socket.create_server((address, 0))
        self.port = self.socket.getsockname()[1]
        self._held: list[socket.socket] = []
        self._greeting, self._close = greeting, close
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.sendall(self._greeting)
            self._held.append(connection)
            if self._close:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()

    def stop(self) -> None:
        self.socket.close()
        for connection in self._held:
            connection.close()


@pytest.mark.parametrize(("greeting", "close", "codes"), [
    (b"", False, {"connect-timeout"}), (b"", True, {"not-ssh", "link-lost"}),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n" * 200, True, {"not-ssh"}), (b"SSH-2.0-Old\r\n", False, {"connect-timeout"}),
    (b"SSH-1.5-Ancient\r\n", False, {"not-ssh"}), (b"SSH-2.0-Odd\r\n\0\0\0\x0c garbage", True,
                                                   {"kex-failed", "link-lost", "not-ssh"}),
], ids=["silent", "closes", "http", "stalls", "ssh1", "garbage"])
def test_servers_that_are_no_servers_have_their_codes(
    greeting: bytes, close: bool, codes: set[str], known: Path
) -> None:
    pit = Tarpit("127.0.0.201", greeting, close=close)
    try:
        host = Host("odd", Connection(
            address="127.0.0.201", port=pit.port, user="me", timeouts=Timeouts(1.5, 5.0, 10.0)))
        began = time.monotonic()
        with pytest.raises(HostError) as caught:
            connect([host], known).open(host)
        assert caught.value.code in codes, caught.value.message
        assert f"127.0.0.201:{pit.port}" in caught.value.message
        assert time.monotonic() - began < 8
    finally:
        pit.stop()


def test_hung_and_flooding_hosts_do_not_hold_up_the_others(start: StartServer, known: Path, user_key: Path) -> None:
    server, pit = start(), Tarpit("127.0.0.202", b"")
    known.write_text(server.known_line())
    good = [make_host(server, user_key, f"good{n}") for n in range(12)]
    bad = [Host(f"hung{n}", Connection(address="127.0.0.202", port=pit.port, user="me",
                                       timeouts=Timeouts(20.0, 20.0, 20.0))) for n in range(4)]
    bad.append(make_host(server, user_key, "flood"))
    hosts = [*bad, *good]
    connections = connect(hosts, known)

    def work(host: Host) -> bytes:
        session = connections.open(host)
        try:
            script = "cat /dev/zero >&2" if host.name == "flood" else "echo fine"
            return session.run(Command(script, timeout=20.0)).stdout
        finally:
            session.close()

    finished = []
    for host, outcome in visit(hosts, work, 8):
        assert outcome == b"fine\n", outcome
        finished.append(host.name)
        if len(finished) == len(good):
            break  # the hung ones are still hanging: nobody waited for them
    assert sorted(finished) == sorted(host.name for host in good)
    pit.stop()


def hosts_of(**sites: int) -> list[Host]:
    return [Host(f"{site}{n}", site=site) for site, count in sites.items() for n in range(count)]


def test_the_limits_of_sites_and_forks_hold_and_every_host_comes_once() -> None:
    busy: dict[str, int] = {}
    most: dict[str, int] = {}
    lock = threading.Lock()
    gate = threading.Barrier(3, timeout=20)

    def work(host: Host) -> str:
        with lock:
            for name in ("", host.site):
                busy[name] = busy.get(name, 0) + 1
                most[name] = max(most.get(name, 0), busy[name])
        if host.name in ("fast0", "fast1", "slow0"):
            gate.wait()  # these three meet: the fast site is not held up by the slow one being full
        with lock:
            for name in ("", host.site):
                busy[name] -= 1
        return host.name

    hosts = hosts_of(slow=10, fast=30)
    done = [host.name for host, outcome in visit(hosts, work, 6, site_forks={"slow": 1}) if outcome == host.name]
    assert sorted(done) == sorted(host.name for host in hosts)
    assert most["slow"] == 1
    assert most[""] <= 6


def test_whatever_a_worker_raises_is_that_hosts_failure() -> None:
    def work(host: Host) -> None:
        raise {"a0": ZeroDivisionError("oops"), "a1": SystemExit(3), "a2": HostError("some-code", "said", "do"),
               "a3": MemoryError()}[host.name]

    found = {host.name: outcome for host, outcome in visit(hosts_of(a=4), work, 2)}
    assert {name: outcome.code for name, outcome in found.items() if isinstance(outcome, HostFailure)} == {
        "a0": "internal-error", "a1": "internal-error", "a2": "some-code", "a3": "internal-error"}


def test_stopping_early_starts_no_more_hosts() -> None:
    started: list[str] = []

    def work(host: Host) -> str:
        started.append(host.name)
        return host.name

    results = visit(hosts_of(a=500), work, 2, on_start=lambda host: None)
    next(results)
    results.close()  # type: ignore[attr-defined]
    count = len(started)
    time.sleep(0.1)
    assert len(started) <= count + 2


def test_an_empty_list_of_hosts_is_no_work() -> None:
    assert list(visit([], lambda host: host, 5)) == []


def test_unknown_transports_are_named(known: Path) -> None:
    host = replace(Host("web01"), connection=Connection(transport="pigeon"))
    with pytest.raises(UsageError, match="pigeon") as caught:
        Connections(Inventory({}, {}, {}), known_hosts=[known], ssh_config=None, secrets=lambda ref: "").open(host)
    assert "openssh" in caught.value.hint
