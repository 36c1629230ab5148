"""Host ranges: both ends, widths, steps, letters, several at once; mistakes are told in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.documents.ranges import expand_range


@pytest.mark.parametrize(("text", "names"), [
    ("web", ["web"]),
    ("web[1:3]", ["web1", "web2", "web3"]),
    ("web[01:03].x", ["web01.x", "web02.x", "web03.x"]),
    ("[008:011]", ["008", "009", "010", "011"]),
    ("w[1:9:4]", ["w1", "w5", "w9"]),
    ("w[:2]", ["w0", "w1", "w2"]),
    ("r[a:c][1:2]", ["ra1", "ra2", "rb1", "rb2", "rc1", "rc2"]),
    ("r[a:e:2]", ["ra", "rc", "re"]),
    ("r[y:B]", ["ry", "rz", "rA", "rB"]),
])
def test_ranges_give_their_names(text: str, names: list[str]) -> None:
    assert expand_range(text) == names


@pytest.mark.parametrize(("text", "word"), [
    ("w[3:1]", "backwards"), ("w[01:100]", "digits"), ("w[1:2:0]", "step"), ("w[1-3]", "not a range"),
    ("w[1:", "unbalanced"), ("w]", "unbalanced"), ("w[b:a]", "backwards"), ("w[1:999999999]", "more than"),
    ("w[1:1000][1:1000]", "more than"), ("w[]", "not a range"),
])
def test_mistakes_are_told_in_words(text: str, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        expand_range(text)


@given(st.integers(0, 500), st.integers(0, 60), st.integers(1, 7), st.integers(1, 5))
def test_number_ranges_count_as_range_does(first: int, length: int, step: int, width: int) -> None:
    last = first + length
    begin, end = str(first).zfill(width), str(last).zfill(width)
    if begin.startswith("0") and len(begin) > 1 and len(begin) != len(end):
        return
    wide = len(begin) if begin.startswith("0") else 0
    assert expand_range(f"h[{begin}:{end}:{step}]") == [f"h{str(n).zfill(wide)}" for n in range(first, last + 1, step)]
