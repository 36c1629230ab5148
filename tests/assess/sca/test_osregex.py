"""os_regex and sregex by their documented rules."""

from __future__ import annotations

import pcre2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.assess.content.sca.grammar import OSREGEX, OddError, compiled
from patchctl.assess.content.sca.osregex import BadPatternError, match_sregex, translate_osregex


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("abc", "xxABCxx", True), ("a.c", "abc", False), ("a.c", "a.c", True), (r"a\.c", "abc", True),
        ("^abc", "xabc", False), ("^abc", "abcx", True), ("abc$", "abcx", False), ("abc$", "xabc", True),
        ("^abc$", "abc", True), ("a^c", "a^c", True), ("a$c", "a$c", True), (r"a\$", "a$", True),
        (r"cost\$$", "cost$", True),
        (r"\d", "7", True), (r"\d", "x", False), (r"^\d+$", "123", True), (r"^\d*$", "", True), (r"^\d+$", "", False),
        (r"^\w+$", "aZ9-@_", True), (r"^\w+$", "a.b", False), (r"^\s+$", "  ", True), (r"^\s+$", "\t", False),
        (r"^\t+$", "\t\t", True), (r"^\p+$", "()*+,-.:;<=>?[]!\"'#$%&|{}", True), (r"\p", "/", False),
        (r"\p", "@", False),
        (r"\W", "abc", False), (r"\W", "a.c", True), (r"^\S+$", "a\tb", True), (r"\S", "  ", False),
        (r"\D", "12", False),
        ("a*", "a*", True), ("a*", "b", False), ("a+b", "a+b", True), ("a+b", "aab", False), ("[ab]", "a", False),
        ("x{2}", "xx", False), ("a|b", "b", True), ("^a|b$", "xb", True), ("^a|b$", "bx", False), ("a|", "zzz", False),
        (r"(\d+)-(\d+)", "10-20", True), (r"\(x\)", "(x)", True), (r"a\|b", "a|b", True), (r"\<", "<", True),
        (r"\\", "\\", True), (r"^\.*$", "anything at all", True), (r"k\s*=\s*v", "k=v", True),
        (r"k\s*=\s*v", "k  = v", True),
        (r"\.+end", "the end", True), (r"\.+end", "end", False), ("", "x", False), ("^$", "", False),
    ],
)  # fmt: skip
def test_documented_rules(pattern: str, text: str, found: bool) -> None:
    assert bool(compiled(pattern, OSREGEX).search(text)) is found


@pytest.mark.parametrize("pattern", [r"\x", r"\n", "\\", "(a", "a)", "((a))", "(a|b)", "a" * 3000])
def test_what_wazuh_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        translate_osregex(pattern)
    with pytest.raises(OddError):
        compiled(pattern, OSREGEX)


@given(st.text(alphabet="abzAZ019 \t.*+?[]{}()|^$\\dwstpDWS<-@_/é\n", max_size=30))
def test_every_pattern_is_refused_or_compiles(pattern: str) -> None:
    try:
        translated = translate_osregex(pattern)
    except BadPatternError:
        return
    groups = pattern.replace("\\\\", "").replace(r"\(", "").count("(")
    assert pcre2.compile(translated, pcre2.IGNORECASE).groups == groups


@given(st.text(alphabet=st.characters(codec="ascii", exclude_characters="\\()|^$\0\n"), min_size=1, max_size=20))
def test_a_text_without_special_characters_matches_itself_in_either_case(text: str) -> None:
    assert compiled(text, OSREGEX).search(f"<{text.swapcase()}>")


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [("conf", "x.CONF.d", True), ("^conf", "xconf", False), ("conf$", "x.conf", True), ("^a$", "ab", False),
     ("a|b$", "xb", True), ("a|b$", "bx", False), (r"\.*", "x", False), (r"\.*", r"\.*", True), ("", "x", True),
     ("!a", "a", False), ("!a", "b", True)],
)  # fmt: skip
def test_names(pattern: str, text: str, found: bool) -> None:
    assert match_sregex(pattern, text) is found
