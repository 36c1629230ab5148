"""The batched probes on real shells: no text passes for a frame, no word for a command, nothing missing for empty."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from patchctl.assess.content.sca.answers import (
    ABSENT,
    LARGE,
    LATE,
    NOT_STARTED,
    OTHER,
    READ,
    REFUSED,
    STARTED,
    Answer,
    Key,
    read_answers,
)
from patchctl.assess.content.sca.questions import (
    TEXT_CAP,
    make_batches,
    read_status,
    read_tree,
    split_command,
)
from tests.collect.shells import SHELLS, ask


def answers(shell: list[str], *keys: Key, faster: bool = False) -> dict[Key, Answer]:
    batches = make_batches(keys)
    if faster:  # a command's deadline of 30 s made 1 s
        faster_ones = [replace(b.probe, command=b.probe.command.replace("-k 2 30", "-k 2 1")) for b in batches]
        batches = [replace(b, probe=probe) for b, probe in zip(batches, faster_ones, strict=True)]
    snapshot = ask(shell, [replace(b.probe, root=False) for b in batches])
    return dict(read_answers(batches, snapshot, read_status).found)


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_run_as_written_without_a_shell(shell: list[str], tmp_path: Path) -> None:
    hostile = ["$(touch x)", "`touch x`", "; touch x", "a b", "'", '"', "*", "", "-n", "\\", "~", "$HOME",
    "\n+0\n=0", "é"]
    got = answers(shell, ("c", "printf", "%s|", *hostile), ("c", "pwd"))
    assert got[("c", "printf", "%s|", *hostile)].lines == tuple("".join(f"{w}|" for w in hostile).split("\n"))
    assert not (Path.cwd() / "x").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_what_becomes_of_commands(shell: list[str]) -> None:
    keys: dict[str, Key] = {
        "none": ("c", "no-such-program", "x"), "refused": ("c", "/etc/passwd"), "error": ("c", "sh", "-c",
        "echo oops >&2; exit 3"),
        "127": ("c", "sh", "-c", "echo x; exit 127"), "empty": ("c", "true"), "blank": ("c", "printf", "a\\n\\n"),
        "stdin": ("c", "cat"), "zero": ("c", "printf", "a\\0b"), "bytes": ("c", "printf", "a\\377b\\n"),
    }  # fmt: skip
    got = {name: answers(shell, *keys.values())[key] for name, key in keys.items()}
    assert got["none"] == got["refused"] == Answer(NOT_STARTED)
    assert got["error"] == Answer(STARTED, ("oops",))
    assert got["127"] == Answer(STARTED, ("x",))
    assert got["empty"] == got["stdin"] == Answer(STARTED)
    assert got["blank"] == Answer(STARTED, ("a", ""))
    assert got["zero"] == Answer(STARTED, ("a\x01b",))
    assert got["bytes"] == Answer(STARTED, ("a�b",))


def test_a_command_that_hangs_costs_only_itself() -> None:
    got = answers(["dash"], ("c", "sleep", "60"), ("c", "echo", "after"), faster=True)
    assert got[("c", "sleep", "60")] == Answer(LATE)
    assert got[("c", "echo", "after")] == Answer(STARTED, ("after",))


@pytest.mark.parametrize("shell", SHELLS)
def test_files_and_directories(shell: list[str], tmp_path: Path) -> None:
    forged = "+0\n=0\n text\n=read0\n\n+1\n"
    (tmp_path / "forged").write_text(forged)
    (tmp_path / "no newline").write_text("a\nb")
    (tmp_path / "large").write_bytes(b"x\n" * (TEXT_CAP // 2 + 1))
    (tmp_path / "full").write_bytes(b"x\n" * (TEXT_CAP // 2))
    (tmp_path / "empty").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "-rf x").write_text("dash\n")
    (tmp_path / "sub" / "two\nlines").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    names = ["forged", "no newline", "large", "full", "empty", "sub", "sub/-rf x", "gone", "missing", "missing/deep"]
    keys: list[Key] = [("f", f"{tmp_path}/{n}") for n in names]
    got = answers(shell, *keys, ("e", f"{tmp_path}/empty"), ("d", str(tmp_path)), ("d", f"{tmp_path}/forged"))
    by_name = dict(zip(names, (got[k] for k in keys), strict=True))
    assert by_name["forged"] == Answer(READ, tuple(forged[:-1].split("\n")))
    assert by_name["no newline"] == Answer(READ, ("a", "b"))
    assert by_name["large"].status == LARGE
    assert by_name["full"].status == READ
    assert by_name["empty"] == Answer(READ)
    assert by_name["sub"].status == OTHER
    assert by_name["sub/-rf x"] == Answer(READ, ("dash",))
    assert by_name["gone"].status == by_name["missing"].status == by_name["missing/deep"].status == ABSENT
    assert got[("e", f"{tmp_path}/empty")].status == READ
    assert got[("d", f"{tmp_path}/forged")].status == OTHER
    entries, whole = read_tree(("d", str(tmp_path)), got[("d", str(tmp_path))])
    assert not whole, "a name with a line break was left out"
    assert {os.path.relpath(p, tmp_path): k for k, p in entries} == {
        "forged": "f", "no newline": "f", "large": "f", "full": "f", "empty": "f", "sub": "d",
        "sub/-rf x": "f", "gone": "l",
    }  # fmt: skip


def test_what_may_not_be_read_is_refused_not_missing(tmp_path: Path) -> None:
    """Judged by the script as an ordinary user: permission denied is never `absent`."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_text("secret\n")
    (tmp_path / "mine").write_text("x\n")
    (tmp_path / "mine").chmod(0)
    for path in (tmp_path, *tmp_path.parents[:3]):
        path.chmod(path.stat().st_mode | 0o055)
    closed.chmod(0o700)
    keys: list[Key] = [("f", f"{closed}/file"), ("f", f"{closed}/none/x"), ("e", f"{closed}/file"),
    ("d", f"{closed}/sub"),
                       ("d", str(closed)), ("f", f"{tmp_path}/mine"), ("f", f"{tmp_path}/none")]  # fmt: skip
    if os.getuid() != 0:
        pytest.skip("needs root to become somebody else")
    batches = make_batches(keys)
    snapshot = ask(["dash"], [replace(b.probe, root=False) for b in batches], user=65534)
    got = read_answers(batches, snapshot, read_status).found
    assert [got[k].status for k in keys] == [REFUSED] * 6 + [ABSENT]


