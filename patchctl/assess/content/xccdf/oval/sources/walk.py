"""Walks: everything below folders that a filter lets through. One find for all walks over local file systems.

Asks: (walk, START, d|f, DEPTH, local|all, NAME PATTERN, TESTS): folders or all else below START, no deeper than DEPTH
("-1" = no end), whose name fits the find -name pattern and which pass the find tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import glob_text, probe, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.assess.content.xccdf.oval.sources.metadata import GONE, Stat, read_stat
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

REMOTE = ("afs", "auristorfs", "ceph", "cifs", "smb3", "smbfs", "sshfs", "fuse.sshfs", "ncpfs", "ncp", "nfs", "nfs4",
          "gfs", "gfs2", "glusterfs", "fuse.glusterfs", "gpfs", "pvfs2", "ocfs2", "lustre", "davfs", "panfs", "autofs")
PSEUDO = ("proc", "sysfs")
"""Not local as `df -l` and oscap see it."""

_FUNCTIONS = GONE + r"""
F='\t%H\t%d\t%y%Y\t%m\t%U\t%G\t%s\t%T@\t%C@\t%p\n'
"""


class _Walk:
    name = "walk"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe; it runs at most two finds, for local and for all file systems."""
        text = [_FUNCTIONS]
        for where in ("local", "all"):
            chosen = [a for a in sorted(asks) if a[4] == where and usable(a[1])]
            if chosen:
                text.append(self._find(chosen, where))
        return (probe(self.name, asks, "".join(text) + "echo .", timeout=600.0, cap=32 * 1024 * 1024),)

    def _find(self, asks: Sequence[Ask], where: str) -> str:
        starts = sorted({a[1] for a in asks})
        words = " ".join(quote_sh(s) for s in starts)
        told = "".join(f"printf '%s\\n' {quote_sh('?' + chr(9).join((str(n), *a)))}\n" for n, a in enumerate(asks))
        stop = " -o ".join(f"-fstype {t}" for t in REMOTE + PSEUDO)
        pruned = [f"\\( {stop} \\) -prune"] if where == "local" else []
        for start in starts:
            depths = [int(a[3]) for a in asks if a[1] == start]
            if min(depths) >= 0:
                base = glob_text(start.rstrip("/"))
                pruned.append(f"-type d -path {quote_sh(base + '/*' * (max(depths) + 1))} -prune")
        tests = " , ".join(f"\\( {_test(n, a)} \\)" for n, a in enumerate(asks))
        expression = " -o ".join([f'-name "*$pc_nl*" -printf "#{where}\\n" -prune', *pruned, f"\\( {tests} \\)"])
        return (
            f"{told}set --\nfor p in {words}; do if [ -d \"$p\" ]; then set -- \"$@\" \"$p\"; else pc_gone \"$p\"; fi; "
            f"done\nif [ $# != 0 ]; then {{ e=$( {{ find -H \"$@\" {expression} >&3; }} 2>&1 |"
            f" grep -c -v 'No such file' ); }} 3>&1\n[ \"$e\" = 0 ] || printf '#{where}\\n'; fi\n"
        )

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Give each question the entries that were found for it."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        asked: dict[str, Ask] = {}
        found: dict[Ask, dict[str, Stat]] = {}
        denied: set[str] = set()
        broken: set[str] = set()
        for line in lines:
            mark, rest = line[:1], line[1:]
            if mark == "?":
                number, *ask = rest.split("\t")
                asked[number] = tuple(ask)
                found[tuple(ask)] = {}
            elif mark == "!":
                denied.add(rest)
            elif mark == "#":
                broken.add(rest)
            elif mark == "=":
                number, _, stat = rest.partition("\t")
                one = read_stat(stat)
                ask_for = asked.get(number)
                if one is not None and ask_for is not None and one.start == ask_for[1]:
                    depth = int(ask_for[3])
                    if depth < 0 or one.depth <= depth + (0 if ask_for[2] == "d" else 1):
                        found[ask_for][one.path] = one
        for ask_for, entries in found.items():
            if ask_for[1] in denied:
                answers[ask_for] = Unreadable("permission denied")
            else:
                answers[ask_for] = (tuple(entries.values()), ask_for[4] not in broken)


def _test(number: int, ask: Ask) -> str:
    _, start, kind, _, _, names, tests = ask
    base = start.rstrip("/")
    where = "" if not base else f"\\( -path {quote_sh(glob_text(base))} -o -path {quote_sh(glob_text(base) + '/*')} \\)"
    parts = [where, "-type d" if kind == "d" else "! -type d",
             f"-name {quote_sh(names)}" if names not in ("", "*") else "", tests, f"-printf \"={number}$F\""]
    return " ".join(p for p in parts if p)


SOURCE = _Walk()
