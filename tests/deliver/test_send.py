"""Sending to a host that is a local shell: whole files or none, whatever the other side says between."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from patchctl.deliver.cache import ArtefactCache, ArtefactError
from patchctl.deliver.send import list_staged, read_back, send_artefacts
from patchctl.model.facts import Artefact

NONCE = "ab" * 16


def on_host(script: str, stdin: Iterable[bytes] | None, cap: int) -> bytes:
    """Run it here, with a chatty profile before and after. Data follow the script, as over a real link."""
    noise = b"Welcome!\nhave 0000\n"
    words = ["sh", "-c", script] if stdin is not None else ["sh"]
    done = subprocess.run(
        words, input=b"".join(stdin) if stdin is not None else script.encode(), capture_output=True, check=False)
    return noise + done.stdout + noise


def artefact(cache: ArtefactCache, data: bytes, name: str = "a_1%3a2+b~c.deb") -> Artefact:
    sha = hashlib.sha256(data).hexdigest()
    cache.add(sha, [data])
    return Artefact("a", "1:2+b~c", "all", sha, len(data), name)


def test_files_are_sent_found_and_read_back(tmp_path: Path) -> None:
    cache, directory = ArtefactCache(tmp_path / "cache"), tmp_path / "var lib" / "stage"
    big = artefact(cache, bytes(range(256)) * 4096 * 18)  # more than one piece of 16 MiB
    empty = artefact(cache, b"", "empty.deb")
    assert list_staged(on_host, str(directory), [big, empty], NONCE) == set()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert send_artefacts(on_host, str(directory), [big, empty], cache, NONCE) == {}
    assert list_staged(on_host, str(directory), [big, empty], NONCE) == {big.sha256, empty.sha256}
    for one in (big, empty):
        assert hashlib.sha256(b"".join(read_back(on_host, str(directory), one, NONCE))).hexdigest() == one.sha256
    assert sorted(path.name for path in directory.iterdir()) == [big.filename, "empty.deb"]


def test_a_cut_transfer_leaves_no_file_under_the_name(tmp_path: Path) -> None:
    cache = ArtefactCache(tmp_path / "cache")
    one = artefact(cache, b"x" * 100_000)

    def cutting(script: str, stdin: Iterable[bytes] | None, cap: int) -> bytes:
        return on_host(script, [b"x" * 10] if stdin is not None else None, cap)

    list_staged(on_host, str(tmp_path / "stage"), [one], NONCE)
    errors = send_artefacts(cutting, str(tmp_path / "stage"), [one], cache, NONCE)
    assert [error.code for error in errors.values()] == ["artefact-not-staged"]
    cache.path(one.sha256).unlink()
    errors = send_artefacts(on_host, str(tmp_path / "stage"), [one], cache, NONCE)
    assert [error.code for error in errors.values()] == ["artefact-missing"]
    assert list((tmp_path / "stage").iterdir()) == []
    (tmp_path / "stage" / "left.deb.part").write_text("")
    list_staged(on_host, str(tmp_path / "stage"), [one], NONCE)
    assert list((tmp_path / "stage").iterdir()) == []


def test_a_staging_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "stage").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError) as caught:
        list_staged(on_host, str(tmp_path / "stage"), [], NONCE)
    assert caught.value.code == "disk-staging"


@pytest.mark.parametrize("name", ["../x.deb", "-o.deb", "a/b.deb", "", ".hidden", "a\nb.deb", "a b.deb", "a$(x).deb"])
def test_names_that_are_no_plain_file_names_are_refused(tmp_path: Path, name: str) -> None:
    cache = ArtefactCache(tmp_path / "cache")
    one = artefact(cache, b"x", name)
    with pytest.raises(ArtefactError) as caught:
        list_staged(on_host, str(tmp_path / "stage"), [one], NONCE)
    assert caught.value.code == "artefact-name"
