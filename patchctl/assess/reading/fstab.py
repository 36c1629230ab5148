"""Reads fstab and /proc/self/mounts (fstab(5)): both have the same form."""

from __future__ import annotations

import re

from msgspec import Struct


class Mounted(Struct, frozen=True):
    device: str
    path: str
    type: str
    options: tuple[str, ...]


def read_mounts(text: str) -> list[Mounted]:
    """Return the mounts of a table in order; the last of a path counts."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and not words[0].startswith("#"):
            found.append(Mounted(_plain(words[0]), _plain(words[1]), words[2], tuple(words[3].split(","))))
    return found


def _plain(word: str) -> str:
    r"""Undo octal escapes: \040 is a space."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), word)
