"""Reads system crontabs (crontab(5)): those with a user in the sixth field."""

from __future__ import annotations

import re

from msgspec import Struct


class Job(Struct, frozen=True):
    when: str
    user: str
    command: str
    place: str


def read_jobs(path: str, text: str) -> list[Job]:
    """Return the jobs of a file in order; settings of variables are none."""
    found = []
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#") or re.match(r"[A-Za-z_][A-Za-z0-9_]*\s*=", line):
            continue
        fields = line.split(None, 2 if line.startswith("@") else 6)
        count = 1 if line.startswith("@") else 5
        if len(fields) > count + 1:
            found.append(Job(" ".join(fields[:count]), fields[count], " ".join(fields[count + 1:]),
                             f"{path}:{number}"))
    return found
