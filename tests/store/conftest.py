"""Stores to test on: SQLite always; PostgreSQL in a server of our own where one is installed."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from patchctl.store.database import open_store

_numbers = itertools.count(1)


def find_postgresql() -> Path | None:
    """Return the folder with initdb and pg_ctl: Debian keeps them out of PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("initdb")
    if on_path:
        candidates.append(Path(on_path).parent)
    return next((c for c in candidates if (c / "initdb").exists() and (c / "pg_ctl").exists()), None)


@pytest.fixture(scope="session")
def cluster():
    """A throw-away cluster on 127.0.0.1, run by an unprivileged user; gives its URL and a function that runs pg_ctl."""
    binaries = find_postgresql()
    if binaries is None:
        pytest.skip("PostgreSQL is not installed (apt install postgresql)")
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'patchctl[postgresql]'")
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    prefix = ["setpriv", "--reuid", user, "--regid", "nogroup", "--clear-groups"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="patchctl-pg-"))
    if prefix:
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*argv: str) -> None:
        done = subprocess.run([*prefix, *argv], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            shutil.rmtree(folder)
            pytest.skip(f"PostgreSQL does not start here: {done.stderr.strip()[-300:]}")

    data = str(folder / "data")
    run(str(binaries / "initdb"), "-D", data, "-U", "patchctl", "-A", "trust", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -h 127.0.0.1 -k {folder}"

    def pg_ctl(*argv: str) -> None:
        run(str(binaries / "pg_ctl"), "-D", data, "-l", str(folder / "log"), "-w", *argv)

    pg_ctl("start", "-o", options)
    yield f"postgresql://patchctl@127.0.0.1:{port}", pg_ctl
    pg_ctl("stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgresql(cluster):
    """The URL of a server, without a database."""
    return cluster[0]


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/state/state.db"


@pytest.fixture
def store(url):
    with open_store(url) as opened:
        yield opened


def create_database(server: str) -> str:
    """Make an empty database in the server; return its URL."""
    import psycopg

    name = f"t{next(_numbers)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"


@pytest.fixture
def server_url(postgresql):
    """The URL of a fresh store in PostgreSQL."""
    return create_database(postgresql)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request, tmp_path):
    """A function that gives the URL of one more fresh store, of each kind."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path}/state{next(_numbers)}/state.db"
    server = request.getfixturevalue("postgresql")
    return lambda: create_database(server)


@pytest.fixture
def any_url(new_url):
    """The URL of a fresh store of each kind."""
    return new_url()


@pytest.fixture
def any_store(any_url):
    with open_store(any_url) as opened:
        yield opened
