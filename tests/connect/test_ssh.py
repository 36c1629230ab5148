"""The ssh transport against real sshd processes: host keys first, every way to log in, jump hosts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from msgspec.structs import replace

from patchctl.connect.contract import Command
from patchctl.model.errors import ConnectError, CredentialsError, HostError, HostKeyError, LoginError
from patchctl.model.hosts import Host, SecretRef, Site
from tests.connect.conftest import StartServer
from tests.connect.server import USER, connect, keygen, make_host, public


def fails_with(code: str, host: Host, known: Path, **settings: object) -> HostError:
    with pytest.raises(HostError) as caught:
        connect([host], known, **settings).open(host).close()  # type: ignore[arg-type]
    assert caught.value.code == code, caught.value.message
    return caught.value


def says(host: Host, known: Path, others: tuple[Host, ...] = (), **settings: object) -> str:
    connections = connect([host, *others], known, **settings)  # type: ignore[arg-type]
    try:
        session = connections.open(host)
        try:
            result = session.run(Command("echo out; echo err >&2; exit 3"))
        finally:
            session.close()
    finally:
        connections.close()
    assert (result.rc, result.stderr, result.lost) == (3, b"err\n", "")
    return result.stdout.decode()


@pytest.mark.parametrize(("kind", "extra"), [("ed25519", ()), ("ecdsa", ("-b", "384")), ("rsa", ("-b", "2048"))])
@pytest.mark.parametrize("passphrase", ["", "hush hush"])
def test_logs_in_with_every_kind_of_openssh_key(
    start: StartServer, tmp_path: Path, known: Path, kind: str, extra: tuple[str, ...], passphrase: str
) -> None:
    key = keygen(tmp_path / "key", kind, *extra, passphrase=passphrase)
    authorized = tmp_path / "only"
    authorized.write_text(public(key))
    server = start(authorized=authorized)
    known.write_text(server.known_line())
    reference = SecretRef("plain", passphrase) if passphrase else None
    assert says(make_host(server, key, key_passphrase=reference), known) == "out\n"


@pytest.mark.parametrize("form", ["pkcs8", "pkcs8-encrypted", "pem"])
def test_logs_in_with_keys_in_other_formats(start: StartServer, tmp_path: Path, known: Path, form: str) -> None:
    key = keygen(tmp_path / "key", "rsa", "-b", "2048")
    authorized = tmp_path / "only"
    authorized.write_text(public(key))
    loaded = serialization.load_ssh_private_key(key.read_bytes(), None)
    wanted = serialization.PrivateFormat.TraditionalOpenSSL if form == "pem" else serialization.PrivateFormat.PKCS8
    secret = serialization.BestAvailableEncryption(b"hush") if form == "pkcs8-encrypted" \
        else serialization.NoEncryption()
    key.write_bytes(loaded.private_bytes(serialization.Encoding.PEM, wanted, secret))
    server = start(authorized=authorized)
    known.write_text(server.known_line())
    reference = SecretRef("plain", "hush") if form == "pkcs8-encrypted" else None
    assert says(make_host(server, key, key_passphrase=reference), known) == "out\n"


def test_logs_in_with_a_user_certificate_beside_the_key(start: StartServer, tmp_path: Path, known: Path) -> None:
    authority, key = keygen(tmp_path / "ca"), keygen(tmp_path / "id")
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", USER, f"{key}.pub"], check=True)
    server = start(f"TrustedUserCAKeys {authority}.pub", authorized=None)
    known.write_text(server.known_line())
    assert says(make_host(server, key), known) == "out\n"
    assert "Accepted certificate" in server.log


@pytest.fixture()
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    while not path.exists():
        assert process.poll() is None
    yield path
    process.terminate()
    process.wait(5)


def test_logs_in_with_the_agents_key(
    start: StartServer, user_key: Path, known: Path, agent: Path, tmp_path: Path
) -> None:
    server = start()
    known.write_text(server.known_line())
    host = make_host(server, None)
    error = fails_with("auth-failed", host, known)
    assert "no key or password" in error.message
    subprocess.run(["ssh-add", "-q", str(user_key)], check=True, env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
    assert says(host, known) == "out\n"
    listed = tmp_path / "only.pub"
    listed.write_text(public(user_key))
    assert says(make_host(server, listed), known) == "out\n"


def test_says_which_keys_were_tried_and_what_the_server_takes(
    start: StartServer, tmp_path: Path, known: Path
) -> None:
    server = start()
    known.write_text(server.known_line())
    stranger = keygen(tmp_path / "stranger")
    error = fails_with("auth-failed", make_host(server, stranger), known)
    assert isinstance(error, LoginError)
    assert str(stranger) in error.message
    assert "takes publickey" in error.message
    assert f"{server.address}:{server.port}" in error.message


def test_unusable_keys_are_credentials_errors_that_show_no_content(tmp_path: Path, known: Path, start: StartServer) \
        -> None:
    server = start()
    known.write_text(server.known_line())
    locked = keygen(tmp_path / "locked", passphrase="hush hush")
    for key, passphrase, code in (
        (tmp_path / "none", None, "key-unreadable"), (locked, None, "key-encrypted"),
        (locked, "wrong one", "key-passphrase"), (Path(f"{locked}.pub"), None, "auth-failed"),
    ):
        reference = SecretRef("plain", passphrase) if passphrase else None
        host = make_host(server, key, key_passphrase=reference)
        with pytest.raises((CredentialsError, LoginError)) as caught:
            connect([host], known).open(host)
        assert caught.value.code == code
        assert "wrong one" not in str(caught.value)


KNOWN_FORMS = ("unknown", "changed", "changed-hashed", "revoked", "other-host", "negated", "ca-of-others", "other-port")


@pytest.mark.parametrize("form", KNOWN_FORMS)
def test_no_credential_is_sent_before_the_host_key_is_verified(
    start: StartServer, tmp_path: Path, known: Path, user_key: Path, form: str
) -> None:
    server = start()
    stranger = keygen(tmp_path / "stranger")
    right, wrong, name = public(server.host_key), public(stranger), server.name
    known.write_text({
        "unknown": "",
        "changed": f"{name} {wrong}\n",
        "changed-hashed": f"{name} {wrong}\n",
        "revoked": f"{name} {right}\n@revoked * {right}\n",
        "other-host": f"web99 {right}\n",
        "negated": f"*,!{name},!{server.address} {right}\n",
        "ca-of-others": f"@cert-authority {name} {right}\n",
        "other-port": f"[{server.address}]:{server.port - 1} {right}\n",
    }[form])
    if form == "changed-hashed":
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", known], check=True, capture_output=True)
        assert known.read_text().startswith("|1|")
    host = make_host(server, user_key, password=SecretRef("plain", "canary-secret"))
    with pytest.raises(HostKeyError) as caught:
        connect([host], known).open(host)
    code = "host-key-changed" if form.startswith("changed") else "host-key-revoked" if form == "revoked" \
        else "host-key-unknown"
    assert caught.value.code == code
    assert "SHA256:" in caught.value.message
    assert "userauth-request" not in server.log
    assert "web01" in caught.value.hint or code == "host-key-revoked"


def test_a_changed_key_shows_both_fingerprints_and_the_line(
    start: StartServer, tmp_path: Path, known: Path, user_key: Path
) -> None:
    server = start()
    known.write_text(f"# old\n{server.name} {public(keygen(tmp_path / 'old'))}\n")
    error = fails_with("host-key-changed", make_host(server, user_key), known)
    for key in (server.host_key, tmp_path / "old"):
        shown = subprocess.run(["ssh-keygen", "-lf", f"{key}.pub"], capture_output=True, text=True, check=True).stdout
        assert shown.split()[1] in error.message
    assert f"{known}:2" in error.message
    assert "--replace web01" in error.hint


def test_the_key_type_that_is_known_is_the_one_negotiated(
    start: StartServer, tmp_path: Path, known: Path, user_key: Path
) -> None:
    rsa, ecdsa = keygen(tmp_path / "rsa", "rsa", "-b", "2048"), keygen(tmp_path / "ecdsa", "ecdsa")
    server = start(f"HostKey {rsa}", f"HostKey {ecdsa}")
    for key in (rsa, ecdsa):
        known.write_text(f"{server.name} {public(key)}\n")
        assert says(make_host(server, user_key), known) == "out\n"


@pytest.mark.parametrize(("extra", "code"), [
    (("-n", "{address}"), ""), (("-n", "elsewhere"), "host-key-invalid"), ((), ""),
    (("-n", "{address}", "-V", "20200101:20210101"), "host-key-invalid"),
])
def test_host_certificates_are_verified_with_names_and_validity(
    start: StartServer, tmp_path: Path, known: Path, user_key: Path, extra: tuple[str, ...], code: str
) -> None:
    authority, host_key = keygen(tmp_path / "ca"), keygen(tmp_path / "host", "ecdsa")
    words = [word.format(address="127.0.0.250") for word in extra]
    subprocess.run(
        ["ssh-keygen", "-q", "-h", "-s", authority, "-I", "host", *words, f"{host_key}.pub"], check=True)
    server = start(f"HostCertificate {host_key}-cert.pub", host_key=host_key, address="127.0.0.250")
    known.write_text(f"@cert-authority 127.0.0.* {public(authority)}\n")
    host = make_host(server, user_key)
    if code:
        fails_with(code, host, known)
        assert "userauth-request" not in server.log
    else:
        assert says(host, known) == "out\n"
    known.write_text(known.read_text() + f"@revoked * {public(authority)}\n")
    fails_with("host-key-revoked", host, known)


def test_reaches_a_host_over_two_jump_hosts_each_verified(
    start: StartServer, tmp_path: Path, known: Path, user_key: Path
) -> None:
    first, second, last = start(), start(), start()
    known.write_text(first.known_line() + second.known_line() + last.known_line())
    bastion = make_host(first, user_key, "bastion")
    inner = make_host(second, user_key, "inner", jump=("bastion",))
    host = make_host(last, user_key, jump=("inner",))
    assert says(host, known, (bastion, inner)) == "out\n"
    assert "direct-tcpip" in first.log
    assert "direct-tcpip" in second.log
    connections = connect([host, bastion, inner], known)
    sessions = [connections.open(host) for _ in range(3)]
    assert first.log.count("Accepted publickey") == 2  # one per Connections: hosts share the way
    for session in sessions:
        session.close()
    connections.close()
    known.write_text(first.known_line() + last.known_line())
    error = fails_with_all("host-key-unknown", host, known, (bastion, inner))
    assert error.message.startswith("jump host inner")
    assert "direct-tcpip" in first.log


def fails_with_all(code: str, host: Host, known: Path, others: tuple[Host, ...]) -> HostError:
    connections = connect([host, *others], known)
    with pytest.raises(HostError) as caught:
        connections.open(host)
    connections.close()
    assert caught.value.code == code, caught.value.message
    return caught.value


def test_a_refusing_jump_host_is_named(start: StartServer, known: Path, user_key: Path) -> None:
    shut, last = start("AllowTcpForwarding no"), start()
    known.write_text(shut.known_line() + last.known_line())
    bastion = make_host(shut, user_key, "bastion")
    error = fails_with_all("jump-refused", make_host(last, user_key, jump=("bastion",)), known, (bastion,))
    assert "bastion" in error.message
    gone = replace(bastion, connection=replace(bastion.connection, port=1))
    error = fails_with_all("tcp-refused", make_host(last, user_key, jump=("bastion",)), known, (gone,))
    assert error.message.startswith("jump host bastion")


def test_jump_hosts_that_lead_in_a_circle_are_an_error(start: StartServer, known: Path, user_key: Path) -> None:
    server = start()
    one = make_host(server, user_key, "one", jump=("two",))
    two = make_host(server, user_key, "two", jump=("one",))
    with pytest.raises(Exception, match="circle"):
        connect([one, two], known).open(one)


def test_settings_come_from_ssh_config(start: StartServer, tmp_path: Path, known: Path, user_key: Path) -> None:
    jump, server = start(), start()
    known.write_text(jump.known_line() + server.known_line())
    config = tmp_path / "ssh_config"
    config.write_text(f"""
