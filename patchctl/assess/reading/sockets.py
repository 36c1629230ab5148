"""Reads `ss -H -l -n -p` (ss(8)): address, port and process of each listening socket."""

from __future__ import annotations

import re

from msgspec import Struct


class Socket(Struct, frozen=True):
    address: str
    port: int
    process: str

    @property
    def loopback(self) -> bool:
        return self.address.startswith(("127.", "[::1]", "::1")) or "%lo" in self.address


def read_sockets(text: str) -> list[Socket]:
    """Return the sockets of ss's lines: STATE RECV SEND LOCAL:PORT PEER:PORT PROCESS. ValueError: a line is none."""
    found = []
    for line in text.splitlines():
        words = line.split(None, 5)
        if not words:
            continue
        address, _, port = words[3].rpartition(":") if len(words) >= 5 else ("", "", "")
        if not port.isdigit():
            raise ValueError(f"ss said {line.strip()!r}")
        process = re.search(r'\(\("([^"]*)"', words[5]) if len(words) > 5 else None
        found.append(Socket(address, int(port), process[1] if process else ""))
    return found
