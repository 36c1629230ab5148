"""Repairs on Windows: the payload by Wine's cmd and reg.exe, on a registry of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from patchctl.collect import fixing_windows as fixing
from patchctl.model.errors import UsageError
from patchctl.model.plan import Fix
from tests.windows.test_texts import errors
from tests.windows.wine import Disk, why_not

LSA = r"HKLM\SYSTEM\CurrentControlSet\Control\Lsa"
NONCE = "0123456789abcdef"


def fix(name: str, script: str | None, *, access: bool = False) -> Fix:
    assert script is not None
    return Fix(f"house/{name}", "house", name, name, "high", "declarative", script, access=access)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Disk]:
    if why_not():
        pytest.skip(why_not())
    disk = Disk(tmp_path_factory.mktemp("fixing"))
    disk.path("C:\\work").mkdir()
    yield disk
    disk.close()


def run(disk: Disk, attempt: str, *fixes: Fix, wait: int = 1) -> tuple[int, str]:
    payload = fixing.render_payload(fixes, attempt, NONCE, wait=wait)
    disk.path("C:\\work\\payload.cmd").write_bytes(payload.replace("\n", "\r\n").encode())
    return disk.run("cmd", "/d", "/c", "C:\\work\\payload.cmd")


def value(disk: Disk, key: str, name: str) -> str:
    rc, said = disk.run("reg", "query", key, "/v", name)
    return " ".join(said.split()[-2:]) if rc == 0 else ""


def put(disk: Disk, key: str, name: str, kind: str, data: str) -> None:
    assert disk.run("reg", "add", key, "/v", name, "/t", kind, "/d", data, "/f")[0] == 0


def results(disk: Disk, attempt: str) -> list[str]:
    return disk.path(f"{fixing.BACKUPS}\\{attempt}\\results").read_text().splitlines()


def test_values_are_set_kept_aside_and_put_back(disk: Disk) -> None:
    fresh = r"HKLM\SOFTWARE\Policies\House Rules\Sub Key"
    put(disk, LSA, "Level", "REG_DWORD", "3")
    put(disk, LSA, "Count", "REG_SZ", "10")
    put(disk, LSA, "Extra", "REG_DWORD", "7")
    rc, said = run(
        disk, "r.1", fix("level", fixing.set_value(LSA, "Level", "REG_DWORD", "5")),
        fix("count", fixing.set_value(LSA, "Count", "REG_DWORD", "4")),
        fix("fresh", fixing.set_value(fresh, "New", "REG_DWORD", "537395200")),
        fix("extra", fixing.delete_value(LSA, "Extra")), fix("gone", fixing.delete_value(LSA, "NeverThere")))
    assert rc == 0, said
    assert [value(disk, LSA, name) for name in ("Level", "Count", "Extra")] == ["REG_DWORD 0x5", "REG_SZ 4", ""]
    assert value(disk, fresh, "New") == "REG_DWORD 0x20080000"
    names = ("level", "count", "fresh", "extra", "gone")
    assert results(disk, "r.1") == [f"house/{name}:fix applied" for name in names]
    assert "patchctl: step fix 1 of 5: house/level" in said
    assert "0x3" in disk.path(f"{fixing.BACKUPS}\\r.1\\1\\was").read_text()
    for _ in range(2):
        rc, said = disk.run("cmd", "/d", "/c", f"{fixing.BACKUPS}\\r.1\\restore.cmd")
        assert [value(disk, LSA, name) for name in ("Level", "Count", "Extra")] == [
            "REG_DWORD 0x3", "REG_SZ 10", "REG_DWORD 0x7"], said
        assert value(disk, fresh, "New") == ""


def test_what_could_not_be_put_back_is_not_changed(disk: Disk) -> None:
    put(disk, LSA, "Text", "REG_SZ", 'a & calc %PATH% "b"')
    put(disk, LSA, "Bytes", "REG_BINARY", "0102")
    rc, said = run(
        disk, "r.2", fix("text", fixing.set_value(LSA, "Text", "REG_DWORD", "5")),
        fix("bytes", fixing.set_value(LSA, "Bytes", "REG_DWORD", "5")),
        fix("level", fixing.set_value(LSA, "Level", "REG_DWORD", "5")))
    assert rc == 1
    assert value(disk, LSA, "Bytes") == "REG_BINARY 0102"
    assert "calc" in disk.run("reg", "query", LSA, "/v", "Text")[1]
    assert results(disk, "r.2") == ["house/text:fix failed", "house/bytes:fix failed", "house/level:fix applied"]
    why = "Bytes is of another kind (REG_BINARY) or holds text; nothing was changed"
    assert f"patchctl: fix-failed house/bytes {why}" in said
    assert value(disk, LSA, "Level") == "REG_DWORD 0x5", "the others go on"


def test_the_way_in_is_taken_back_unless_somebody_logs_in_anew(disk: Disk) -> None:
    put(disk, LSA, "Level", "REG_DWORD", "3")
    door = fix("door", fixing.set_value(LSA, "Level", "REG_DWORD", "5"), access=True)
    rc, said = run(disk, "r.3", door, fix("other", fixing.set_value(LSA, "Other", "REG_DWORD", "1")))
    assert rc == 1
    assert "patchctl: fix-failed house/door nobody has logged in anew since; taken back" in said
    assert said.index("house/other") < said.index("house/door"), "the way in comes last"
    assert (value(disk, LSA, "Level"), value(disk, LSA, "Other")) == ("REG_DWORD 0x3", "REG_DWORD 0x1")
    assert results(disk, "r.3")[-1] == "house/door:fix taken-back"
    folder = disk.path(f"{fixing.BACKUPS}\\r.4")
    process = None
    payload = fixing.render_payload([door], "r.4", NONCE, wait=120)
    disk.path("C:\\work\\payload.cmd").write_bytes(payload.replace("\n", "\r\n").encode())
    process = disk.start("cmd", "/d", "/c", "C:\\work\\payload.cmd")
    while not (folder / "asking").exists():
        assert process.poll() is None
    (folder / "answered").write_text("in")
    assert process.wait(120) == 0
    assert value(disk, LSA, "Level") == "REG_DWORD 0x5"


def test_the_last_backups_stay(disk: Disk) -> None:
    for number in range(5, 13):
        assert run(disk, f"r.{number}", fix("level", fixing.set_value(LSA, "Level", "REG_DWORD", "5")))[0] == 0
    kept = {path.name for path in disk.path(fixing.BACKUPS).iterdir()}
    assert len(kept) == 5
    assert "r.12" in kept


def test_texts_and_what_cannot_stand_in_them(tmp_path: Path) -> None:
    assert list(errors(fixing.render_listing("r.1"))) == list(errors(fixing.render_answer("r.1"))) == []
    for name in ("a b", "a%b", "a&b", "a\nb"):
        with pytest.raises(UsageError):
            fixing.render_payload([fix(name, fixing.set_value(LSA, "x", "REG_DWORD", "1"))], "r.1", NONCE)
        with pytest.raises(UsageError):
            fixing.render_payload([], f"r{name} .1", NONCE)
    for key, value_, kind, data in (
        (LSA + "\\a&b", "x", "REG_DWORD", "1"), (LSA, "a b", "REG_DWORD", "1"), (LSA, "x", "REG_BINARY", "1"),
        (LSA, "x", "REG_DWORD", "5000000000"), (LSA, "x", "REG_DWORD", "x"), (LSA, "x", "REG_SZ", "%a%"),
        ("HKCU\\x", "x", "REG_SZ", "a"),
    ):
        assert fixing.set_value(key, value_, kind, data) is None
    script = "Set-Thing 'x'"
    payload = fixing.render_payload([fix("one", script), fix("two", script)], "r.1", NONCE)
    section = payload[payload.rindex(f"#{NONCE}-2#"):]
    assert section.startswith(f"#{NONCE}-2#\n$ErrorActionPreference = 'Stop'\n{script}\n#{NONCE}-end#")
    assert payload.count(f"#{NONCE}-1#") == 1, "the line that looks for it does not hold it whole"
