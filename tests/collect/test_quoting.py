"""A quoted word is one word of its shell, whatever is in it."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.model.text import quote_powershell, quote_sh
from tests.collect.shells import SHELLS

HOSTILE = st.text(st.sampled_from("ab '\"`$\\!\n;&|<>(){}[]*?~#\u2018\u2019\u201a\u201b\u201c"), max_size=20)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=30, deadline=None)
@given(words=st.lists(HOSTILE, min_size=1, max_size=4))
def test_the_shell_gets_the_words_as_they_were(shell: list[str], words: list[str]) -> None:
    script = f"printf '%s\\0' {' '.join(map(quote_sh, words))}"
    done = subprocess.run([*shell, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


@given(HOSTILE)
def test_no_quote_that_powershell_knows_ends_the_literal(word: str) -> None:
    """All four single quotes count there, in pairs as well (about_Quoting_Rules, about_Special_Characters)."""
    quoted = quote_powershell(word)
    assert quoted[0] == quoted[-1] == "'"
    inner, read = iter(quoted[1:-1]), ""
    for char in inner:
        if char in "'\u2018\u2019\u201a\u201b":
            assert next(inner, "") == char, "alone it would end the literal"
        read += char
    assert read == word


@pytest.mark.parametrize("quote", [quote_sh, quote_powershell])
def test_no_word_holds_a_nul(quote: object) -> None:
    assert callable(quote)
    with pytest.raises(ValueError, match="NUL"):
        quote("a\0b")
