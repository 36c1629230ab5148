"""Kernel settings: values below /proc/sys. Ask: (kernel, NAME). Read by the shell itself: no process at all."""

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
pc_keys() { for p; do
    if [ ! -e "$p" ]; then printf '%s\n' "-$p"; elif [ ! -r "$p" ]; then printf '!%s\n' "$p"
    else printf '+%s\n' "$p"; while IFS= read -r l || [ -n "$l" ]; do printf ' %s\n' "$l"; done <"$p"; fi; done; }
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
        current: list[str] = []
        for line in lines:
            mark, rest = line[:1], line[1:]
            name = rest.removeprefix("/proc/sys/").replace("/", ".")
            if mark == "+":
                current = []
                answers[("kernel", name)] = current
            elif mark == " ":
                current.append(rest)
            elif mark == "-":
                answers[("kernel", name)] = None
            elif mark == "!":
                answers[("kernel", name)] = Unreadable("permission denied")


SOURCE = _Kernel()
