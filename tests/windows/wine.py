"""A Windows disk and registry for one pretended host: a copy of the Wine prefix, by hard links where it can."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.lab.machine import lab_folder

_SETTINGS = {"WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}


def why_not() -> str:
    """Return why Wine cannot run here, or ""."""
    missing = [name for name in ("wine", "wixl") if not shutil.which(name)]
    return f"needs {' and '.join(missing)}: the packages wine, wine64, msitools and wixl" if missing else ""


def environment(prefix: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    return {**kept, **_SETTINGS, "WINEPREFIX": str(prefix)}


def _server() -> str:
    return shutil.which("wineserver") or "/usr/lib/wine/wineserver64"


def base_prefix() -> Path:
    """Return the prefix all others are copied from, made at the first call (10 s). Nothing ever runs in it."""
    version = subprocess.run(["wine", "--version"], capture_output=True, text=True, check=True).stdout
    folder = lab_folder() / f"wine-base-{hashlib.sha256(version.encode()).hexdigest()[:10]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            subprocess.run(["wine", "wineboot", "-i"], env=environment(part), check=True, capture_output=True,
                           timeout=300)
            subprocess.run([_server(), "-w"], env=environment(part), check=True, timeout=120)
            part.rename(folder)
    return folder


class Disk:
    """A prefix of its own below `folder`. Close it: its wineserver ends then."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "prefix"
        # On another file system than the base nothing can be linked: then it is copied whole.
        linked = subprocess.run(["cp", "-al", str(base_prefix()), str(self.prefix)], capture_output=True)
        if linked.returncode != 0:
            shutil.rmtree(self.prefix, ignore_errors=True)
            subprocess.run(["cp", "-a", str(base_prefix()), str(self.prefix)], check=True)
        for registry in self.prefix.glob("*.reg"):
            content = registry.read_bytes()
            registry.unlink()
            registry.write_bytes(content)
        self._quietly(_server(), "-p600")

    def close(self) -> None:
        self._quietly(_server(), "-k")
        shutil.rmtree(self.prefix, ignore_errors=True)

    def path(self, windows: str) -> Path:
        r"""Return where C:\... is on this machine."""
        assert windows[:3].upper() == "C:\\", windows
        return self.prefix / "drive_c" / windows[3:].replace("\\", "/")

    def run(self, *argv: str, timeout: float = 120) -> tuple[int, str]:
        """Run a program; return its (8-bit) exit code and what it printed."""
        # Into a file: services that Wine starts beside it would hold a pipe open for minutes.
        with tempfile.TemporaryFile() as out:
            done = subprocess.run(["wine", *argv], env=environment(self.prefix), stdin=subprocess.DEVNULL, stdout=out,
                                  stderr=subprocess.DEVNULL, timeout=timeout)
            out.seek(0)
            return done.returncode, out.read().decode("cp437").replace("\r\n", "\n")

    def _quietly(self, *argv: str) -> None:
        subprocess.run(argv, env=environment(self.prefix), check=False, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, as a scheduled task has."""
        return subprocess.Popen(
            ["wine", *argv], env=environment(self.prefix), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
