"""Reads sshd's effective settings (`sshd -T`) and what Match blocks of sshd_config change (sshd_config(5))."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

MAX_FILES = 200
LISTS = frozenset({"ciphers", "macs", "kexalgorithms", "hostkeyalgorithms", "pubkeyacceptedalgorithms",
                   "casignaturealgorithms", "hostbasedacceptedalgorithms"})
MULTIPLE = frozenset({"port", "listenaddress", "hostkey", "acceptenv", "setenv", "allowusers", "denyusers",
                      "allowgroups", "denygroups"})


class Overridden(Struct, frozen=True):
    """An option set inside a Match block."""

    option: str
    value: str
    match: str
    place: str


def read_effective(text: str) -> dict[str, list[str]]:
    """Given `sshd -T` output, return option (lower case) -> its values in order."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        option, _, value = line.strip().partition(" ")
        if re.fullmatch(r"[A-Za-z0-9]+", option):
            found.setdefault(option.lower(), []).append(value.strip())
    return found


def split_line(line: str) -> tuple[str, str]:
    """Return (keyword in lower case, value) of a line of sshd_config; ("", "") for comments and empty lines.

    Keyword and value are separated by white space or one `=`; double quotes around the value go.
    """
    found = re.fullmatch(r"\s*([A-Za-z][A-Za-z0-9]*)(?:\s*=\s*|\s+)(.*?)\s*", line)
    if found is None:
        return "", ""
    value = re.sub(r"\s+#.*$", "", found[2]) if '"' not in found[2] else found[2]
    return found[1].lower(), value.strip().strip('"') if value.count('"') == 2 else value.strip()


def includes(path: str, text: str) -> list[str]:
    """Return the paths and globs that a file includes; relative ones are below /etc/ssh."""
    found = []
    for line in text.splitlines():
        keyword, value = split_line(line)
        if keyword == "include":
            found += [posixpath.join("/etc/ssh", word.strip('"')) for word in value.split()]
    return found


def in_match(files: Mapping[str, str], expand: Mapping[str, Sequence[str]], start: str) -> list[Overridden]:
    """Given file contents and what globs stand for, return all options in Match blocks.

    A Match block ends at the next Match or at the end of its file; included files inside one belong to it.
    """
    found: list[Overridden] = []
    opened = 0

    def visit(path: str, match: str, depth: int) -> None:
        nonlocal opened
        opened += 1
        if depth > 16 or opened > MAX_FILES or path not in files:
            return
        for number, line in enumerate(files[path].splitlines(), 1):
            keyword, value = split_line(line)
            if keyword == "match":
                match = "" if value.lower() == "all" else value
            elif keyword == "include":
                for pattern in includes(path, line):
                    for name in expand.get(pattern, [pattern]):
                        visit(name, match, depth + 1)
            elif keyword and match:
                found.append(Overridden(keyword, value, match, f"{path}:{number}"))

    visit(start, "", 0)
    return found
