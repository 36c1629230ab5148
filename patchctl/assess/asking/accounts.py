"""The batch about accounts: passwd and group as they are; of shadow only what checks need, never a hash."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.checks.contract import Answers, Batch, Unreadable

# A password is told as empty, locked, none or by its method: y (yescrypt), 6 (SHA-512), 5, 1, des ...
_SCRIPT = r"""
for pc_f in passwd group; do
  printf '@@ %s\n' "$pc_f"
  if [ -r "/etc/$pc_f" ]; then cut -d: -f1,3- "/etc/$pc_f" | sed 's/^/=/'; else echo '@! not readable'; fi
done
echo '@@ shadow'
if [ -r /etc/shadow ]; then
  awk -F: '{ p = $2; how = p == "" ? "empty" : p ~ /^!+\$/ ? "locked" : p ~ /^[!*]/ ? "none" : "des"
    if (how == "des" && p ~ /^\$/) { split(p, w, "$"); how = w[2] }
    print "=" $1 ":" how ":" $3 ":" $4 ":" $5 ":" $6 ":" $7 ":" $8 }' /etc/shadow
else echo '@! /etc/shadow is not readable'; fi
"""


def _script(questions: Sequence[str]) -> str:
    return f"{PRELUDE}{_SCRIPT}{END}"


ACCOUNTS = Batch("accounts", _script, root=True, timeout=30)


@dataclass(frozen=True, slots=True)
class User:
    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def may_log_in(self) -> bool:
        return not re.search(r"/(nologin|false|sync|halt|shutdown)$", self.shell)


@dataclass(frozen=True, slots=True)
class Shadow:
    """Ageing in days; None = not set. password: empty | locked | none | method."""

    name: str
    password: str
    changed: int | None
    min_days: int | None
    max_days: int | None
    warn_days: int | None
    inactive_days: int | None
    expires: int | None


def users(host: Answers) -> list[User]:
    """Return the local users. Raise Unreadable."""
    found = []
    for line in host.get(ACCOUNTS, "passwd").lines:
        f = line.split(":")
        if len(f) >= 6 and f[1].isdigit() and f[2].isdigit():
            found.append(User(f[0], int(f[1]), int(f[2]), f[4], f[5]))
    if not found:
        raise Unreadable("accounts: passwd has no user")
    return found


def groups(host: Answers) -> list[tuple[str, int, tuple[str, ...]]]:
    """Return (name, gid, members) of each line of group. Raise Unreadable."""
    found = []
    for line in host.get(ACCOUNTS, "group").lines:
        f = line.split(":")
        if len(f) >= 3 and f[1].isdigit():
            found.append((f[0], int(f[1]), tuple(m for m in f[2].split(",") if m)))
    return found


def shadows(host: Answers) -> dict[str, Shadow]:
    """Return user -> what shadow says of it. Raise Unreadable."""
    found = {}
    for line in host.get(ACCOUNTS, "shadow").lines:
        f = line.split(":")
        if len(f) == 8:
            days = [int(d) if re.fullmatch(r"-?\d{1,9}", d) else None for d in f[2:]]
            found[f[0]] = Shadow(f[0], f[1], *days)
    return found
