"""SELinux: booleans and labels of files.

Asks: (selinux, boolean, NAME), (selinux, label, PATH), (selinux, below, FOLDER, DEPTH).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import calls, probe, quoted, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.assess.content.xccdf.oval.sources.metadata import GONE
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_FUNCTIONS = GONE + r"""
if [ -d /sys/fs/selinux/booleans ]; then echo on; else echo off; fi
pc_bool() { for b; do f=/sys/fs/selinux/booleans/$b
  if [ ! -e "$f" ]; then printf 'b%s\t\n' "$b"; elif read -r v <"$f"; then printf 'b%s\t%s\n' "$b" "$v"; fi; done; }
pc_label() { n=$#; for p; do if [ -e "$p" ] || [ -L "$p" ]; then set -- "$@" "$p"; else pc_gone "$p"; fi; done
  shift $n; [ $# = 0 ] || find "$@" -maxdepth 0 -printf '=%Z\t%y\t%p\n'; }
pc_below() { if [ -d "$2" ]; then
    { e=$( { find -H "$2" -mindepth 1 -maxdepth "$1" ! -name "*$pc_nl*" -printf '+%Z\t%y\t%p\n' >&3; } 2>&1 |
      grep -c -v 'No such file' ); } 3>&1
    [ "$e" = 0 ] || printf '#%s\n' "$2"
  else pc_gone "$2"; fi; }
"""


class _Selinux:
    name = "selinux"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all of them."""
        names = sorted({a[2] for a in asks if a[1] == "boolean" and _NAME.fullmatch(a[2])})
        labels = quoted(sorted({a[2] for a in asks if a[1] == "label" and usable(a[2])}))
        below = sorted({(a[2], a[3]) for a in asks if a[1] == "below" and usable(a[2]) and a[3].isdigit()})
        text = _FUNCTIONS + calls("pc_bool", names) + calls("pc_label", labels)
        for folder, depth in below:
            text += f"printf '?%s\\t%s\\n' {quote_sh(folder)} {depth}\npc_below {int(depth) + 1} {quote_sh(folder)}\n"
        return (probe(self.name, asks, text + "echo .\n", timeout=300.0),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Read booleans as (active, pending) or None, labels as (label, kind, path)."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        off = "off" in lines
        inside: Ask | None = None
        found: dict[Ask, list[tuple[str, str, str]]] = {}
        for line in lines:
            mark, rest = line[:1], line[1:]
            parts = rest.split("\t", 2)
            if mark == "b" and len(parts) == 2:
                values = parts[1].split()
                told: Any = (values[0], values[1]) if len(values) == 2 else None
                answers[("selinux", "boolean", parts[0])] = Unreadable("SELinux is off") if off else told
            elif mark == "=" and len(parts) == 3:
                answers[("selinux", "label", parts[2])] = (parts[0], parts[1], parts[2])
            elif mark == "?" and len(parts) == 2:
                inside = ("selinux", "below", parts[0], parts[1])
                found[inside] = []
            elif mark == "+" and len(parts) == 3 and inside is not None:
                found[inside].append((parts[0], parts[1], parts[2]))
            elif mark in ("-", "!"):
                gone = None if mark == "-" else Unreadable("permission denied")
                answers[("selinux", "label", rest)] = gone
        for ask, entries in found.items():
            denied = f"#{ask[2]}" in lines or f"!{ask[2]}" in lines
            answers[ask] = Unreadable("some folders could not be searched") if denied else tuple(entries)


SOURCE = _Selinux()
