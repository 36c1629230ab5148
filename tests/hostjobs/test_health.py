"""Health checks: from the host's evidence, and against servers on loopback."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from patchctl.model.evidence import Evidence
from patchctl.model.hosts import Connection, HealthCheck, Host
from patchctl.rollout.health import find_regressions
from patchctl.usecases.hostjobs_health import check_health, health_probes

HOST = Host("web1.test", Connection(address="127.0.0.1"))


class Pages(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        code = {"/down": 503, "/moved": 302}.get(self.path, 200)
        self.send_response(code)
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        self.wfile.write(b"all is well")


def serve(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture()
def plain() -> Iterator[int]:
    yield from serve(HTTPServer(("127.0.0.1", 0), Pages))


@pytest.fixture()
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server with a certificate for web1.test, which this process trusts."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=web1.test", "-addext", "subjectAltName=DNS:web1.test", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("127.0.0.1", 0), Pages)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serve(server)


def one(check: HealthCheck, host: Host = HOST) -> tuple[bool | None, str]:
    (outcome,) = check_health(host, [check], {})
    assert (outcome["kind"], outcome["target"]) == (check.kind, check.target)
    return outcome["ok"], outcome["detail"]


@pytest.mark.parametrize(("path", "expect", "ok"), [
    ("/ping", "", True), ("/ping", "well", True), ("/ping", "sick", False), ("/ping", "200", True),
    ("/down", "", False), ("/down", "503", True), ("/moved", "", True),
])
def test_http(plain: int, path: str, expect: str, ok: bool) -> None:
    assert one(HealthCheck("http", f"http://:{plain}{path}", expect))[0] is ok
    assert one(HealthCheck("http", f"http://127.0.0.1:{plain}{path}", expect))[0] is ok


def test_https_is_verified_against_the_hosts_name(secure: int) -> None:
    assert one(HealthCheck("http", f"https://:{secure}/ping")) == (True, "HTTP 200")
    ok, detail = one(HealthCheck("http", f"https://:{secure}/ping"), Host("db1.test", HOST.connection))
    assert ok is False
    assert "certificate" in detail.lower()


def test_tcp(plain: int) -> None:
    assert one(HealthCheck("tcp", str(plain)))[0] is True
    assert one(HealthCheck("tcp", f":{plain}"))[0] is True
    assert one(HealthCheck("tcp", f"127.0.0.1:{plain}"))[0] is True
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert one(HealthCheck("tcp", str(unused.getsockname()[1])))[0] is False
    assert one(HealthCheck("tcp", "ssh"))[0] is None


CHECKS = (
    HealthCheck("unit", "nginx.service"), HealthCheck("no_new_failed_units"), HealthCheck("command", "check-it", "OK"),
)


def evidence(unit: str, failed: str, output: str, rc: int = 0) -> dict[str, Evidence]:
    return {
        "health.0": Evidence("health.0", "ok", unit, 0 if unit == "active\n" else 3),
        "health.1": Evidence("health.1", "ok", failed, 0),
        "health.2": Evidence("health.2", "ok", output, rc),
    }


def test_units_that_failed_before_are_not_held_against_the_update() -> None:
    old = "● old.service loaded failed failed Old\n"
    before = check_health(HOST, CHECKS, evidence("active\n", old, "OK\n"))
    assert [check["ok"] for check in before] == [True, True, True]
    same = check_health(HOST, CHECKS, evidence("active\n", old, "OK\n"), before)
    assert find_regressions(before, same) == []
    worse = check_health(
        HOST, CHECKS, evidence("activating\n", old + "new@x.service loaded failed failed N\n", "bad\n", 2), before)
    assert [check["ok"] for check in worse] == [False, False, False]
    assert find_regressions(before, worse) == [
        "unit nginx.service: unhealthy (activating)", "no_new_failed_units: unhealthy (failed: new@x.service)",
        "command check-it: unhealthy (exit status 2: bad)",
    ]


def test_what_could_not_be_asked_is_unknown_never_well() -> None:
    silent = {"health.0": Evidence("health.0", "unknown", reason="timed out")}
    assert [check["ok"] for check in check_health(HOST, CHECKS, silent)] == [None, None, None]
    no_systemd = evidence("", "", "OK\n") | {"health.1": Evidence("health.1", "ok", "", 127)}
    assert check_health(HOST, CHECKS, no_systemd)[1]["ok"] is None


def test_units_are_quoted_for_the_shell() -> None:
    (probe,) = health_probes([HealthCheck("unit", "x; reboot")])
    assert probe.command == "systemctl is-active -- 'x; reboot'"
