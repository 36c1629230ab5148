"""What the command line tells of Windows hosts that cannot be reached as they should be, and how it discovers them."""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.windows.paper import OFFERS, paper_host
from tests.winrm.fleet import answer
from tests.winrm.peers import ADMIN, PASSWORD, Peer, StartPeers

ROOT = Path(__file__).resolve().parents[2]


def patchctl(folder: Path, *words: str, code: int = 0) -> Any:
    """Run the command line in a project folder; return its JSON document."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PATCHCTL_")}
    done = subprocess.run(
        [sys.executable, "-m", "patchctl", *words, "-o", "json"], cwd=folder, capture_output=True, text=True,
        env={**env, "PYTHONPATH": str(ROOT), "HOME": str(folder), "WINRM_PASSWORD": PASSWORD, "WINRM_WRONG": "no"})
    assert done.returncode == code, (done.stdout[-3000:], done.stderr[-3000:])
    return json.loads(done.stdout)


def serve(peer: Peer) -> Peer:
    peer.powershell(functools.partial(answer, paper_host()))
    return peer


def test_every_failure_has_its_code_its_status_and_a_hint(winrm_peers: StartPeers, tmp_path: Path) -> None:
    names = ("fine", "wrong", "http500", "shells", "users", "denied", "silent", "stranger", "html")
    found = dict(zip(names, map(serve, winrm_peers(len(names))), strict=True))
    found["http500"].inject("status-500", "Create", times=9)
    found["shells"].inject("fault", "Create", times=9, detail="max-shells")
    found["users"].inject("fault", "Create", times=9, detail="max-users")
    found["denied"].inject("fault", "Create", times=9, detail="access-denied")
    found["silent"].inject("stall", "Create", times=9)
    found["html"].inject("html", "Create", times=9)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
    lines = [f"  {name}: {{address: {peer.address}, port: {peer.port}, winrm: {{scheme: http}}}}\n"
             for name, peer in found.items() if name not in ("wrong", "stranger")]
    wrong, stranger = found["wrong"], found["stranger"]
    http, login = "winrm: {scheme: http}", "password: 'env:WINRM_WRONG'"
    lines += [
        f"  wrong: {{address: {wrong.address}, port: {wrong.port}, {http}, {login}}}\n",
        f"  stranger: {{address: {stranger.address}, port: {stranger.tls_port}}}\n",
        f"  closed: {{address: 127.0.0.1, port: {closed}}}\n",
    ]
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/windows.yaml").write_text(
        f"defaults: {{connection: winrm, user: {ADMIN}, password: 'env:WINRM_PASSWORD', timeouts: {{connect: 10s}}}}\n"
        "hosts:\n" + "".join(lines))
    document = patchctl(tmp_path, "scan", "--fail-on", "any", code=4)
    told = {host["host"]: (host["status"], (host["error"] or {}).get("code")) for host in document["hosts"]}
    assert told == {
        "fine": ("ok", None), "wrong": ("auth-failed", "auth-failed"), "http500": ("unreachable", "winrm-http-500"),
        "shells": ("unreachable", "winrm-shells"), "users": ("unreachable", "winrm-users"),
        "denied": ("auth-failed", "winrm-access-denied"), "silent": ("timeout", "connect-timeout"),
        "stranger": ("host-key", "certificate-untrusted"), "closed": ("unreachable", "link-lost"),
        "html": ("unreachable", "winrm-answer"),
    }
    assert all(host["error"]["hint"] for host in document["hosts"] if host["error"])
    assert [host["pending"] for host in document["hosts"] if host["status"] == "ok"] == [OFFERS]
    assert {host["pending"] for host in document["hosts"] if host["status"] != "ok"} == {None}, "unknown is never none"
    assert (wrong.credentials_seen, stranger.credentials_seen) == (2, 0), "one login of two messages; and none"
    assert {name: peer.shells for name, peer in found.items()} == dict.fromkeys(found, ())


def test_windows_hosts_are_discovered_by_what_they_say_of_themselves(winrm_peers: StartPeers, tmp_path: Path) -> None:
    (peer,) = winrm_peers(ports=(5985, 5986))
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories/none.yaml").write_text("hosts: [elsewhere]\n")
    document = patchctl(tmp_path, "discover", "--net", f"{peer.address}/32", "--no-names")
    (device,) = [device for device in document["devices"] if device["address"] == peer.address]
    services = {service["port"]: service for service in device["services"] if service["kind"] == "winrm"}
    assert set(services) == {5985, 5986}
    assert all("Microsoft Corporation" in service["banner"] for service in services.values())
    assert (device["state"], peer.credentials_seen) == ("unmanaged", 0)
