"""The openssh transport: the same answers and the same error codes as the ssh transport, from the system's client."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from patchctl.connect.contract import Command
from patchctl.model.errors import HostError, UsageError
from tests.connect.conftest import StartServer
from tests.connect.server import connect, keygen, make_host, public


def test_errors_have_the_codes_of_the_ssh_transport(
    start: StartServer, known: Path, user_key: Path, tmp_path: Path
) -> None:
    server = start()
    host = make_host(server, user_key, transport="openssh")
    stranger = keygen(tmp_path / "stranger")
    right, wrong = server.known_line(), f"{server.name} {public(stranger)}\n"
    for lines, change, code in (
        (right, {}, ""), ("", {}, "host-key-unknown"), (wrong, {}, "host-key-changed"),
        (f"{right}@revoked {right}", {}, "host-key-revoked"), (right, {"keys": (str(stranger),)}, "auth-failed"),
        (right, {"port": 1}, "tcp-refused"), (right, {"address": "no.such.host.invalid"}, "name-resolution"),
    ):
        known.write_text(lines)
        changed = replace(host, connection=replace(host.connection, **change))  # type: ignore[arg-type]
        session = connect([changed], known).open(changed)
        if not code:
            assert session.run(Command("echo out; exit 3")).rc == 3
            continue
        with pytest.raises(HostError) as caught:
            session.run(Command("true"))
        assert caught.value.code == code, caught.value.message


def test_jump_hosts_of_the_inventory_are_used(start: StartServer, known: Path, user_key: Path) -> None:
    jump, server = start(), start()
    known.write_text(jump.known_line() + server.known_line())
    bastion = make_host(jump, user_key, "bastion")
    host = make_host(server, user_key, transport="openssh", jump=("bastion",))
    assert connect([host, bastion], known).open(host).run(Command("echo out")).stdout == b"out\n"
    assert "direct-tcpip" in jump.log


def test_names_that_a_shell_or_ssh_would_read_are_refused(start: StartServer, known: Path, user_key: Path) -> None:
    host = make_host(start(), user_key, transport="openssh")
    for name in ("-oProxyCommand=evil", "a;b", "$(x)", "a b"):
        changed = replace(host, connection=replace(host.connection, address=name))
        with pytest.raises(UsageError):
            connect([changed], known).open(changed)
