"""Kerberos over WinRM for real: MIT's KDC on a loopback port, tickets by kinit, the peer proves itself by keytab."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from patchctl.connect.connections import Connections
from patchctl.connect.contract import Command
from patchctl.connect.winrm_settings import place_of
from patchctl.documents.inventories import load_inventory
from patchctl.model.errors import HostError, LoginError, UsageError
from patchctl.model.hosts import Connection, Host, SecretRef
from tests.winrm.kdc import REALM, Realm, realm, why_not
from tests.winrm.peers import ADMIN, PASSWORD, Peer, peers
from tests.winrm.powershell import Answer

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"Kerberos test left out: {why_not()}")
SCRIPT, NAME = "Get-Something", "win01.lab.example"


@dataclass
class Site:
    realm: Realm
    peer: Peer
    folder: Path

    def run(self, winrm: str = "", user: str = "", *, tls: bool = False, connect: int = 20) -> bytes:
        """Run SCRIPT on the peer as an inventory says; return what it printed."""
        file = self.folder / "hosts.yaml"
        scheme = "https" if tls else "http"
        file.write_text(
            f"hosts:\n  win01:\n    connection: winrm\n    address: {self.peer.address}\n"
            f"    port: {self.peer.tls_port if tls else self.peer.port}\n    timeouts: {{connect: {connect}s}}\n"
            f"    winrm: {{auth: kerberos, scheme: {scheme}, ca: {self.peer.authority.file}{winrm}}}\n"
            + (f"    user: {user}\n" if user else ""))
        inventory = load_inventory([file])
        connections = Connections(
            inventory, known_hosts=(), ssh_config=None, secrets=lambda found: pytest.fail("no secret is asked for"))
        session = connections.open(inventory.hosts["win01"])
        try:
            result = session.run(Command(SCRIPT, become=True))
            assert (result.rc, result.lost, result.as_root) == (0, "", True)
            return result.stdout
        finally:
            session.close()
            assert self.peer.shells == ()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("kerberos")
    before = os.environ.get("KRB5CCNAME")
    with realm(folder / "realm") as made, peers(folder, slot=62) as start:
        (peer,) = start(auth=("negotiate",), cmd={})
        peer.powershell({SCRIPT: Answer("yes")})
        made.add_user(ADMIN, PASSWORD)
        made.add_service(peer.address, NAME)
        yield Site(made, peer, folder)
    assert os.environ.get("KRB5CCNAME") == before


@pytest.fixture(autouse=True)
def afresh(site: Site) -> Iterator[None]:
    """Let each test begin without a ticket, with the right clock and a KDC that answers."""
    site.realm.forget()
    yield
    site.realm.stop()
    site.realm.write_config(site.realm.port)
    (site.realm.folder / "client.keytab").unlink(missing_ok=True)
    site.realm.start()


@pytest.mark.parametrize("tls", [False, True], ids=["http-encrypted", "https"])
def test_a_ticket_of_kinit_is_enough(site: Site, tls: bool) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    before = site.peer.executions[SCRIPT]
    assert site.run(tls=tls) == b"yes"
    assert site.run(tls=tls, user=f"{ADMIN}@{REALM}") == b"yes"
    assert site.peer.executions[SCRIPT] == before + 2
    assert site.peer.troubles == []
    assert site.peer.delegated == 0


def test_many_hosts_at_once_share_one_cache(site: Site) -> None:
    """Threads of one process, as a fan-out has them, each with a session of its own; the ticket is not there yet."""
    site.realm.kinit(ADMIN, PASSWORD)
    file = site.folder / "many.yaml"
    file.write_text(
        f"defaults: {{connection: winrm, port: {site.peer.port}, winrm: {{auth: kerberos, scheme: http}}}}\nhosts:\n"
        + "".join(f"  win{number}: {{address: {site.peer.address}}}\n" for number in range(12)))
    inventory = load_inventory([file])
    connections = Connections(inventory, known_hosts=(), ssh_config=None, secrets=lambda found: "")

    def visit(name: str) -> bytes:
        session = connections.open(inventory.hosts[name])
        try:
            return session.run(Command(SCRIPT)).stdout
        finally:
            session.close()

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(visit, inventory.hosts)) == [b"yes"] * 12
    assert (site.peer.shells, site.peer.troubles) == ((), [])


def test_runspace_pools_are_reached_by_the_same_ticket(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    assert site.run(", client: psrp") == b"yes"
    site.realm.forget()
    assert refused(site, ", client: psrp").code == "kerberos-no-ticket"


def test_the_name_in_the_realm_may_be_another_than_the_address(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    assert site.run(f", kerberos_host: {NAME}") == b"yes"


def test_a_ticket_is_handed_on_only_where_that_is_set(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD, "-f")
    before = site.peer.delegated
    assert site.run() == b"yes"
    assert site.peer.delegated == before
    assert site.run(", delegation: true") == b"yes"
    assert site.peer.delegated > before
    with pytest.raises(UsageError) as caught:
        place_of(Host("win01", Connection("winrm", winrm={"auth": "ntlm", "delegation": "True"}, port=5985,
                                          user=ADMIN, password=SecretRef("plain", "x"))))
    assert caught.value.code == "winrm-delegation"


def test_a_keytab_of_the_users_needs_no_kinit(site: Site) -> None:
    site.realm.add_client_keytab(ADMIN)
    assert site.run(user=f"{ADMIN}@{REALM}") == b"yes"


def refused(site: Site, winrm: str = "", user: str = "", connect: int = 20) -> HostError:
    seen, ran = site.peer.credentials_seen, site.peer.executions[SCRIPT]
    with pytest.raises(LoginError) as caught:
        site.run(winrm, user, connect=connect)
    assert (site.peer.credentials_seen, site.peer.executions[SCRIPT]) == (seen, ran)
    return caught.value


def test_no_ticket_is_said(site: Site) -> None:
    error = refused(site)
    assert error.code == "kerberos-no-ticket"
    assert "kinit" in error.hint
    site.realm.kinit(ADMIN, PASSWORD)
    error = refused(site, user=f"somebody@{REALM}")
    assert error.code == "kerberos-no-ticket"
    assert f"kinit somebody@{REALM}" in error.hint


def test_an_expired_ticket_is_said(site: Site) -> None:
    site.realm.stop()
    site.realm.start(clock="-2d")
    site.realm.kinit(ADMIN, PASSWORD, clock="-2d")
    site.realm.stop()
    site.realm.start()
    error = refused(site)
    assert error.code == "kerberos-expired"
    assert "kinit" in error.hint


def test_a_name_the_realm_does_not_know_is_said(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    error = refused(site, ", kerberos_host: other.lab.example")
    assert error.code == "kerberos-service"
    assert "HTTP/other.lab.example" in error.message
    assert "kerberos_host" in error.hint


def test_clocks_that_differ_are_said(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    site.realm.stop()
    site.realm.start(clock="+2h")
    error = refused(site)
    assert error.code == "kerberos-clock"


def test_a_kdc_that_is_down_is_said(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    site.realm.stop()
    assert refused(site).code == "kerberos-unreachable"


def test_a_kdc_that_says_nothing_is_not_waited_for(site: Site) -> None:
    site.realm.kinit(ADMIN, PASSWORD)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(8)
        site.realm.write_config(int(silent.getsockname()[1]))
        assert refused(site, connect=1).code == "kerberos-late"


def test_a_host_that_cannot_prove_who_it_is_gets_nothing(site: Site) -> None:
    """Its key is missing in the keytab: the service refuses, and nothing ran."""
    name = "win09.lab.example"
    site.realm.add_service(name, keytab=False)
    site.realm.kinit(ADMIN, PASSWORD)
    ran = site.peer.executions[SCRIPT]
    with pytest.raises(LoginError) as caught:
        site.run(f", kerberos_host: {name}")
    assert caught.value.code == "auth-failed"
    assert site.peer.executions[SCRIPT] == ran
    site.peer.troubles.clear()
