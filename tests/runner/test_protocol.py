"""Texts only: what is rendered, and what is read out of hostile answers."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.collect.runner import (
    Cleanup,
    Controller,
    Look,
    Poll,
    Reboot,
    Request,
    Start,
    compare_packages,
    parse_reply,
    render,
)
from patchctl.model.errors import UsageError
from tests.runner.machine import SHELLS, available_shells

NONCE = "0123456789abcdef" * 2
CONTROLLER = Controller("3e6d1b8e-store", 1, 1, "me@here")


@pytest.mark.parametrize("shell", available_shells())
@pytest.mark.parametrize("request_", [
    Look(), Start("r.1.1", "echo 'it''s'\ncat <<EOF\n$x\nEOF"), Poll("r.1.1"),
    Reboot("d0877d51-98c6-4f6b-8076-72316236473f"), Cleanup("r.1.1"),
])
def test_every_script_is_valid_in_every_shell(shell: str, request_: Request) -> None:
    script = render(request_, CONTROLLER, NONCE)
    checked = subprocess.run([*SHELLS[shell], "-n"], input=script.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize("request_", [
    Start("../x", ""), Start("a/b", ""), Start("-a", ""), Start("", ""), Start("a\nb", ""), Start("a" * 181, ""),
    Poll("$(x)"), Reboot("No such file or directory"), Cleanup("r.1.1", "/etc"), Look(paths=("/$(reboot)",)),
    Start("r.1.1", "", "true", "/d", [("0" * 64, "../../etc/passwd")]), Start("r.1.1", "", "true", "/d", [("0", "a")]),
    Start("r.1.1", "nul\0byte"),
])
def test_names_that_could_do_harm_are_refused(request_: Request) -> None:
    with pytest.raises(UsageError):
        render(request_, CONTROLLER, NONCE)


def test_a_payload_that_holds_our_marks_is_carried_unchanged() -> None:
    payload = "echo @PAYLOADTEXT@ @LIST@ @RUNTEXT@ @SHELL@ '$0' \\ `x`"
    assert f"\n{payload}\nPAYLOAD-{NONCE}\n" in render(Start("r.1.1", payload), CONTROLLER, NONCE)


def test_a_script_cut_short_does_nothing() -> None:
    script = render(Look(), CONTROLLER, NONCE)
    for part in (script[:-1], script[: len(script) // 2], script[:200]):
        if not part.endswith("</dev/null"):
            ran = subprocess.run(["dash"], input=part.encode(), capture_output=True, check=False)
            assert NONCE.encode() not in ran.stdout


LINES = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60)


@given(st.lists(LINES), st.lists(LINES))
def test_chatter_never_counts(before: list[str], after: list[str]) -> None:
    ours = f"{NONCE} boot x\n{NONCE} state started\n{NONCE} end\n"
    text = "\n".join(before) + "\n" + ours + "\n".join(after)
    reply = parse_reply(text.encode(), NONCE)
    assert (reply.complete, reply.state, reply.all("boot")) == (True, "started", ("x",))


@given(st.binary())
def test_any_bytes_can_be_read_and_promise_nothing(data: bytes) -> None:
    reply = parse_reply(data, NONCE)
    assert (reply.complete, reply.state, reply.boot_id) == (False, "", "")


@pytest.mark.parametrize("line", [
    "{other} {said}", "x{nonce} {said}", "{nonce}{said}", "{short} {said}", " {nonce} {said}",
])
def test_what_only_looks_like_a_line_of_ours_is_not_believed(line: str) -> None:
    marks = {"other": "f" * 32, "nonce": NONCE, "short": NONCE[:31]}
    forged = "".join(line.format(said=said, **marks) + "\n" for said in ("boot x", "state started", "end"))
    reply = parse_reply(forged.encode(), NONCE)
    assert (reply.complete, reply.state, dict(reply.lines)) == (False, "", {})


def test_an_answer_without_its_end_has_no_state() -> None:
    reply = parse_reply(f"{NONCE} state started\n".encode(), NONCE)
    assert (reply.complete, reply.state) == (False, "")


def test_text_of_the_host_is_stripped_and_is_no_boot_id() -> None:
    text = f"{NONCE} reason \x1b[31mred\x07\n{NONCE} boot sh: cat: not found\n{NONCE} end\n"
    reply = parse_reply(text.encode(), NONCE)
    assert reply.get("reason") == "red"
    assert reply.boot_id == ""


def test_package_lists_are_compared_by_name_and_architecture() -> None:
    before = ["a:amd64 1", "a:i386 1", "junk", "gone:all 2", "~:weird"]
    after = ["a:amd64 1.1", "a:i386 1", "new:all 3"]
    assert compare_packages(before, after) == [
        {"package": "a", "arch": "amd64", "from": "1", "to": "1.1"},
        {"package": "gone", "arch": "all", "from": "2", "to": ""},
        {"package": "new", "arch": "all", "from": "", "to": "3"},
    ]
