"""A small signed Debian repository in a folder, and the server that offers it: frozen, so that tests see no news.

Three archives: debian (what the base was made of, old versions included), debian-security (what was pending on the
day of the cut) and lab (our own tiny packages; one suite for those always pending, one for each that is offered).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

from tests.lab.kernel import cgroup_processes, make_cgroup
from tests.lab.programs import LabError, run

PORT = 8642
KEYRING = "/usr/share/keyrings/lab-archive-keyring.gpg"
Suite = dict[str, Any]


def make_key(home: Path) -> None:
    """Make the key that signs the repository, and its public half for the hosts."""
    home.mkdir(mode=0o700, parents=True)
    _gpg(home, "--quick-generate-key", "lab archive <lab@localhost>", "ed25519", "sign", "never")
    _gpg(home, "--output", home / "public.gpg", "--export")


def _gpg(home: Path, *arguments: object) -> None:
    try:
        run("gpg", "--homedir", home, "--batch", "--yes", "--quiet", "--passphrase", "", *arguments, timeout=60)
    finally:  # the agent that gpg starts would stay for ever
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True,
                       timeout=30)


class Repository:
    """The repository in `folder`, signed with the key in `home`."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        self.address = ""
        self.group = ""

    # --- contents

    def define(self, archive: str, suite: str, fields: Mapping[str, str], only: Iterable[str] | None = None,
               extra: Mapping[str, str] | None = None) -> None:
        """Say that a suite exists: Release fields, which packages of the pool it lists, index lines to add to them."""
        (self.folder / archive / "pool").mkdir(parents=True, exist_ok=True)
        suites = self._suites(archive)
        listed = sorted(only) if only is not None else None
        suites[suite] = {"fields": dict(fields), "only": listed, "extra": extra or {}}
        (self.folder / archive / "suites.json").write_text(json.dumps(suites, indent=1))

    def _suites(self, archive: str) -> dict[str, Suite]:
        path = self.folder / archive / "suites.json"
        suites: dict[str, Suite] = json.loads(path.read_text()) if path.exists() else {}
        return suites

    def index(self, archive: str) -> None:
        """Write and sign the lists of all suites of an archive from what lies in its pool."""
        base = self.folder / archive
        text = run("apt-ftparchive", "-o", "APT::FTPArchive::AlwaysStat=true", "--db", base / "index.db", "packages",
                   "pool", timeout=300, cwd=base)
        stanzas = [stanza for stanza in text.split("\n\n") if stanza.strip()]
        arch = run("dpkg", "--print-architecture").strip()
        for suite, what in self._suites(archive).items():
            listed = []
            for stanza in stanzas:
                name = re.match(r"Package: (\S+)", stanza)
                if name and (what["only"] is None or name[1] in what["only"]):
                    newest = "Version: 1.0\n" not in stanza
                    listed.append(stanza.strip("\n") + "\n" + (what["extra"].get(name[1], "") if newest else ""))
            self._write_suite(base / "dists" / suite, arch, "\n".join(listed), what["fields"])

    def _write_suite(self, folder: Path, arch: str, packages: str, fields: Mapping[str, str]) -> None:
        binary = folder / "main" / f"binary-{arch}"
        binary.mkdir(parents=True, exist_ok=True)
        lists = [binary / "Packages", binary / "Packages.gz", folder / "InRelease"]
        before = {path: int(path.stat().st_mtime) for path in lists if path.exists()}
        (binary / "Packages").write_text(packages)
        (binary / "Packages.gz").write_bytes(gzip.compress(packages.encode(), mtime=0))
        release = "".join(f"{key}: {value}\n" for key, value in fields.items())
        release += f"Date: {formatdate(usegmt=True)}\nArchitectures: {arch} all\nComponents: main\nSHA256:\n"
        for path in (binary / "Packages", binary / "Packages.gz"):
            data = path.read_bytes()
            release += f" {hashlib.sha256(data).hexdigest()} {len(data)} {path.relative_to(folder)}\n"
        (folder / "Release").write_text(release)
        _gpg(self.home, "--output", folder / "InRelease", "--clearsign", folder / "Release")
        for path, moment in before.items():  # HTTP counts in seconds: lists written twice in one would look the same
            if int(path.stat().st_mtime) <= moment:
                os.utime(path, (moment + 1, moment + 1))

    def copy_to(self, folder: Path) -> Repository:
        """Return a copy for one lab: the packages are linked, the lists copied, so that a test may change them."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run("cp", "-al", f"{self.folder}/.", folder)
        for path in [*folder.glob("*/dists"), *folder.glob("*/suites.json"), *folder.glob("*/index.db")]:
            kept = path.with_name(path.name + ".copy")
            run("cp", "-a", "--no-preserve=links", path, kept)
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            kept.rename(path)
        return Repository(folder, self.home)

    def publish(self, deb: Path, archive: str = "lab") -> None:
        """Add a package and index the archive again."""
        shutil.copy(deb, self.folder / archive / "pool")
        self.index(archive)

    def withdraw(self, glob: str, *, unlist: bool = True) -> list[str]:
        """Take packages out of the pools, as a mirror does when a newer version comes; return their names.

        unlist=False leaves them in the lists: then a download fails with 404.
        """
        gone = list(self.folder.glob(f"*/pool/{glob}"))
        if not gone:
            raise LabError(f"no package matches {glob} in {self.folder}")
        for path in gone:
            path.unlink()
        for archive in {path.parent.parent.name for path in gone} if unlist else ():
            self.index(archive)
        return sorted(path.name for path in gone)

    # --- the server

    def sources(self, address: str, suites: Iterable[tuple[str, str]]) -> str:
        """Return the text of a .sources file for (archive, suite) pairs."""
        return "\n".join(
            f"Types: deb\nURIs: http://{address}:{PORT}/{archive}\nSuites: {suite}\nComponents: main\n"
            f"Signed-By: {KEYRING}\n"
            for archive, suite in suites
        )

    def start(self, address: str = "", group: str = "") -> None:
        """Start the server (a process of its own, in a control group of its own) and wait until it answers."""
        self.address, self.group = address or self.address, group or self.group
        if self.running():
            return
        groups = make_cgroup(self.group)
        enter = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
        server = Path(__file__).with_name("server.py")
        subprocess.run(
            ["setsid", "-f", "sh", "-c", enter, "sh", *map(str, groups), "--", sys.executable, "-I", str(server),
             str(self.folder), self.address, str(PORT)],
            check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=10,
        )
        deadline = time.monotonic() + 20
        while not self._answers():
            if time.monotonic() > deadline:
                raise LabError(f"the repository server does not answer on {self.address}:{PORT}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End the server: for every host the repository is down."""
        deadline = time.monotonic() + 10
        while pids := cgroup_processes(self.group):
            for pid in pids:
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    continue
            if time.monotonic() > deadline:
                raise LabError(f"the repository server does not end: {sorted(pids)}")
            time.sleep(0.02)

    def running(self) -> bool:
        return bool(self.group and cgroup_processes(self.group))

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.address, PORT), 1).close()
        except OSError:
            return False
        return True

    def requests(self) -> list[str]:
        """Return the paths that were asked for since the start of the lab, in order."""
        log = self.folder / "access.log"
        return log.read_text().splitlines() if log.exists() else []
