r"""Reads what `reg query KEY [/s]` prints: key names at the line's start, values four spaces in, four spaces between.

`    DisplayVersion    REG_SZ    2.0.1`. Names and data may hold spaces; a type never does. Values of several lines
(REG_MULTI_SZ prints \0 between them) stay on one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct, field

_VALUE = re.compile(r" {4}(?P<name>.*?) {4}(?P<type>REG_[A-Z_]+)(?: {4}(?P<data>.*))?$")
_KEY = re.compile(r"HK(?:EY_)?[A-Z_]+(?:\\|$)")


class Key(Struct):
    """One registry key with its values, as printed."""

    path: str
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    """name -> (type, data)"""

    @property
    def leaf(self) -> str:
        return self.path.rpartition("\\")[2]

    def text(self, name: str) -> str:
        """Return a value's data, or ""."""
        return self.values.get(name, ("", ""))[1]

    def number(self, name: str) -> int | None:
        """Return a REG_DWORD or REG_QWORD, None if it is missing or none."""
        kind, data = self.values.get(name, ("", ""))
        try:
            return int(data, 16) if kind in ("REG_DWORD", "REG_QWORD") else None
        except ValueError:
            return None


def read_keys(text: str) -> Iterator[Key]:
    """Yield the keys of `reg query` output in their order. Lines of another form (errors, summaries) are left out."""
    key: Key | None = None
    for line in text.splitlines():
        line = line.rstrip("\r")
        if _KEY.match(line):
            if key is not None:
                yield key
            key = Key(line.strip())
        elif key is not None and (found := _VALUE.match(line)):
            key.values[found["name"]] = (found["type"], found["data"] or "")
    if key is not None:
        yield key
