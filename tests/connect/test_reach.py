"""Ports of a host are looked at from where it is reached: through its jump host; what is between is not its fault."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from patchctl.connect.contract import Reach, Session
from patchctl.model.hosts import HealthCheck
from patchctl.usecases.hostjobs_health import check_health
from tests.connect.conftest import StartServer
from tests.connect.server import connect, make_host


class Page(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"well" + b"x" * 200_000)


@pytest.fixture()
def serve() -> Iterator[Callable[[str], int]]:
    """A function that serves Page on an address; it returns the port."""
    servers: list[tuple[HTTPServer, threading.Thread]] = []

    def begin(address: str) -> int:
        server = HTTPServer((address, 0), Page)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        servers.append((server, thread))
        return int(server.server_address[1])

    yield begin
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port(address: str) -> int:
    with socket.socket() as unused:
        unused.bind((address, 0))
        return int(unused.getsockname()[1])


def reach_of(session: Session) -> Reach:
    found = getattr(session, "reach", None)
    assert isinstance(found, Reach)
    return found


@pytest.mark.parametrize("transport", ["ssh", "openssh"])
def test_checks_go_through_the_jump_host(
    start: StartServer, known: Path, user_key: Path, serve: Callable[[str], int], transport: str
) -> None:
    jump, last = start(), start()
    port = serve(last.address)
    known.write_text(jump.known_line() + last.known_line())
    bastion = make_host(jump, user_key, "bastion")
    host = make_host(last, user_key, jump=("bastion",), transport=transport)
    checks = [
        HealthCheck("tcp", str(port)), HealthCheck("http", f"http://:{port}/", "well"),
        HealthCheck("tcp", str(free_port(last.address))),
    ]
    with closing(connect([host, bastion], known)) as connections, closing(connections.open(host)) as session:
        found = check_health(host, checks, {}, reach=reach_of(session))
    if transport == "openssh":
        assert [check["ok"] for check in found] == [None, None, None], "unknown, never unhealthy"
        assert "bastion is between" in found[0]["detail"]
        return
    assert [check["ok"] for check in found] == [True, True, False]
    assert all("from bastion" in check["detail"] for check in found)
    assert jump.log.count("direct-tcpip") >= len(checks)


def test_a_jump_host_that_does_not_let_us_look_makes_nothing_unhealthy(
    start: StartServer, known: Path, user_key: Path, serve: Callable[[str], int]
) -> None:
    last = start()
    jump = start(f"PermitOpen {last.address}:{last.port}")
    port = serve(last.address)
    known.write_text(jump.known_line() + last.known_line())
    bastion = make_host(jump, user_key, "bastion")
    host = make_host(last, user_key, jump=("bastion",))
    with closing(connect([host, bastion], known)) as connections, closing(connections.open(host)) as session:
        (found,) = check_health(host, [HealthCheck("tcp", str(port))], {}, reach=reach_of(session))
    assert found["ok"] is None
    assert "does not forward" in found["detail"]


def test_the_address_is_the_one_that_ssh_config_gives(
    start: StartServer, known: Path, user_key: Path, tmp_path: Path
) -> None:
    server = start()
    known.write_text(server.known_line())
    config = tmp_path / "config"
    config.write_text(f"Host web01.nowhere\n  HostName {server.address}\n")
    host = make_host(server, user_key, "web01.nowhere", address="")
    connections = connect([host], known, config=config)
    with closing(connections), closing(connections.open(host)) as session:
        (found,) = check_health(host, [HealthCheck("tcp", str(server.port))], {}, reach=reach_of(session))
    assert found["ok"] is True
