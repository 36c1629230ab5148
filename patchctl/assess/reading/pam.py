"""Reads PAM stacks (pam.d(5)): lines in order, @include, include and substack followed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

LINE = re.compile(r"(-?)(auth|account|password|session)\s+(\[[^\]]*\]|\S+)\s+(\S+)\s*(.*)")


class Entry(Struct, frozen=True):
    type: str
    control: str
    module: str
    arguments: tuple[str, ...]
    place: str


def read_stack(service: str, files: Mapping[str, str], depth: int = 0) -> list[Entry]:
    """Given a service and the files of pam.d by name, return its entries in order. KeyError: a file is missing."""
    found: list[Entry] = []
    if depth > 16:
        return found
    for number, raw in enumerate(files[service].replace("\\\n", " ").split("\n"), 1):
        line = raw.split("#")[0].strip()
        if line.startswith("@include"):
            found += read_stack(line.split()[1].rpartition("/")[2], files, depth + 1) if len(line.split()) > 1 else []
        elif entry := LINE.fullmatch(line):
            if entry[3] in ("include", "substack"):
                inner = read_stack(entry[4].rpartition("/")[2], files, depth + 1)
                found += [e for e in inner if e.type == entry[2]]
            else:
                found.append(Entry(entry[2], entry[3], entry[4].rpartition("/")[2].removesuffix(".so"),
                                   tuple(entry[5].split()), f"/etc/pam.d/{service}:{number}"))
    return found
