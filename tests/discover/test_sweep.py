"""The sweep against real listeners on loopback: an SSH server, a WinRM-like one, a silent one, and nobody."""

import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from patchctl.connect.sweep import sweep


@pytest.fixture
def listener():
    opened = []

    def listen(address, answer=b""):
        server = socket.create_server((address, 0))
        accepted = []

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                accepted.append(connection)
                if answer:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        opened.append((server, accepted, thread))
        return server.getsockname()[1], accepted

    yield listen
    for server, accepted, thread in opened:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in accepted:
            connection.close()
        thread.join(5)


@pytest.fixture
def sshd(tmp_path):
    """A real sshd on 127.0.0.23 that needs no root; yields its port and its key's fingerprint."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    with socket.create_server(("127.0.0.23", 0)) as probe:
        port = probe.getsockname()[1]
    config = tmp_path / "sshd_config"
    config.write_text(f"ListenAddress 127.0.0.23:{port}\nHostKey {key}\nPidFile none\nUsePAM no\n")
    import pathlib

    pathlib.Path("/run/sshd").mkdir(exist_ok=True) if pathlib.Path("/run").stat().st_uid == 0 else None
    daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=subprocess.PIPE, text=True)
    line = daemon.stderr.readline()
    assert "listening" in line, line
    shown = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout
    yield port, shown.split()[1]
    daemon.terminate()
    daemon.wait(10)
    daemon.stderr.close()


def test_an_ssh_server_shows_its_banner_and_key(sshd):
    port, fingerprint = sshd
    (sighting,) = sweep(["127.0.0.23", "127.0.0.24"], [(port, "ssh")], 100, on_seen=lambda s: None)
    service = sighting.services[0]
    assert sighting.address == "127.0.0.23"
    assert service.banner.startswith("SSH-2.0-OpenSSH")
    assert (service.key_type, service.key_fingerprint) == ("ssh-ed25519", fingerprint)


def test_a_port_that_says_nothing_is_not_a_service(listener):
    port, accepted = listener("127.0.0.25")
    assert sweep(["127.0.0.25"], [(port, "ssh")], 100, on_seen=lambda s: None) == ()
    assert len(accepted) == 1


def test_another_protocol_is_not_ssh(listener):
    port, _ = listener("127.0.0.25", b"220 mail ready\r\n")
    assert sweep(["127.0.0.25"], [(port, "ssh")], 100, on_seen=lambda s: None) == ()


def test_winrm_identifies_itself_without_credentials():
    asked = []

    class Peer(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(dict(self.headers))
            self.rfile.read(int(self.headers["Content-Length"]))
            body = (b"<s:Envelope><s:Body><wsmid:IdentifyResponse><wsmid:ProductVendor>Microsoft Corporation"
                    b"</wsmid:ProductVendor></wsmid:IdentifyResponse></s:Body></s:Envelope>")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.26", 0), Peer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        found = sweep(["127.0.0.26"], [(server.server_port, "winrm")], 100, on_seen=lambda s: None)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert found[0].services[0].banner == "Microsoft Corporation"
    assert asked[0]["WSMANIDENTIFY"] == "unauthenticated"
    assert "Authorization" not in asked[0]


def test_stop_ends_the_sweep_with_what_was_seen():
    assert sweep(["127.0.0.27"] * 5, [(9, "ssh")], 1, on_seen=lambda s: None, stop=lambda: True) == ()
