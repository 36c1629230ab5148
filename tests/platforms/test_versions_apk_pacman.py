"""The order of Alpine's and Arch's versions agrees with apk-tools' own table and with the real vercmp."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchctl.model.versions import apk, pacman

TABLE = [line.split() for line in (Path(__file__).parent / "data/apk-versions.txt").read_text().splitlines()
         if line and not line.startswith("#")]
PAIRS = 10_000


def test_every_pair_of_apk_tools_own_table() -> None:
    pairs = [line for line in TABLE if len(line) == 3]
    assert len(pairs) == 738
    signs = {-1: "<", 0: "=", 1: ">"}
    assert [[a, signs[apk.compare(a, b)], b] for a, _, b in pairs] == pairs


def test_what_apk_takes_for_a_version() -> None:
    texts = [line[0] for line in TABLE if len(line) == 1]
    assert len(texts) > 25
    assert [text for text in texts if apk.is_valid(text.lstrip("!")) == text.startswith("!")] == []


APK = st.from_regex(
    r"(0|1|10|01)(\.(0|1|10|01|001)){0,3}[a-b]?(_(alpha|rc|pre|git|p)[0-9]{0,2}){0,2}(~[0-9a-f]{1,3})?(-r(0|1|12))?",
    fullmatch=True,
)


@given(APK, APK)
def test_apk_order_has_a_mirror_image(a: str, b: str) -> None:
    assert apk.is_valid(a)
    assert apk.compare(a, b) == -apk.compare(b, a)
    assert apk.compare(a, a) == 0


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_has_an_order(a: str, b: str) -> None:
    assert apk.compare(a, b) == -apk.compare(b, a)
    assert pacman.compare(a, b) in (-1, 0, 1)


def _versions(rnd: random.Random) -> tuple[str, str]:
    """Return two versions: every other time one is a small change of the other."""
    one = "".join(rnd.choice("0019.:-_+~abzrc") for _ in range(rnd.randint(1, 10))).lstrip("-") or "1"
    if rnd.random() < 0.5:
        return one, "".join(rnd.choice("0019.:-_+~abzrc") for _ in range(rnd.randint(1, 10))).lstrip("-") or "1"
    other = list(one)
    for _ in range(rnd.randint(1, 2)):
        other[rnd.randrange(len(other))] = rnd.choice("019.-abr:")
    return one, "".join(other).lstrip("-") or "1"


@pytest.mark.skipif(not shutil.which("vercmp"), reason="no vercmp here (Debian package makepkg)")
def test_arch_order_is_that_of_vercmp_in_10000_pairs() -> None:
    rnd = random.Random(20261125)
    pairs = [_versions(rnd) for _ in range(PAIRS)]
    said = subprocess.run(
        ["sh", "-c", 'while read -r a b; do vercmp "$a" "$b"; done'], input="".join(f"{a} {b}\n" for a, b in pairs),
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout.split()
    assert len(said) == PAIRS
    wrong = [(a, b, sign) for (a, b), sign in zip(pairs, said, strict=True) if pacman.compare(a, b) != int(sign)]
    assert wrong == []
    assert min(said.count(sign) for sign in ("-1", "0", "1")) > 100  # all three answers occur


@pytest.mark.parametrize(
    ("older", "newer"),
    [("1.0-1", "1.0-2"), ("1.0rc1-1", "1.0-1"), ("1.0-9", "1:0.1-1"), ("6.9.arch1-1", "6.10.arch1-1"),
     ("1.0", "1.0.a")],
)
def test_arch_order(older: str, newer: str) -> None:
    assert pacman.compare(older, newer) == -1
    assert pacman.compare(newer, older) == 1
