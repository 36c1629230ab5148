"""The contract over PSRP (`winrm: {client: psrp}`): pypsrp's messages over the guarded HTTP, against a peer's pools."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import Any

import pytest

from patchctl.connect.contract import Command
from patchctl.connect.winrm import WinrmSession
from patchctl.connect.winrm_psrp import PIPELINE, _Plain
from patchctl.connect.winrm_settings import place_of
from patchctl.documents.inventories import load_inventory
from patchctl.model.errors import HostError, HostKeyError, LoginError, PrivilegeError, UsageError
from patchctl.model.hosts import Connection, Host
from tests.connect.test_winrm import NEXT, OPERATIONS, SCRIPT, open_at, says
from tests.winrm.injected import AFTER, BEFORE
from tests.winrm.peers import ADMIN, PASSWORD, Peer, StartPeers
from tests.winrm.powershell import Answer


def at(peer: Peer, auth: str = "ntlm", **more: Any) -> WinrmSession:
    return open_at(peer, auth, client="psrp", **more)


def test_an_inventory_chooses_it(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text("hosts:\n  w1: {connection: winrm, user: a, password: 'env:X', winrm: {client: psrp}}\n"
                    "  w2: {connection: winrm, user: a, password: 'env:X'}\n")
    hosts = load_inventory([file]).hosts
    assert [place_of(hosts[name]).client for name in ("w1", "w2")] == ["psrp", "winrs"]
    with pytest.raises(UsageError) as caught:
        place_of(Host("w", Connection("winrm", winrm={"client": "telnet", "auth": "kerberos"})))
    assert caught.value.code == "winrm-client"


@pytest.mark.parametrize(("auth", "tls"), [("ntlm", False), ("basic", True), ("credssp", False)])
def test_many_scripts_of_any_length_run_in_one_pool(winrm_peers: StartPeers, auth: str, tls: bool) -> None:
    (peer,) = winrm_peers(auth=(auth,))
    peer.powershell(lambda script, data: Answer(script[-20:], errors=("a warning",), rc=3010))
    session = at(peer, auth, tls=tls)
    for number in range(2):
        result = session.run(Command("#" * 200_000 + f" äöü {number}", become=True))
        assert (result.rc, result.lost, result.as_root) == (3010, "", True)
        assert result.stdout.decode().endswith(f"äöü {number}")
        assert result.stderr == b"a warning\n"
    session.close()
    assert (peer.host.opened, peer.shells, peer.troubles) == (1, (), [])


def test_data_arrives_whole_and_output_of_any_bytes_comes_back(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    got: list[bytes] = []
    said = bytes(range(256)) * 2000

    def keep(script: str, data: bytes) -> Answer:
        got.append(data)
        return Answer(said)

    peer.powershell(keep)
    pieces = [bytes(range(256)) * 800, b"", b"end"]
    assert says(at(peer), Command(SCRIPT, stdin=pieces)).stdout == said
    assert got == [b"".join(pieces)]


def test_certificates_are_checked_by_the_same_rules(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes")})
    shown = ssl.PEM_cert_to_DER_cert(peer.certificate[0].read_text())
    for pins in ((), (b"another",)):
        with pytest.raises(HostKeyError) as caught:
            at(peer, "basic", tls=True, trusted=False, pins=pins)
        assert hashlib.sha256(shown).digest().hex(":").upper() in caught.value.message
    assert peer.credentials_seen == 0
    assert says(at(peer, "basic", tls=True, trusted=False, pins=(shown,)), Command(SCRIPT)).stdout == b"yes"


def test_a_wrong_password_is_sent_once_and_quotas_are_named(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    with pytest.raises(LoginError):
        at(peer, "basic", tls=True, password="wrong")
    assert peer.credentials_seen == 1
    peer.host.max_shells = 0
    with pytest.raises(HostError) as caught:
        at(peer)
    assert caught.value.code == "winrm-shells"


def test_elevation_is_asked_for_before_the_script_runs(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    peer.engine.elevated = False
    peer.powershell({SCRIPT: Answer("ran")})
    session = at(peer)
    with pytest.raises(PrivilegeError):
        session.run(Command(SCRIPT, become=True))
    session.close()
    assert peer.shells == ()


def test_what_never_ends_is_ended_at_the_deadline(winrm_peers: StartPeers) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("begun", until=lambda command: command.ended.wait(60) and False)})
    session = at(peer)
    result = session.run(Command(SCRIPT, timeout=2.0, silence=2.0))
    assert (result.rc, result.stdout) == (None, b"begun")
    assert "timeout" in result.lost
    assert peer.shells == ()


SOON = ("drop-before", "drop-after", "stall", "status-401", "status-500", "fault", "restart", "truncate", "corrupt",
        "garbage")
FAULTS = [
    pytest.param(kind, where, marks=() if kind in SOON and index % len(OPERATIONS) == place else pytest.mark.soak)
    for index, kind in enumerate(sorted(BEFORE | AFTER)) for place, where in enumerate(OPERATIONS)
]


@pytest.mark.parametrize(("kind", "where"), FAULTS)
def test_no_fault_leaks_a_pool_or_runs_anything_twice(winrm_peers: StartPeers, kind: str, where: str) -> None:
    (peer,) = winrm_peers()
    peer.powershell({SCRIPT: Answer("yes"), NEXT: Answer("next")})
    fault = peer.inject(kind, where, detail={"fault": "max-users", "redirect": "http://127.0.0.1:9/"}.get(kind, ""))
    outcome: Any
    session: WinrmSession | None = None
    try:
        session = at(peer)
        outcome = session.run(Command(SCRIPT))
        if where == "Signal":  # sent only when another script follows in the same pool
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


def test_objects_of_a_host_expand_no_entities() -> None:
    with pytest.raises(ValueError, match="document type"):
        _Plain().deserialize('<!DOCTYPE S [<!ENTITY a "aaaa">]><S>&a;</S>')
    assert _Plain().deserialize("<S>a</S>") == "a"


def test_a_pipeline_that_prints_something_else_is_no_answer(winrm_peers: StartPeers, monkeypatch: Any) -> None:
    (peer,) = winrm_peers()
    peer.powershell(lambda script, data: Answer("yes"))
    monkeypatch.setattr("patchctl.connect.winrm_psrp.PIPELINE", PIPELINE + "# another")  # the peer runs it as a script
    result = says(at(peer), Command(SCRIPT))
    assert result.rc is None
    assert "winrm-answer" in result.lost
    assert peer.shells == ()


def test_pypsrp_itself_gets_output_and_error_records(winrm_peers: StartPeers) -> None:
    from pypsrp.powershell import PowerShell, RunspacePool
    from pypsrp.wsman import WSMan

    (peer,) = winrm_peers()
    peer.powershell({"Get-It": Answer("one\ntwo", errors=("<went> & wrong",))})
    wsman = WSMan(peer.address, port=peer.port, ssl=False, username=ADMIN, password=PASSWORD, auth="ntlm",
                  encryption="always", no_proxy=True)
    with wsman, RunspacePool(wsman) as pool:
        pipeline = PowerShell(pool)
        pipeline.add_script("Get-It")
        assert pipeline.invoke() == ["one", "two"]
        assert [str(record) for record in pipeline.streams.error] == ["<went> & wrong"]
        pipeline.close()
        unknown = PowerShell(pool)
        unknown.add_script("Remove-It")
        assert unknown.invoke() == []
        assert "NO TRANSCRIPT" in str(unknown.streams.error[0])
        unknown.close()
    assert peer.shells == ()
    assert peer.unknown == ["Remove-It"]
