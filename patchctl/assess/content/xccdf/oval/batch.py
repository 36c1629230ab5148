"""What the sources of facts share: probe ids made from what is asked, and words for the shell."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from patchctl.assess.content.xccdf.oval.facts import PREFIX, Ask
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

CHUNK = 400
"""Paths in one call of a shell function: an argument list stays far below what any kernel takes."""


def probe(
    source: str, asks: Iterable[Ask], command: str, *, root: bool = False, timeout: float = 120.0,
    cap: int = 16 * 1024 * 1024, volatile: bool = False,
) -> Probe:
    """Return the probe that answers `asks` with `command`; its id is made from both."""
    text = "\0".join([command, *("\t".join(a) for a in sorted(asks))])
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return Probe(f"{PREFIX}{source}.{digest}", command, root=root, timeout=timeout, cap=cap, volatile=volatile)


def calls(function: str, words: Sequence[str]) -> str:
    """Return calls of a shell function with all the words, so many at a time. The words are quoted already."""
    return "".join(f"{function} {' '.join(words[i : i + CHUNK])}\n" for i in range(0, len(words), CHUNK))


def usable(path: str) -> bool:
    """Say whether a path can be asked for: absolute, on one line, and nothing a shell cannot hold."""
    return path.startswith("/") and not any(c in path for c in "\n\0\r")


def quoted(words: Iterable[str]) -> list[str]:
    """Quote words for the shell."""
    return [quote_sh(w) for w in words]


def glob_text(text: str) -> str:
    """Return text as a `find -path` pattern that means it literally."""
    return "".join("\\" + c if c in "*?[]\\" else c for c in text)
