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
def postgresql():
    """A throw-away cluster on 127.0.0.1, run by an unprivileged user; gives the URL without a database."""
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
    run(str(binaries / "pg_ctl"), "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    yield f"postgresql://patchctl@127.0.0.1:{port}"
    run(str(binaries / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    shutil.rmtree(folder)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/state/state.db"


@pytest.fixture
def store(url):
    with open_store(url) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request, tmp_path):
    """The URL of a fresh store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/state.db"
    import psycopg

    server = request.getfixturevalue("postgresql")
    name = f"t{next(_numbers)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"{server}/{name}"


@pytest.fixture
def any_store(any_url):
    with open_store(any_url) as opened:
        yield opened
