"""Reads sudoers files (sudoers(5)): Defaults, user rules, includes. Aliases stay names."""

from __future__ import annotations

import re

from msgspec import Struct


class Line(Struct, frozen=True):
    """kind: defaults | rule | include | includedir | alias."""

    kind: str
    text: str
    place: str


def read_lines(path: str, text: str) -> list[Line]:
    """Return the lines of one file that mean something, continuation lines joined."""
    found, joined, start = [], "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        start = start if joined else number
        joined += raw
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        line, joined = joined.strip(), ""
        include = re.fullmatch(r"[#@](include|includedir)\s+(.+)", line)
        if include:
            found.append(Line(include[1], include[2].strip().strip('"'), f"{path}:{start}"))
            continue
        line = re.sub(r"(?<!\\)#(?![0-9-]).*$", "", line).strip()
        if line.startswith("Defaults"):
            found.append(Line("defaults", line, f"{path}:{start}"))
        elif re.match(r"(User|Runas|Host|Cmnd|Cmd)_Alias\b", line):
            found.append(Line("alias", line, f"{path}:{start}"))
        elif line:
            found.append(Line("rule", line, f"{path}:{start}"))
    return found


def defaults(line: Line) -> dict[str, str]:
    """Return setting -> value of a global Defaults line ("" = on, "!" = off); {} for those of a user or host."""
    head, _, rest = line.text.partition(" ")
    if head != "Defaults":
        return {}
    found: dict[str, str] = {}
    for part in re.findall(r'(?:"[^"]*"|[^,"])+', rest):
        key, sep, value = re.sub(r"\s*([+-]?=)\s*", "=", part.strip(), count=1).partition("=")
        if key.startswith("!"):
            found[key.lstrip("!").strip()] = "!"
        elif key:
            found[key.strip()] = value.strip().strip('"') if sep else ""
    return found


def counts_in_folder(name: str) -> bool:
    """Say whether sudo reads a file of an included folder: no dot in its name, no ~ at its end."""
    return "." not in name and not name.endswith("~")
