"""The cache keeps whole artefacts only, and notices what the disk did to them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from patchctl.deliver.cache import ArtefactCache, ArtefactError


def put(cache: ArtefactCache, data: bytes, used_at: float = 0) -> str:
    sha = hashlib.sha256(data).hexdigest()
    path = cache.add(sha, [data[:3], data[3:]], len(data))
    os.utime(path, (used_at, used_at))
    return sha


def test_content_comes_back_and_a_second_add_is_harmless(tmp_path: Path) -> None:
    cache = ArtefactCache(tmp_path)
    sha = put(cache, b"content")
    assert put(cache, b"content") == sha
    assert b"".join(cache.read(sha)) == b"content"
    assert cache.size() == 7


def test_damage_on_disk_is_found_on_reading_and_removed(tmp_path: Path) -> None:
    cache = ArtefactCache(tmp_path)
    sha = put(cache, b"content")
    cache.path(sha).write_bytes(b"c0ntent")
    with pytest.raises(ArtefactError) as caught:
        list(cache.read(sha))
    assert caught.value.code == "artefact-damaged"
    assert not cache.has(sha)
    with pytest.raises(ArtefactError) as caught:
        list(cache.read(sha))
    assert caught.value.code == "artefact-missing"


def test_an_add_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    cache = ArtefactCache(tmp_path)

    def broken() -> object:
        yield b"part"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.add("0" * 64, broken())  # type: ignore[arg-type]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65])
def test_only_hashes_are_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a SHA-256"):
        ArtefactCache(tmp_path).path(name)


def test_pruning_takes_the_least_recently_used_and_spares_what_is_kept(tmp_path: Path) -> None:
    cache = ArtefactCache(tmp_path)
    old, older, new = put(cache, b"a" * 10, 20), put(cache, b"b" * 10, 10), put(cache, b"c" * 10, 30)
    assert cache.prune(30) == []
    assert cache.prune(15, keep={older}) == [old, new]
    assert cache.prune(0) == [older]
    assert cache.size() == 0


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ArtefactError, match="file") as caught:
        ArtefactCache(tmp_path / "file").add(hashlib.sha256(b"").hexdigest(), [])
    assert caught.value.code == "cache-unusable"