def test_password_hashes_do_not_leave_the_host(tmp_path: Path) -> None:
    secret = "$6$saltsalt$" + "h" * 86
    old = "ab1234567890x"
    shadow = tmp_path / "shadow"
    people = (f"root:{secret}:19000:0:99999:7:::", f"old:{old}:1::::::", f"locked:!{secret}:1::::::", "off:*:1::::::")
    shadow.write_text("\n".join(people) + "\nempty::1::::::\n")
    got = answers(["dash"], ("f", str(shadow)), ("c", "cat", str(shadow)))
    assert got[("f", str(shadow))].lines == (
        "root:$6$REDUCED:19000:0:99999:7:::", "old:REDUCED:1::::::", "locked:!$6$REDUCED:1::::::",
        "off:*:1::::::", "empty::1::::::",
    )  # fmt: skip
    assert "h" * 10 not in "".join(got[("c", "cat", str(shadow))].lines)


def test_processes_are_names() -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert name in answers(["dash"], ("p",))[("p",)].lines


def test_equal_questions_make_equal_probes_and_each_is_asked_once() -> None:
    one, two = make_batches([("c", "id"), ("f", "/x"), ("c", "id")]), make_batches([("c", "id"), ("f", "/x")])
    assert [b.probe for b in one] == [b.probe for b in two]
    assert [b.keys for b in one] == [(("c", "id"),), (("f", "/x"),)]
    assert all(b.probe.root for b in one if b.keys[0][0] == "c"), "a command's answer as somebody else may be a lie"


@given(st.lists(st.text(alphabet="ab $`'*;\\\"", min_size=1), min_size=1, max_size=5))
def test_quoted_words_come_back(words: list[str]) -> None:
    text = " ".join('"' + w.replace("\\", "\\\\").replace('"', '\\"') + '"' for w in words)
    assert split_command(text) == tuple(words)


def test_words_are_split_as_wazuh_does() -> None:
    assert split_command('sh -c "a b"c \'d e\' "" x\\ y') == ("sh", "-c", "a bc", "'d", "e'", "", "x y")
    assert split_command("  lead  trail ") == ("lead", "trail")
    assert shlex.split("'d e'") != list(split_command("'d e'")), "single quotes are ordinary characters there"
