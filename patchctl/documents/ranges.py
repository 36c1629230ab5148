"""Host ranges: web[01:50], db[1:9:2], rack[a:f]. Ends included, leading zeros kept, as Ansible reads them."""

from __future__ import annotations

import re
import string
from typing import Final

MAX_HOSTS: Final = 100_000
_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_NUMBERS = re.compile(r"(\d*):(\d+)(?::(\d+))?")
_LETTERS = re.compile(r"([A-Za-z]):([A-Za-z])(?::(\d+))?")


def has_range(text: str) -> bool:
    return "[" in text and ":" in text[text.index("[") :]


def expand_range(text: str) -> list[str]:
    """Given a host name that may hold ranges, return the names it stands for, in order.

    `web[01:50]` both ends included and as wide as the first end is written; `[1:9:2]` by steps; `[a:f]` letters
    (lower before upper case, a to Z). Several ranges multiply, the last one fastest.
    Raise ValueError, in words for people, if a bracket is not a range or gives more than MAX_HOSTS names.
    """
    found = _BRACKETS.search(text)
    if found is None:
        if "[" in text or "]" in text:
            raise ValueError(f"unbalanced bracket in {text!r}")
        return [text]
    head, tail = text[: found.start()], text[found.end() :]
    here = _expand_one(found[1])
    rest = expand_range(tail)
    if len(here) * len(rest) > MAX_HOSTS:
        raise ValueError(f"{text!r} stands for more than {MAX_HOSTS:,} hosts")
    return [f"{head}{middle}{end}" for middle in here for end in rest]


def _expand_one(inner: str) -> list[str]:
    numbers = _NUMBERS.fullmatch(inner)
    if numbers:
        first, last, step = numbers[1] or "0", numbers[2], int(numbers[3] or 1)
        width = len(first) if first.startswith("0") else 0
        if width > 1 and len(last) != width:
            raise ValueError(f"[{inner}]: both ends need the same number of digits")
        if len(last) > 9 or int(last) - int(first) > MAX_HOSTS * max(step, 1):
            raise ValueError(f"[{inner}] stands for more than {MAX_HOSTS:,} hosts")
        return [str(n).zfill(width) for n in _steps(int(first), int(last), step, inner)]
    letters = _LETTERS.fullmatch(inner)
    if letters:
        alphabet = string.ascii_letters
        first_at, last_at = alphabet.index(letters[1]), alphabet.index(letters[2])
        return [alphabet[n] for n in _steps(first_at, last_at, int(letters[3] or 1), inner)]
    raise ValueError(f"[{inner}] is not a range (write [01:50], [1:9:2] or [a:f])")


def _steps(first: int, last: int, step: int, inner: str) -> range:
    if step == 0:
        raise ValueError(f"[{inner}]: a step of 0 goes nowhere")
    if last < first:
        raise ValueError(f"[{inner}] is backwards: the second end comes before the first")
    return range(first, last + 1, step)
