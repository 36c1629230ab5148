"""A server, keys and a known_hosts file that the tests of connect/ share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.connect.server import Sshd, keygen, public, start_sshd

StartServer = Callable[..., Sshd]


@pytest.fixture(scope="session")
def user_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("keys") / "id_ed25519")


@pytest.fixture()
def authorized(tmp_path: Path, user_key: Path) -> Path:
    path = tmp_path / "authorized_keys"
    path.write_text(public(user_key) + "\n")
    return path


@pytest.fixture()
def start(tmp_path: Path, authorized: Path) -> Iterator[StartServer]:
    """Start servers that are stopped after the test."""
    running: list[Sshd] = []

    def begin(*lines: str, **settings: object) -> Sshd:
        server = start_sshd(
            tmp_path / f"sshd{len(running)}", *lines, **{"authorized": authorized, **settings})  # type: ignore[arg-type]
        running.append(server)
        return server

    yield begin
    for server in running:
        server.stop()


@pytest.fixture()
def known(tmp_path: Path) -> Path:
    path = tmp_path / "known_hosts"
    path.write_text("")
    return path
