"""Version order agrees with the tools that own it."""

from __future__ import annotations

import random
import shutil
import subprocess
import tempfile

import pytest
from debian.debian_support import NativeVersion
from hypothesis import given, settings
from hypothesis import strategies as st

from patchctl.model.versions import deb, rpm

UPSTREAM = st.text("0123456789abz.+~", min_size=1, max_size=8).map(lambda t: f"1{t}")
REVISION = st.one_of(st.just(""), st.text("0123456789ab.+~", min_size=1, max_size=6).map(lambda t: f"-{t}"))
EPOCH = st.sampled_from(["", "0:", "1:", "12:"])
DEB = st.builds(lambda e, u, r: e + u + r, EPOCH, UPSTREAM, REVISION)
REAL = [
    "1.0.9-2+b6", "1.0.9-2+deb12u1", "2.5.0-1+deb12u2", "20230311+deb12u1", "20250419~deb12u2", "1:2.38.1-5+deb12u3",
    "2.1.28+dfsg-10", "2.1.28+dfsg-10+deb12u1", "3.0.20-1~deb12u2", "3.0.22-1~deb12u2", "6.1.0-40", "6.1.0-9", "0",
    "1.0~rc1-1", "1.0-1", "1.0", "1.0-0", "1.0+really0.9-1", "9.9", "10.0", "1.a", "1.0a", "1-2-3", "0:1", "00001.0",
]  # fmt: skip


@given(DEB, DEB)
def test_debian_order_is_that_of_python_debian(a: str, b: str) -> None:
    one, other = NativeVersion(a), NativeVersion(b)
    assert deb.compare(a, b) == (one > other) - (one < other)


@pytest.mark.skipif(not shutil.which("dpkg"), reason="no dpkg here")
def test_debian_order_is_that_of_dpkg() -> None:
    for a in REAL:
        for b in REAL[::3]:
            sign = deb.compare(a, b)
            word = {-1: "lt", 0: "eq", 1: "gt"}[sign]
            assert subprocess.run(["dpkg", "--compare-versions", a, word, b]).returncode == 0, (a, word, b)


@given(DEB, DEB, DEB)
@settings(max_examples=200)
def test_debian_order_is_an_order(a: str, b: str, c: str) -> None:
    assert deb.compare(a, b) == -deb.compare(b, a)
    first, second, third = sorted((a, b, c), key=deb.sort_key)
    assert deb.compare(first, third) <= 0
    assert deb.compare(first, second) <= 0


def test_a_bad_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="epoch"):
        deb.compare("a:1", "1")
    with pytest.raises(ValueError, match="epoch"):
        rpm.compare("a:1-1", "1")


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "2.0"), ("2.0", "2.0.1"), ("2.0.1", "2.0.1a"), ("5.5p1", "5.5p2"), ("5.5p1", "5.5p10"),
        ("xyz10", "10xyz"), ("xyz.4", "xyz.4.1"), ("xyz", "2"), ("5.5p1", "5.6p1"), ("5.6p1", "6.5p1"),
        ("6.0", "6.0.rc1"), ("10a2", "10b2"), ("1.0~rc1", "1.0"), ("1.0~rc1", "1.0~rc2"),
        ("1.0~rc1~git123", "1.0~rc1"), ("1.0", "1.0^"), ("1.0^", "1.0^git1"), ("1.0^git1", "1.0^git2"),
        ("1.0^git1", "1.01"), ("1.0^20160101", "1.0.1"), ("1.0~rc1^git1", "1.0"), ("1.0-1.el9", "1.0-2.el9"),
        ("1.0-1.el9", "1.0-1.el9_1"), ("9:1.0", "10:0.1"), ("1.9-9", "1:0.1-1"),
        ("2.28-225.el9", "2.28-251.el9_4.2"),
    ],
)  # fmt: skip
def test_rpm_order(older: str, newer: str) -> None:
    """The rules of rpm-version(7), and the pairs that are easily got wrong."""
    assert rpm.compare(older, newer) == -1
    assert rpm.compare(newer, older) == 1


@pytest.mark.parametrize(
    ("a", "b"), [("1.0", "1_0"), ("1.0", "0:1.0"), ("1.05", "1.5"), ("1.0-1", "1.0"), ("2a", "2.a")]
)
def test_rpm_equals(a: str, b: str) -> None:
    assert rpm.compare(a, b) == 0 == rpm.compare(b, a)


@pytest.mark.skipif(not shutil.which("rpm"), reason="no rpm here")
def test_rpm_order_is_that_of_rpm_itself() -> None:
    """10,000 pairs of versions and of releases, compared by the rpm of this machine in one run."""
    dice = random.Random(20261125)
    alphabet = "0123456789019abzAB..~^_+"
    texts = ["".join(dice.choice(alphabet) for _ in range(dice.randint(1, 8))) for _ in range(20_000)]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    for index in range(0, len(pairs), 3):  # near misses: a change at the end, or none
        one = pairs[index][0]
        pairs[index] = (one, one + dice.choice(["", ".", "~", "^", "a", "0", ".0", "~1", "^1", "_"]))
    rows = "".join(f'print(rpm.vercmp("{a}","{b}").."\\n")' for a, b in pairs)
    # By file: an argument of that length is refused.
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(rows)
        script.flush()
        said = subprocess.run(
            ["rpm", "--eval", f'%{{lua: dofile("{script.name}")}}'], capture_output=True, text=True, timeout=120,
        )
    answers = said.stdout.split()
    assert len(answers) == len(pairs), said.stderr[:300]
    wrong = [(a, b, int(real), rpm.compare_part(a, b)) for (a, b), real in zip(pairs, answers, strict=True)
             if int(real) != rpm.compare_part(a, b)]
    assert not wrong, (len(wrong), wrong[:10])
