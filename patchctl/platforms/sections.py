"""Sections of a probe's output: one probe, several steps, each headed by a line `@@ NAME` and ended by `rc N`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from patchctl.model.text import one_line, strip_control

_ERROR = re.compile(r"(?:error|ERROR|E): ?(\S.*)")


class Sections(Struct, frozen=True):
    """The output of one probe by section."""

    by_name: Mapping[str, tuple[str, ...]]

    def lines(self, name: str) -> tuple[str, ...]:
        return self.by_name.get(name, ())

    def rc(self, name: str) -> int | None:
        """Return the exit code that ends the section, or None when the section is not there or has none."""
        last = self.lines(name)[-1:] or ("",)
        match = re.fullmatch(r"rc (\d+)", last[0])
        return int(match[1]) if match else None

    def error(self, name: str) -> str:
        """Return the package manager's first error in the section, or ""."""
        found = (_ERROR.match(line) for line in self.lines(name))
        return next((one_line(match[1]) for match in found if match), "")


def split_sections(output: str) -> Sections:
    """Split output at its `@@ NAME` lines. Control characters are gone afterwards."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in strip_control(output).splitlines():
        if line.startswith("@@ "):
            current = found.setdefault(line[3:], [])
        else:
            current.append(line)
    return Sections({name: tuple(lines) for name, lines in found.items()})
