"""Hostile text made safe for terminals and reports, and quoting for shells."""

from __future__ import annotations

import re
import shlex

_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def strip_control(text: str) -> str:
    """Remove escape sequences and C0, C1, bidi and zero-width characters; tabs and newlines stay."""
    return _CONTROL.sub("", _ANSI.sub("", text))


def escape_control(text: str) -> str:
    """Return JSON with what strip_control would remove escaped (RFC 8259, section 7): the values are the same."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str, limit: int = 300) -> str:
    """Return safe text on one line of at most `limit` characters, cut with an ellipsis."""
    flat = " ".join(strip_control(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def decode(data: bytes) -> str:
    """Decode host output: UTF-8, undecodable bytes replaced, never an error."""
    return data.decode("utf-8", "replace")


def quote_sh(word: str) -> str:
    """Quote one word for a POSIX shell. Raise ValueError for a NUL byte, which no argv can hold."""
    if "\0" in word:
        raise ValueError("a shell word cannot hold a NUL byte")
    return shlex.quote(word)


def quote_powershell(word: str) -> str:
    """Quote one word as a PowerShell single-quoted literal (typographic quotes count as quotes there)."""
    if "\0" in word:
        raise ValueError("a PowerShell literal cannot hold a NUL byte")
    return "'" + re.sub("['\u2018\u2019\u201a\u201b]", lambda m: m.group(0) * 2, word) + "'"


def csv_cell(text: str) -> str:
    """Return one line of text that no spreadsheet takes for a formula; numbers stay numbers."""
    flat = " ".join(strip_control(text).split())
    return f"'{flat}" if flat[:1] in ("=", "+", "-", "@") and not _is_number(flat) else flat


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
