"""How scripts come to PowerShell over WinRM, and what comes back on stderr: hostile output stays as it is."""

from __future__ import annotations

import base64
import itertools

import pytest
import tree_sitter
import tree_sitter_pwsh
from hypothesis import given
from hypothesis import strategies as st

from patchctl.connect.winrm_script import (
    bootstrap,
    command_line,
    decode_clixml,
    input_lines,
    read_bootstrap,
    split_nonce,
)
from tests.winrm.powershell import clixml

NONCE = "0123456789abcdef0123456789abcdef"
WAYS = list(itertools.product((False, True), repeat=2))


@pytest.mark.parametrize(("need", "data"), WAYS)
def test_the_bootstrap_is_powershell_and_fits_into_a_command_line(need: bool, data: bool) -> None:
    text = bootstrap(NONCE, need_elevation=need, data=data)
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_pwsh.language()))
    assert not parser.parse(text.encode()).root_node.has_error
    assert len(command_line(text)) < 8191 - len("cmd /c ")
    assert read_bootstrap(text) == (NONCE, need)
    assert read_bootstrap(text + " ") is None


@pytest.mark.parametrize("nonce", ["", "x" * 32, NONCE[1:], NONCE.upper(), f"{NONCE}'", f"{NONCE}\n"])
def test_a_nonce_that_could_be_code_is_refused(nonce: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        bootstrap(nonce, need_elevation=True, data=True)


@given(st.text(st.characters(codec="utf-8")), st.lists(st.binary()))
def test_any_script_and_any_data_arrive_whole(script: str, data: list[bytes]) -> None:
    first, *others = input_lines(script, data)
    assert all(line.endswith(b"\r\n") and b"\n" not in line[:-2] and line.isascii() for line in (first, *others))
    assert base64.b64decode(first).decode() == script
    assert [base64.b64decode(line) for line in others] == [piece for piece in data if piece]


@pytest.mark.parametrize(("stderr", "left", "elevated"), [
    (f"a{NONCE} True\r\nb", b"ab", True), (f"{NONCE} False\n", b"", False), (f"{NONCE} Maybe\r\n", None, None),
    ("", b"", None), ("trouble", b"trouble", None), (f"{NONCE[:-1]}0 True\r\n", None, None),
])
def test_elevation_is_unknown_unless_the_bootstrap_said_it(
    stderr: str, left: bytes | None, elevated: bool | None
) -> None:
    assert split_nonce(stderr.encode(), NONCE) == (stderr.encode() if left is None else left, elevated)


def test_records_become_text_and_progress_is_left_out() -> None:
    assert decode_clixml(clixml(("No such <file> & more", "second"))) == b"No such <file> & more\nsecond\n"
    assert decode_clixml(clixml(())) == b""
    assert decode_clixml(b"before\n" + clixml(("a",)) + b"after") == b"before\na\nafter"
    assert decode_clixml(clixml(("a",)) + clixml(("b",))) == b"a\nb\n"


@pytest.mark.parametrize("stderr", [
    b"plain", b"#< CLIXML", b"#< CLIXML\r\n<Objs", b"#< CLIXML\r\n<Objs><S S='Error'>x</Objs>",
    b'#< CLIXML\r\n<!DOCTYPE x [<!ENTITY a "aaaa">]><Objs><S S="Error">&a;</S></Objs>',
])
def test_what_is_no_clixml_stays_as_it_is(stderr: bytes) -> None:
    assert decode_clixml(stderr) == stderr


@given(st.binary())
def test_no_bytes_of_a_host_break_the_reading(noise: bytes) -> None:
    assert isinstance(decode_clixml(noise), bytes)
    assert isinstance(decode_clixml(b"#< CLIXML\r\n" + noise + b"</Objs>"), bytes)
