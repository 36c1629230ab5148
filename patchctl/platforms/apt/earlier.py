"""Where a Debian host's earlier versions can be had: listed by its repositories, or in its package cache.

Only what is known by its hash counts: SHA-256 from the signed lists, or of the very file that apt kept when it
installed that version. dpkg itself keeps no packages, and nothing is packed again from installed files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms.apt.pending import read_artefacts, split_sections
from patchctl.platforms.apt.probes import prologue

LISTED = "listed by the host's repositories"
CACHED = "in the host's package cache"

# madison names every version that a list has, and no other; download --print-uris then gives address and hash.
_TEXT = r"""
pc_listed=$(apt-cache -c "$pc_conf" madison @NAMES@ 2>/dev/null |
  awk -F '|' '{ gsub(/ /, "", $1); gsub(/ /, "", $2); print $1 "=" $2 }')
pc_word() { if printf '%s\n' "$pc_listed" | grep -qxF -e "$1=$3"; then printf '%s\n' "$1$2=$3"; fi; }
echo "@@ earlier"
{
@WORDS@
} | xargs -r -d '\n' apt-get -q -c "$pc_conf" -o Debug::NoLocking=1 -o Acquire::ForceHash=SHA256 \
  download --print-uris 2>&1
echo "@@ cached"
pc_cached() {
  for pc_file in /var/cache/apt/archives/"$1"_"$(printf %s "$2" | sed 's/:/%3a/g')"_*.deb; do
    [ -f "$pc_file" ] || continue
    pc_is=$(dpkg-deb -f "$pc_file" Package 2>/dev/null)=$(dpkg-deb -f "$pc_file" Version 2>/dev/null)
    [ "$pc_is" = "$1=$2" ] || continue
    pc_sum=$(sha256sum <"$pc_file" | cut -d ' ' -f 1)
    echo "'cache' ${pc_file##*/} $(stat -c %s "$pc_file") SHA256:$pc_sum"
  done
}
@FILES@
true
"""


def command(changes: Sequence[Change], refresh: str) -> str:
    """Return a text that prints, in sections `earlier` and `cached`, `'URI' FILE SIZE SHA256:...` lines."""
    wanted = [c for c in changes if c.from_version]
    names = " ".join(quote_sh(name) for name in sorted({c.package for c in wanted}))
    words = "\n".join(
        f"pc_word {quote_sh(c.package)} {quote_sh(_suffix(c))} {quote_sh(c.from_version)}" for c in wanted
    )
    files = "\n".join(f"pc_cached {quote_sh(c.package)} {quote_sh(c.from_version)}" for c in wanted)
    parts = {"@NAMES@": names, "@WORDS@": words, "@FILES@": files}
    text = re.sub("|".join(parts), lambda found: parts[found.group()], _TEXT)  # one pass: no part is searched again
    return prologue(refresh) + text if wanted else "true"


def read(changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
    """Read the command's output: one file for each earlier version that can be had, from a repository if possible."""
    sections = split_sections(output)
    listed = [replace(a, origin=LISTED) for a in read_artefacts(sections.lines("earlier"))]
    cached = [replace(a, uri="", origin=CACHED) for a in read_artefacts(sections.lines("cached"))]
    found: list[Artefact] = []
    for change in changes:
        same = [a for a in (*listed, *cached) if (a.package, a.version) == (change.package, change.from_version)]
        # A package that is for all architectures now may have been one's own before; never the other way round.
        match = next((a for a in same if change.arch in ("all", "") or a.arch in (change.arch, "all")), None)
        if match is not None and change.from_version:
            found.append(match)
    return tuple(found)


def _suffix(change: Change) -> str:
    return f":{change.arch}" if change.arch and change.arch != "all" else ""
