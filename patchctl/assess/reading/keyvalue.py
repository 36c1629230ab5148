"""Reads files of keys and values: INI with sections, KEY=value as shells read it, KEY value as login.defs has it."""

from __future__ import annotations

import re

from msgspec import Struct


class Value(Struct, frozen=True):
    section: str
    key: str
    value: str
    place: str
    """file:line"""


def read_values(path: str, text: str, separator: str = "=") -> list[Value]:
    """Return the values of a file in order. separator: = | space. Quotes around a whole value go."""
    found, section = [], ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if header := re.fullmatch(r"\[([^\]]*)\]", line):
            section = header[1].strip()
            continue
        key, sep, value = line.partition("=") if separator == "=" else _split(line)
        if sep:
            key = re.sub(r"^export\s+", "", key.strip())
            found.append(Value(section, key, _unquoted(value.strip()), f"{path}:{number}"))
    return found


def _split(line: str) -> tuple[str, str, str]:
    words = line.split(None, 1)
    return (words[0], " ", words[1]) if len(words) == 2 else (line, "", "")


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" else value
