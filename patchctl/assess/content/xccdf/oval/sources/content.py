"""Contents of text files: literal paths, files of a folder, and files below a prefix. One awk for all of them.

Asks: (content, file, PATH), (content, dir, FOLDER, ENDING), (content, list, PREFIX, ENDING).
Password hashes are reduced on the host: their letters and digits become x, so that lengths, methods and markers stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from patchctl.assess.content.xccdf.oval.batch import calls, glob_text, probe, quoted, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.assess.content.xccdf.oval.sources.metadata import GONE
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

MAX_FILE_KIB = 4096
"""Larger files are not read: what looks for text in them is UNKNOWN."""

HIDE = r"""
function hidden(s, o, m, k, t) { o = ""
  while (match(s, /\$(1|2|2a|2b|2x|2y|5|6|7|y|gy|md5|sha1)[$,][A-Za-z0-9.\/$=,]+/)) {
    m = substr(s, RSTART, RLENGTH); k = index(substr(m, 2), "$") + 1; t = substr(m, k + 1)
    if (RLENGTH >= 24 || whole) gsub(/[A-Za-z0-9]/, "x", t)
    o = o substr(s, 1, RSTART - 1) substr(m, 1, k) t; s = substr(s, RSTART + RLENGTH) }
  return o s }
function reduced(s, a, b, c) {
  if (whole) { a = index(s, ":"); if (a) { b = substr(s, a + 1); c = index(b, ":"); if (!c) c = length(b) + 1
    t = substr(b, 1, c - 1); t = (t ~ /^[!*]*\$/) ? hidden(t) : hide_des(t); s = substr(s, 1, a) t substr(b, c) } }
  else if (index(s, "$")) s = hidden(s)
  if (match(s, /grub\.pbkdf2\.sha512\.[0-9]+\./)) { a = RSTART + RLENGTH; t = substr(s, a)
    gsub(/[0-9A-Fa-f]/, "0", t); s = substr(s, 1, a - 1) t }
  return s }