Host far
    HostName {server.address}
    Port {server.port}
    ProxyJump hop   # over there
Host hop
    HostName={jump.address}
    Port {jump.port}
Match user {USER}
    IdentityFile "{user_key}"
Host *
    UserKnownHostsFile {known}
""")
    host = Host("far", replace(make_host(server, None).connection, address="", port=None))
    empty = tmp_path / "none"
    empty.write_text("")
    assert says(host, empty, config=config) == "out\n"
    assert "direct-tcpip" in jump.log


def test_plain_failures_have_their_codes(tmp_path: Path, known: Path, user_key: Path, start: StartServer) -> None:
    server = start()
    host = make_host(server, user_key)
    for change, code in (({"port": 1}, "tcp-refused"), ({"address": "no.such.host.invalid"}, "name-resolution")):
        error = fails_with(code, replace(host, connection=replace(host.connection, **change)), known)
        assert isinstance(error, ConnectError)
        assert error.hint


def test_a_login_shell_that_runs_nothing_is_named(start: StartServer, known: Path, user_key: Path) -> None:
    server = start("ForceCommand echo This account is currently not available.; exit 1")
    known.write_text(server.known_line())
    host = make_host(server, user_key)
    session = connect([host], known).open(host)
    with pytest.raises(LoginError) as caught:
        session.run(Command("true"))
    session.close()
    assert caught.value.code == "login-shell"
    assert "not available" in caught.value.message


def test_sites_lend_their_jump_host(start: StartServer, known: Path, user_key: Path) -> None:
    from patchctl.connect.connections import Connections
    from patchctl.connect.credentials import Secrets
    from patchctl.model.hosts import Inventory

    jump, server = start(), start()
    known.write_text(jump.known_line() + server.known_line())
    bastion = replace(make_host(jump, user_key, "gw"), site="oslo")
    host = replace(make_host(server, user_key), site="oslo")
    config = known.parent / "none"
    config.write_text("")
    inventory = Inventory({"gw": bastion, "web01": host}, {}, {"oslo": Site("oslo", jump=("gw",))})
    connections = Connections(inventory, known_hosts=[known], ssh_config=config, secrets=Secrets())
    for each in (host, bastion):
        session = connections.open(each)
        assert session.run(Command("echo here")).stdout == b"here\n"
        session.close()
    connections.close()
    assert jump.log.count("direct-tcpip") >= 1
