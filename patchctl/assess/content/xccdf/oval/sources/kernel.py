"""Kernel settings: values below /proc/sys. Ask: (kernel, NAME). One grep reads all of them.

The shell's own `read` must not: dash reads byte by byte, and the kernel gives a number only to a read that starts at
its beginning, so that 65536 would become 6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import calls, probe
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.model.evidence import Probe

_NAME = re.compile(r"[\w.-]+")
_FUNCTION = r"""
[ -d /proc/sys/kernel ] || exit 1
pc_keys() { n=$#; for p; do
    if [ ! -e "$p" ]; then printf '%s\n' "-$p"; elif [ ! -r "$p" ]; then printf '!%s\n' "$p"
    else printf '+%s\n' "$p"; set -- "$@" "$p"; fi; done
  shift $n; [ $# = 0 ] && return
  grep '' /dev/null "$@" 2>/dev/null; [ $? -lt 2 ] && return
  for p; do cat "$p" >/dev/null 2>&1 || printf '!%s\n' "$p"; done; }
"""


class _Kernel:
    name = "kernel"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all settings."""
        names = sorted({a[1] for a in asks if _NAME.fullmatch(a[1]) and ".." not in a[1]})
        paths = [f"/proc/sys/{n.replace('.', '/')}" for n in names]
        return (probe(self.name, asks, _FUNCTION + calls("pc_keys", paths) + "echo .\n"),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Give each setting its lines; None = the kernel has no such setting."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        found: dict[str, list[str]] = {}
        for line in lines:
            mark, rest = line[:1], line[1:]
            if mark == "+":
                found.setdefault(_key(rest), [])
            elif mark == "/":  # grep: file, colon, line
                path, _, value = line.partition(":")
                found.setdefault(_key(path), []).append(value)
            elif mark == "-":
                answers[("kernel", _key(rest))] = None
        answers.update({("kernel", name): values for name, values in found.items()})
        for line in lines:
            if line.startswith("!"):
                answers[("kernel", _key(line[1:]))] = Unreadable("permission denied")


def _key(path: str) -> str:
    return path.removeprefix("/proc/sys/").replace("/", ".")



SOURCE = _Kernel()
