"""The winrm transport against simulated Windows hosts: logins, scripts of any length, every fault without a leak."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest

from patchctl.connect.connections import Connections
from patchctl.connect.context import Context
from patchctl.connect.contract import Command
from patchctl.connect.known_hosts import KnownHosts, KnownKey, encode_key
from patchctl.connect.winrm import WinrmSession, WinrmTransport
from patchctl.connect.winrm_http import GuardedTransport
from patchctl.connect.winrm_pin import pin_of
from patchctl.connect.winrm_settings import place_of
from patchctl.documents.inventories import load_inventory
from patchctl.model.errors import ConnectError, HostError, HostKeyError, LoginError, PrivilegeError, UsageError
from patchctl.model.hosts import Connection, Host, Inventory, SecretRef, Timeouts
from patchctl.usecases.trust import Survey, accept_keys, survey_hosts
from tests.winrm.certificates import Authority
from tests.winrm.injected import AFTER, BEFORE
from tests.winrm.peers import ADMIN, PASSWORD, Peer, StartPeers
from tests.winrm.powershell import Answer

SCRIPT, NEXT = "Get-Something", "Get-More"
TIMES = Timeouts(connect=3.0, silence=3.0, total=6.0)


def open_at(
    peer: Peer, auth: str = "ntlm", *, tls: bool = False, password: str = PASSWORD, pins: tuple[bytes, ...] = (),
    trusted: bool = True, **options: str,
) -> WinrmSession:
    port = peer.tls_port if tls else peer.port
    settings = {"auth": auth, "scheme": "https" if tls else "http", **options}
    if trusted:
        settings["ca"] = str(peer.authority.file)
    reference = SecretRef("plain", password) if auth not in ("certificate", "kerberos") else None
    known = KnownHosts([KnownKey(f"[{peer.address}]:{port}", pin_of(der)) for der in pins])
    context = Context(lambda host: pytest.fail("no ssh here"), lambda endpoint: known, lambda found: found.value)
    host = Host("win01", Connection(
        "winrm", peer.address, port, ADMIN, reference, timeouts=TIMES, winrm=settings))
    return WinrmTransport(context).open(host)


def says(session: WinrmSession, command: Command) -> Any:
    try:
        return session.run(command)
    finally:
        session.close()


def test_an_inventory_leads_to_the_host(winrm_peers: StartPeers, tmp_path: Path) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes")})
    (tmp_path / "hosts.yaml").write_text(
        f"defaults: {{connection: winrm, user: {ADMIN}, password: 'env:WINRM', winrm: {{ca: {peer.authority.file}}}}}\n"
        f"hosts:\n  win01: {{address: {peer.address}, port: {peer.tls_port}, winrm: {{auth: basic}}}}\n")
    inventory = load_inventory([tmp_path / "hosts.yaml"])
    connections = Connections(inventory, known_hosts=(), ssh_config=None, secrets=lambda found: PASSWORD)
    assert says(connections.open(inventory.hosts["win01"]), Command(SCRIPT)).stdout == b"yes"  # type: ignore[arg-type]
    connections.close()
    assert peer.shells == ()


def test_trust_pins_the_certificate_that_was_shown_and_notices_another(
    winrm_peers: StartPeers, tmp_path: Path) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes")})
    host = Host("win01", Connection(
        "winrm", peer.address, peer.tls_port, ADMIN, SecretRef("plain", PASSWORD), winrm={"auth": "basic"}))
    file, records = tmp_path / "known_hosts", list[Any]()

    def survey(replace: tuple[str, ...] = ()) -> tuple[Connections, Survey]:
        connections = Connections(Inventory({"win01": host}, {}, {}), known_hosts=[file], ssh_config=None,
                                  secrets=lambda found: found.value)
        return connections, survey_hosts([host], connections, 1, site_forks={}, replace=replace)

    def accept(found: Survey) -> int:
        return accept_keys(found, file, lambda *record: records.append(record), "seen on the console")

    _, found = survey()
    shown = ssl.PEM_cert_to_DER_cert(peer.certificate[0].read_text())
    digest = hashlib.sha256(shown).digest().hex(":").upper()
    assert [(key.state, key.fingerprint) for key in found.keys] == [("new", digest)]
    assert accept(found) == 1
    assert peer.credentials_seen == 0
    assert records[0][1]["keys"][0]["fingerprint"] == digest
    connections, found = survey()
    assert [key.state for key in found.keys] == ["known"]
    assert says(connections.open(host), Command(SCRIPT)).stdout == b"yes"  # type: ignore[arg-type]
    file.write_text(file.read_text().replace(encode_key(pin_of(shown)), encode_key(pin_of(b"another"))))
    connections, found = survey()
    assert [key.state for key in found.keys] == ["changed"]
    with pytest.raises(HostKeyError):
        connections.open(host)
    assert accept(survey(("win01",))[1]) == 1
    assert [key.state for key in survey()[1].keys] == ["known"]


def test_files_and_jump_hosts_are_looked_at_before_anything_is_sent(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    with pytest.raises(UsageError) as caught:
        open_at(peer, tls=True, trusted=False, ca="/nonexistent/ca.pem")
    assert caught.value.code == "winrm-file"
    with pytest.raises(UsageError) as caught:
        place_of(Host("win01", Connection("winrm", jump=("bastion",))))
    assert caught.value.code == "winrm-jump"
    assert peer.connections == 0


def test_files_that_are_not_pem_are_named_before_anything_is_sent(winrm_peers: StartPeers, tmp_path: Path) -> None:
    (peer,) = winrm_peers()
    bad = tmp_path / "bad.pem"
    bad.write_bytes(ssl.PEM_cert_to_DER_cert(peer.authority.file.read_text()))
    pem, key = peer.authority.client(ADMIN)
    with pytest.raises(UsageError) as caught:
        open_at(peer, "basic", tls=True, trusted=False, ca=str(bad))
    assert caught.value.code == "winrm-file"
    assert f"winrm.ca: {bad} holds no certificate in PEM form" in caught.value.message
    with pytest.raises(UsageError) as caught:
        open_at(peer, "certificate", tls=True, certificate=str(pem), key=str(bad))
    assert f"winrm.certificate: {pem} and {bad} are no certificate and its key" in caught.value.message
    assert peer.connections == 0
    bad.write_text(peer.authority.file.read_text())
    peer.powershell({SCRIPT: Answer("yes")})
    session = open_at(peer, "basic", tls=True, trusted=False, ca=str(bad))
    assert says(session, Command(SCRIPT)).stdout == b"yes", "a file that was mended is read again"
    assert key.exists()


def test_a_pin_counts_alone_whatever_the_authority_says(winrm_peers: StartPeers, tmp_path: Path) -> None:
    """Pinned: neither the authority nor name and dates matter. Another pin: refused, although the authority signed."""
    authority = Authority(tmp_path / "stranger")
    (peer,) = winrm_peers(certificate=authority.server("elsewhere.example.com", days=-1))
    peer.powershell({SCRIPT: Answer("yes")})
    shown = ssl.PEM_cert_to_DER_cert(peer.certificate[0].read_text())
    assert says(open_at(peer, "basic", tls=True, pins=(shown,)), Command(SCRIPT)).stdout == b"yes"
    (signed,) = winrm_peers()
    with pytest.raises(HostKeyError) as caught:
        open_at(signed, "basic", tls=True, pins=(shown,))
    assert caught.value.code == "certificate-untrusted"
    assert signed.credentials_seen == 0


@pytest.mark.parametrize(("auth", "tls"), [("ntlm", False), ("ntlm", True), ("basic", True), ("credssp", False)])
def test_logs_in_and_runs_many_scripts_in_one_shell(winrm_peers: StartPeers, auth: str, tls: bool) -> None:
    (peer,) = winrm_peers(auth=(auth,))
    peer.powershell(lambda script, data: Answer(script[-20:], errors=("a warning",), rc=3010))
    session = open_at(peer, auth, tls=tls)
    for number in range(3):
        result = session.run(Command("#" * 200_000 + f" äöü {number}"))
        assert (result.rc, result.lost, result.as_root) == (3010, "", True)
        assert result.stdout.decode().endswith(f"äöü {number}")
        assert result.stderr == b"a warning\n"
    session.close()
    assert (peer.host.opened, peer.shells, peer.troubles) == (1, (), [])


def test_client_certificates_log_in(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes")})
    pem, key = peer.authority.client(ADMIN)
    session = open_at(peer, "certificate", tls=True, certificate=str(pem), key=str(key))
    assert says(session, Command(SCRIPT)).stdout == b"yes"
    assert peer.shells == ()


def test_data_arrives_whole(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    got: list[bytes] = []

    def keep(script: str, data: bytes) -> Answer:
        got.append(data)
        return Answer("kept")

    peer.powershell(keep)
    pieces = [bytes(range(256)) * 400, b"", b"end"]
    assert says(open_at(peer), Command(SCRIPT, stdin=pieces)).stdout == b"kept"
    assert got == [b"".join(pieces)]


def test_strangers_certificates_see_no_credentials_until_they_are_pinned(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes")})
    shown = ssl.PEM_cert_to_DER_cert(peer.certificate[0].read_text())
    for pins in ((), (b"another",)):
        with pytest.raises(HostKeyError) as caught:
            open_at(peer, "basic", tls=True, trusted=False, pins=pins)
        assert hashlib.sha256(shown).digest().hex(":").upper() in caught.value.message
        assert "patchctl trust --limit win01" in caught.value.hint
    assert peer.credentials_seen == 0
    assert says(open_at(peer, "basic", tls=True, trusted=False, pins=(shown,)), Command(SCRIPT)).stdout == b"yes"


def test_a_port_that_speaks_something_else_is_told_as_such(winrm_peers: StartPeers) -> None:
    """There is no certificate to compare where no TLS is spoken, and nothing to trust."""
    (peer,) = winrm_peers()
    peer.tls_port, peer.port = peer.port, peer.tls_port
    with pytest.raises(ConnectError) as caught:
        open_at(peer, "basic", tls=True)
    assert (caught.value.code, "speaks no TLS" in caught.value.message) == ("winrm-answer", True)
    assert "scheme: http" in caught.value.hint
    with pytest.raises(ConnectError) as caught:
        open_at(peer)
    assert caught.value.code == "link-lost"
    assert "(" not in caught.value.message.partition(": ")[2], "no objects' names"
    assert peer.credentials_seen == 0


def test_a_wrong_password_is_sent_once(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    with pytest.raises(LoginError):
        open_at(peer, "basic", tls=True, password="wrong")
    assert peer.credentials_seen == 1


def test_basic_never_goes_over_http(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    with pytest.raises(UsageError):
        open_at(peer, "basic")
    assert peer.connections == 0


def test_elevation_is_asked_for_before_the_script_runs(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    peer.engine.elevated = False
    peer.powershell({SCRIPT: Answer("ran")})
    session = open_at(peer)
    assert not session.run(Command(SCRIPT)).as_root
    with pytest.raises(PrivilegeError):
        session.run(Command(SCRIPT, become=True))
    session.close()
    assert peer.shells == ()


def test_a_slow_service_may_take_what_the_timeouts_say(winrm_peers: StartPeers, monkeypatch: Any) -> None:
    """Not pywinrm's own 30 s: a busy service was given up although `timeouts: {connect: 5m}` was set."""
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes")})
    patience: list[Any] = []
    send = GuardedTransport.send_message

    def noted(transport: GuardedTransport, message: str | bytes) -> bytes:
        patience.append(transport.read_timeout_sec)
        return send(transport, message)

    monkeypatch.setattr(GuardedTransport, "send_message", noted)
    session = open_at(peer)
    session.run(Command(SCRIPT, timeout=300.0, silence=200.0))
    session.close()
    assert patience[0] == TIMES.connect
    assert all(100 < seconds <= 200 for seconds in patience[1:3]), patience


