"""A Kerberos realm for tests: MIT's krb5kdc on a loopback port, tickets and keytabs in a folder of its own.

Nothing of the machine's own Kerberos is read or written: configuration, database, caches and keytabs are named by the
variables of `environment`. Other clocks come from libfaketime (package faketime).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

REALM = "LAB.EXAMPLE"
PROGRAMS = ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "faketime")
MODULES = ("kerberos", "gssapi", "krb5")
"""What the client (pykerberos) and the peer's acceptor (pyspnego with gssapi and krb5) are built on."""
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def why_not() -> str:
    """Return why no realm can be had here, or ""."""
    missing = [name for name in PROGRAMS if not shutil.which(name, path=_PATH)]
    missing += [name for name in MODULES if importlib.util.find_spec(name) is None]
    return f"needs {', '.join(missing)}: make lab installs them as root (tests/winrm/README.md)" if missing else ""


def _clock_library() -> Path:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))


class Realm:
    """One realm with its KDC. `start` and `stop` it; the rest works on its files."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            self.port = int(sock.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "kdc.conf").write_text(
            f"[kdcdefaults]\n kdc_listen = \"\"\n kdc_tcp_listen = 127.0.0.1:{self.port}\n"
            f"[realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
            f"  acl_file = {folder}/acl\n  max_life = 10h\n  max_renewable_life = 7d\n }}\n")
        self.write_config(self.port)
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master of the test")

    def write_config(self, port: int, address: str = "127.0.0.1") -> None:
        """Write krb5.conf with the KDC at that place; it is read again by each login."""
        (self.folder / "krb5.conf").write_text(
            f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
            " dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n forwardable = true\n"
            f"[realms]\n {REALM} = {{\n  kdc = {address}:{port}\n }}\n")

    @property
    def cache(self) -> Path:
        return self.folder / "tickets"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables by which MIT's programs and libraries find this realm, and nothing else."""
        folder = self.folder
        return {
            "KRB5_CONFIG": str(folder / "krb5.conf"), "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{self.cache}", "KRB5_KTNAME": f"FILE:{folder / 'service.keytab'}",
            "KRB5_CLIENT_KTNAME": f"FILE:{folder / 'client.keytab'}", "KRB5RCACHETYPE": "none",
        }  # fmt: skip

    def start(self, clock: str = "") -> None:
        """Start the KDC; `clock`, as faketime takes it ("+2h"), is how far its clock is off."""
        with (self.folder / "kdc.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["krb5kdc", "-n"], env=self._variables(clock), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"krb5kdc does not answer: {(self.folder / 'kdc.log').read_text()[-500:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the KDC that was started here, by its process id."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(20)

    def add_user(self, name: str, password: str) -> None:
        self._run("kadmin.local", "-q", f"addprinc -pw {password!r} {name}".replace("'", '"'))

    def add_service(self, *names: str, keytab: bool = True) -> None:
        """Make principals HTTP/NAME; with `keytab` the peer can prove to be that."""
        for name in names:
            self._run("kadmin.local", "-q", f"addprinc -randkey HTTP/{name}")
            if keytab:
                self._run("kadmin.local", "-q", f"ktadd -k {self.folder}/service.keytab HTTP/{name}")

    def add_client_keytab(self, user: str) -> None:
        """Put a user's key where MIT's library takes tickets from by itself (KRB5_CLIENT_KTNAME)."""
        self._run("kadmin.local", "-q", f"ktadd -norandkey -k {self.folder}/client.keytab {user}")

    def kinit(self, user: str, password: str, *options: str, clock: str = "") -> None:
        """Get a ticket into the cache, as the admin does."""
        self._run("kinit", *options, user, said=f"{password}\n".encode(), clock=clock)

    def forget(self) -> None:
        """Drop the cache."""
        self.cache.unlink(missing_ok=True)

    def _variables(self, clock: str = "") -> dict[str, str]:
        # Not the program faketime: it stays between, and ending it would leave what it started.
        other = {"LD_PRELOAD": str(_clock_library()), "FAKETIME": clock, "FAKETIME_NO_CACHE": "1"} if clock else {}
        return {"PATH": _PATH, "LC_ALL": "C", **self.environment, **other}

    def _run(self, *command: str, said: bytes | None = None, clock: str = "") -> None:
        done = subprocess.run(
            command, env=self._variables(clock), input=said, capture_output=True, timeout=120, check=False)
        if done.returncode or b"while" in done.stderr:
            raise RuntimeError(f"{command[0]}: {done.stderr.decode()[-500:]}")


@contextlib.contextmanager
def realm(folder: Path) -> Iterator[Realm]:
    """Give a running realm whose variables this process has meanwhile; the ones it had before come back."""
    made = Realm(folder)
    try:
        made.start()
        with variables(made.environment):
            yield made
    finally:
        made.stop()


@contextlib.contextmanager
def variables(wanted: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