function hide_des(t) { if (t !~ /^(x|[!*]+|)$/) gsub(/[A-Za-z0-9.\/]/, "x", t); return t }
"""
_AWK = HIDE + r"""
FNR == 1 { if (f != "") print "$" n; f = FILENAME; n = 0; whole = (f ~ /\/g?shadow[^\/]*$/); print "+" f }
{ n += length($0) + 1; print " " reduced($0) }
END { if (f != "") print "$" n }
"""
_FUNCTIONS = GONE + r"""
pc_text() { n=$#; for p; do
    case $p in *"$pc_nl"*) d=${p%%"$pc_nl"*}; printf '~%s\n#\n' "${d%/*}"; continue ;; esac
    if [ ! -e "$p" ]; then pc_gone "$p"; elif [ ! -f "$p" ]; then printf '%s\n' "-$p"
    elif [ -r "$p" ]; then set -- "$@" "$p"; else printf '!%s\n' "$p"; fi; done
  shift $n; [ $# = 0 ] || find -L "$@" -maxdepth 0 -printf '@%s\t%p\n' -size -{kib}k -exec awk "$T" {{}} +; }
""".replace("{kib}", str(MAX_FILE_KIB + 1)).replace("{{}}", "{}")
_FOLDER = r"""
pc_in() { if [ -d "$1" ] && ! { [ -r "$1" ] && [ -x "$1" ]; }; then printf '~%s\n' "$1"; fi; }
pc_under() { n=$#; for p; do if [ -e "$p" ]; then set -- "$@" "$p"; fi; done; shift $n; [ $# = 0 ] && return
  { e=$( { find -H "$@" ! -type d \( $X \) -exec sh -c 'eval "$G"' sh {} + >&3; } 2>&1 |
    grep -c -v 'No such file' ); } 3>&1
  [ "$e" = 0 ] || printf '#%s\n' "$e"; }
"""


class _Content:
    name = "content"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all files."""
        files = sorted({a[2] for a in asks if a[1] == "file" and usable(a[2])})
        folders = sorted({(a[2], a[3]) for a in asks if a[1] == "dir" and usable(a[2])})
        prefixes = sorted({(a[2], a[3]) for a in asks if a[1] == "list" and usable(a[2])})
        words = quoted(files)
        for folder, ending in folders:
            base, end = quote_sh(folder.rstrip("/") + "/"), quote_sh(ending) if ending else ""
            words += [f"{base}*{end}", f"{base}.[!.]*{end}", f"{base}..?*{end}"]
        told = "".join(f"printf '?d%s\\t%s\\n' {quote_sh(f)} {quote_sh(e)}\n" for f, e in folders)
        told += "".join(f"printf '?l%s\\t%s\\n' {quote_sh(p)} {quote_sh(e)}\n" for p, e in prefixes)
        text = f"T={quote_sh(_AWK)}\nG={quote_sh(_FUNCTIONS)}'pc_text \"$@\"'\nexport T G\neval \"${{G%pc_text*}}\"\n"
        text += _FOLDER + told + calls("pc_in", quoted(sorted({f for f, _ in folders}))) + calls("pc_text", words)
        if prefixes:
            # Splitting $X into words must not make file names of its patterns: set -f, after the globs are done.
            tests = " -o ".join(f"-path {glob_text(p)}*{glob_text(e)}" for p, e in prefixes)
            globs = " ".join(f"{quote_sh(p)}*" for p, _ in prefixes)
            text += f"X={quote_sh(tests)}\nset -- {globs}\nset -f\npc_under \"$@\"\nset +f\n"
        return (probe(self.name, asks, text + "echo .", timeout=300.0, cap=32 * 1024 * 1024),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Put the lines of each file together again; a file that did not come whole stays unanswered."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        told = _Told()
        for line in lines:
            told.line(line[:1], line[1:])
        for path, size in told.sizes.items():
            if path not in told.pool:
                big = size > MAX_FILE_KIB * 1024
                why = "larger than 4 MiB" if big else "could not be read"
                told.pool[path] = "" if size == 0 else Unreadable(why)
        for path, text in told.pool.items():
            answers[("content", "file", path)] = text
        for ask in told.asked:
            answers[ask] = _several(ask, told)


class _Told(Struct):
    """What the lines of a probe's output told so far."""

    pool: dict[str, Any] = field(default_factory=dict)
    """Path -> text, None (no such file), or Unreadable."""
    sizes: dict[str, int] = field(default_factory=dict)
    asked: list[Ask] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    incomplete: bool = False
    _name: str | None = None
    _body: list[str] = field(default_factory=list)

    def line(self, mark: str, rest: str) -> None:
        """Take in one line."""
        if mark == " ":
            self._body.append(rest)
        elif mark == "+":
            self._name, self._body = rest, []
        elif mark == "$" and self._name is not None:
            self._keep(self._name, rest)
        elif mark == "@":
            size, _, path = rest.partition("\t")
            if size.isdigit():
                self.sizes[path] = int(size)
        elif mark in ("-", "!"):
            self.pool[rest] = None if mark == "-" else Unreadable("permission denied")
        elif mark == "~":
            self.denied.add(rest)
        elif mark == "#":
            self.incomplete = True
        elif mark == "?":
            path, _, ending = rest[1:].rpartition("\t")
            self.asked.append(("content", "dir" if rest[:1] == "d" else "list", path, ending))

    def _keep(self, name: str, told: str) -> None:
        text = "\n".join(self._body)
        # awk counts a newline behind the last line whether there is one or not; the file's size tells.
        bare = told.isdigit() and int(told) > self.sizes.get(name, 0)
        self.pool[name] = text if bare else text + "\n"
        self._name = None


def _several(ask: Ask, told: _Told) -> Any:
    _, kind, base, ending = ask
    found = {p: t for p, t in told.pool.items() if t is not None and p.endswith(ending)}
    if kind == "dir":
        if base in told.denied:
            return Unreadable("permission denied, or a file name with a line break")
        folder = base.rstrip("/") + "/"
        return {p: t for p, t in found.items() if p.startswith(folder) and "/" not in p[len(folder) :]}
    if told.incomplete:
        return Unreadable("some folders could not be searched")
    return {p: t for p, t in found.items() if p.startswith(base)}


SOURCE = _Content()
