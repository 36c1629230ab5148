"""The batch about accounts: passwd and group as they are; of shadow only what checks need, never a hash."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.checks.contract import Answers, Batch, Unreadable
from patchctl.model.text import one_line

# A password is told as empty, locked, none or by its method: y (yescrypt), 6 (SHA-512), 5, 1, des ...
_SCRIPT = r"""
for pc_f in passwd group; do
  printf '@@ %s\n' "$pc_f"
  if [ -r "/etc/$pc_f" ]; then
    awk -F: '{ line = $1; for (i = NF > 2 ? 3 : 2; i <= NF; i++) line = line ":" $i; print "=" line }' "/etc/$pc_f" ||
      pc_bad 'awk failed'
  else echo '@! not readable'; fi
done
echo '@@ shadow'
if [ -r /etc/shadow ]; then
  awk -F: 'NF < 8 { print "=" $1; next }
    { p = $2; how = p == "" ? "empty" : p ~ /^!+\$/ ? "locked" : p ~ /^[!*]/ ? "none" : "des"
    if (how == "des" && p ~ /^\$/) { split(p, w, "$"); how = w[2] }
    print "=" $1 ":" how ":" $3 ":" $4 ":" $5 ":" $6 ":" $7 ":" $8 }' /etc/shadow || pc_bad 'awk failed'
else echo '@! /etc/shadow is not readable'; fi
"""


def _script(questions: Sequence[str]) -> str:
    return f"{PRELUDE}{_SCRIPT}{END}"


ACCOUNTS = Batch("accounts", _script, root=True, timeout=30)


class User(Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str
    shell: str

    @property
    def may_log_in(self) -> bool:
        return not re.search(r"/(nologin|false|sync|halt|shutdown)$", self.shell)


class Shadow(Struct, frozen=True):
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
    for f in _rows(host, "passwd"):
        if len(f) < 6 or not f[1].isdigit() or not f[2].isdigit():
            raise Unreadable(f"accounts: a line of passwd is no user: {one_line(f[0], 40)!r}")
        found.append(User(f[0], int(f[1]), int(f[2]), f[4], f[5]))
    return found


def _rows(host: Answers, name: str) -> list[list[str]]:
    """Return the fields of the lines of a file; empty ones, comments and those of NIS (nsswitch.conf(5)) are none."""
    found = [line.split(":") for line in host.get(ACCOUNTS, name).lines
             if line.strip() and not line.startswith(("#", "+", "-"))]
    if not found:
        raise Unreadable(f"accounts: {name} has no lines")
    return found


def groups(host: Answers) -> list[tuple[str, int, tuple[str, ...]]]:
    """Return (name, gid, members) of each line of group. Raise Unreadable."""
    found = []
    for f in _rows(host, "group"):
        if len(f) < 3 or not f[1].isdigit():
            raise Unreadable(f"accounts: a line of group is no group: {one_line(f[0], 40)!r}")
        found.append((f[0], int(f[1]), tuple(m for m in f[2].split(",") if m)))
    return found


def shadows(host: Answers) -> dict[str, Shadow]:
    """Return user -> what shadow says of it. Raise Unreadable."""
    found = {}
    for f in _rows(host, "shadow"):
        if len(f) != 8:
            raise Unreadable(f"accounts: a line of shadow is no user's: {one_line(f[0], 40)!r}")
        days = [int(d) if re.fullmatch(r"-?\d{1,9}", d) else None for d in f[2:]]
        found[f[0]] = Shadow(f[0], f[1], *days)
    return found
