"""What the install texts of several package managers share: files by hash and architecture, reasons, locks."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.install_text import WAIT_FOR_LOCK, choose_files, fetch_files
from patchctl.platforms.registry import platform_named

NOTHING = ":"
"""No package cache."""


def artefact(name: str, content: bytes, uri: str, *, arch: str = "all") -> Artefact:
    return Artefact(name, "2", arch, hashlib.sha256(content).hexdigest(), len(content), f"{name}_{arch}.pkg", uri)


def run(text: str) -> list[str]:
    found = subprocess.run(["sh", "-c", text], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    return found.stdout.splitlines()


def test_each_file_that_is_missed_has_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"not what was promised")
    (tmp_path / "right").write_bytes(b"right")
    gone = artefact("gone", b"gone", f"file://{tmp_path}/nowhere")
    other = artefact("other", b"promised", f"file://{tmp_path}/other")
    right = artefact("right", b"right", f"file://{tmp_path}/right")
    (tmp_path / "spool").mkdir()
    told = run(fetch_files([gone, other, right], str(tmp_path / "spool"), NOTHING))
    assert told[0].startswith(f"miss {gone.sha256} curl: ")
    assert told[1:] == [f"miss {other.sha256} its source gave something else", f"have {right.sha256}"]
    assert [path.name for path in (tmp_path / "spool").iterdir()] == [right.filename]


def test_a_cached_file_counts_only_with_its_hash(tmp_path: Path) -> None:
    wanted = artefact("wanted", b"wanted", f"file://{tmp_path}/nowhere")
    cache = tmp_path / "cache"
    cache.mkdir()
    (tmp_path / "spool").mkdir()
    copy = f'pc_ok "$1" {cache}/"$2" && cp {cache}/"$2" "$2.part"'
    (cache / wanted.filename).write_bytes(b"wrong")
    assert run(fetch_files([wanted], str(tmp_path / "spool"), copy))[0].startswith("miss")
    (cache / wanted.filename).write_bytes(b"wanted")
    assert run(fetch_files([wanted], str(tmp_path / "spool"), copy)) == [f"have {wanted.sha256}"]


@pytest.mark.parametrize("platform", ["apt", "dnf", "zypper"])
def test_one_version_in_two_architectures_is_two_files(platform: str) -> None:
    """libc6 of amd64 and of i386 go together, in one version: both are installed, each from its own file."""
    files = tuple(artefact("libc6", arch.encode(), "http://x.example/f", arch=arch) for arch in ("amd64", "i386"))
    changes = tuple(Change("libc6", a.arch, "1", "2", sha256=a.sha256) for a in files)
    request = InstallRequest(changes, files, directory="/spool")
    assert choose_files(request) == list(files)
    text = platform_named(platform).install_script(request)
    for one in files:
        assert f"{one.sha256}  {one.filename}" in text


def test_a_change_without_its_file_is_refused() -> None:
    request = InstallRequest((Change("vim", "all", "1", "2"),), (), directory="/spool")
    with pytest.raises(ValueError, match="no artefact for vim 2"):
        choose_files(request)


def test_waiting_for_a_lock_names_its_holder_once_and_ends() -> None:
    held = "pc_holder() { echo '/lock 42 apt'; }\nsleep() { :; }\n"
    assert run(f"{held}{WAIT_FOR_LOCK}pc_wait_for_lock 3 || true") == [
        "patchctl: waiting for lock /lock 42 apt", "patchctl: lock-held /lock 42 apt"]  # fmt: skip
    free = "pc_holder() { return 1; }\n"
    assert run(f"{free}{WAIT_FOR_LOCK}pc_wait_for_lock 3 && echo free") == ["free"]
