"""Kind, mode, owner, size and times of files: literal paths, the entries of folders, and all below a prefix.

Asks: (metadata, stat, PATH), (metadata, dir, FOLDER), (metadata, list, PREFIX), (metadata, real, LINK).
One `find` for each of the first three, none at all for paths that are not there; one `readlink` for each link.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from patchctl.assess.content.xccdf.oval.batch import calls, probe, quoted, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

# Prints -PATH for what is not there, !PATH for what cannot be told because a folder above may not be searched.
GONE = r"""
pc_gone() { d=$1; while d=${d%/*}; [ -n "$d" ] && ! [ -e "$d" ]; do :; done
  if [ -n "$d" ] && [ -d "$d" ] && ! [ -x "$d" ]; then printf '!%s\n' "$1"; else printf '%s\n' "-$1"; fi; }
pc_nl='
'
"""
_FUNCTIONS = GONE + r"""
F='=%H\t%d\t%y%Y\t%m\t%U\t%G\t%s\t%T@\t%C@\t%p\n'
pc_stat() { n=$#; for p; do if [ -e "$p" ] || [ -L "$p" ]; then set -- "$@" "$p"; else pc_gone "$p"; fi; done
  shift $n; [ $# = 0 ] || find "$@" -maxdepth 0 -printf "$F"; }
pc_dir() { n=$#; for p; do
    if [ ! -d "$p" ]; then pc_gone "$p"; elif [ -r "$p" ] && [ -x "$p" ]; then printf '/%s\n' "$p"; set -- "$@" "$p"
    else printf '!%s\n' "$p"; fi; done
  shift $n; [ $# = 0 ] || find -H "$@" -mindepth 1 -maxdepth 1 \( -name "*$pc_nl*" -printf '~%H\n' -o -printf "$F" \); }
pc_list() { n=$#; for p; do
    case $p in *"$pc_nl"*) echo '#'; continue ;; esac
    if [ -e "$p" ] || [ -L "$p" ]; then set -- "$@" "$p"; fi; done
  shift $n; [ $# = 0 ] && return
  find "$@" -maxdepth 0 -printf "$F"
  n=$#; for p; do if [ -d "$p" ]; then set -- "$@" "$p"; fi; done
  shift $n; [ $# = 0 ] && return
  { e=$( { find -H "$@" -mindepth 1 -name "*$pc_nl*" -printf '#\n' -prune -o -printf "$F" >&3; } 2>&1 |
    grep -c -v 'No such file' ); } 3>&1
  [ "$e" = 0 ] || printf '#%s\n' "$e"; }
pc_real() { for p; do if [ -L "$p" ]; then
    if [ -e "$p" ]; then printf '>%s\n<%s\n' "$p" "$(readlink -f -- "$p")"; else printf '>%s\n*\n' "$p"; fi
  elif [ -e "$p" ]; then printf '>%s\n=\n' "$p"; else printf '>%s\n' "$p"; pc_gone "$p"; fi; done; }
"""
ODD = "a file name with a line break in it is never good news"
_KINDS = {"f": "regular", "d": "directory", "l": "symbolic link", "p": "fifo", "s": "socket", "b": "block special",
          "c": "character special"}


class Stat(Struct, frozen=True):
    """lstat(2) of one path, and what it is when links are followed."""

    path: str
    kind: str
    """OVAL's words: regular, directory, symbolic link ..."""
    target: str
    """The same with links followed; "" for a link that leads nowhere."""
    mode: int
    uid: int
    gid: int
    size: int
    m_time: int
    c_time: int
    start: str = ""
    """Where the search started."""
    depth: int = 0


def read_stat(line: str) -> Stat | None:
    """Read a line of find's -printf, or return None when it is damaged."""
    parts = line.split("\t", 9)
    if len(parts) != 10 or len(parts[2]) < 2:
        return None
    start, depth, kinds, mode, uid, gid, size, m_time, c_time, path = parts
    try:
        return Stat(
            path, _KINDS.get(kinds[0], ""), _KINDS.get(kinds[1], ""), int(mode, 8), int(uid), int(gid), int(size),
            int(m_time.partition(".")[0]), int(c_time.partition(".")[0]), start, int(depth),
        )
    except ValueError:
        return None


class _Metadata:
    name = "metadata"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all paths."""
        by: dict[str, list[str]] = {"stat": [], "dir": [], "list": [], "real": []}
        for _, kind, path in asks:
            if usable(path):
                by[kind].append(path)
        for paths in by.values():
            paths.sort()
        globs = [f"{quote_sh(p)}*" for p in by["list"]]
        told = "".join(f"printf '?%s\\n' {quote_sh(p)}\n" for p in by["list"])
        text = "".join((
            _FUNCTIONS, calls("pc_stat", quoted(by["stat"])), calls("pc_dir", quoted(by["dir"])), told,
            calls("pc_list", globs), calls("pc_real", quoted(by["real"])), "echo .",
        ))
        return (probe(self.name, asks, text, timeout=300.0),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Sort what was printed into answers."""
        lines = output.split("\n")
        if "." not in lines[-2:]:  # the script did not come to its end
            return
        found: list[Stat] = []
        folders: list[str] = []
        prefixes: list[str] = []
        odd: set[str] = set()
        incomplete = False
        link = ""
        for line in lines:
            mark, rest = line[:1], line[1:]
            if mark == "=" and (one := read_stat(rest)) is not None:
                found.append(one)
            elif mark == ">":
                link = rest
            elif link and mark in ("<", "*", "=", "-", "!"):
                answers[("metadata", "real", link)] = {
                    "<": rest, "*": Unreadable("the link leads nowhere"), "!": Unreadable("permission denied"),
                }.get(mark)
                link = ""
            elif mark in ("-", "!"):
                gone = None if mark == "-" else Unreadable("permission denied")
                answers[("metadata", "stat", rest)] = gone
                answers[("metadata", "dir", rest)] = gone
            elif mark == "~":
                odd.add(rest)
            elif mark == "/":
                folders.append(rest)
            elif mark == "?":
                prefixes.append(rest)
            elif mark == "#":
                incomplete = True
        _sort(found, folders, prefixes, incomplete, answers)
        for folder in odd:
            answers[("metadata", "dir", folder)] = Unreadable(ODD)


def _sort(
    found: list[Stat], folders: list[str], prefixes: list[str], incomplete: bool, answers: dict[Ask, Any]
) -> None:
    inside: dict[str, list[Stat]] = {f: [] for f in folders}
    for one in found:
        if one.depth == 0:
            answers[("metadata", "stat", one.path)] = one
        elif one.depth == 1 and one.start in inside:
            inside[one.start].append(one)
    for folder, entries in inside.items():
        answers[("metadata", "dir", folder)] = tuple(entries)
    for prefix in prefixes:
        matching = {s.path: s for s in found if s.path.startswith(prefix)}
        answers[("metadata", "list", prefix)] = (
            Unreadable("some folders could not be searched") if incomplete else tuple(matching.values())
        )


SOURCE = _Metadata()