OPERATIONS = ("Create", "Command", "Send", "Receive", "Signal", "Delete")
FAULTS = [
    pytest.param(kind, at, marks=() if index % len(OPERATIONS) == place else pytest.mark.soak)
    for index, kind in enumerate(sorted(BEFORE | AFTER)) for place, at in enumerate(OPERATIONS)
]
"""Each kind of fault at one operation; at all of them in the long version."""


@pytest.mark.parametrize(("kind", "at"), FAULTS)
def test_no_fault_leaks_a_shell_or_runs_anything_twice(winrm_peers: StartPeers, kind: str, at: str) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes"), NEXT: Answer("next")})
    fault = peer.inject(kind, at, detail={"fault": "access-denied", "redirect": "http://127.0.0.1:9/"}.get(kind, ""))
    outcome: Any
    session: WinrmSession | None = None
    try:
        session = open_at(peer)
        outcome = session.run(Command(SCRIPT))
        if at == "Signal":  # sent only when another script follows in the same shell
            assert session.run(Command(NEXT)).stdout == b"next"
    except HostError as error:
        outcome = error
    finally:
        if session is not None:
            session.close()
    assert fault.hits == 1
    assert peer.shells == ()
    runs = peer.executions[SCRIPT]
    assert runs <= 1
    if isinstance(outcome, HostError):
        assert runs == 0, outcome.message
    elif outcome.lost:
        assert outcome.rc is None
    else:
        assert (outcome.rc, outcome.stdout, runs) == (0, b"yes", 1)


