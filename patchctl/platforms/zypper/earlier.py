"""Where a SUSE host's earlier versions can be had: its repositories often keep them, zypp's cache some."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms.sections import split_sections
from patchctl.platforms.zypper.pending import read_files
from patchctl.platforms.zypper.probes import LOOK_UP, edition, prologue

LISTED = "listed by the host's repositories"
CACHED = "in the host's package cache"

_CACHED = r"""
echo "@@ cached"
pc_cached() {
  find /var/cache/zypp/packages -type f -name "$1-${2#*:}.$3.rpm" 2>/dev/null | head -n 1 |
  while IFS= read -r pc_file; do
    pc_sum=$(sha256sum <"$pc_file" | cut -d ' ' -f 1)
    echo "$1|$2|$3|$pc_sum|$(stat -c %s "$pc_file")|${pc_file##*/}|"
  done
}
"""
_LINE = re.compile(
    r"([^|]+)\|([^|]+)\|([^|]+)\|([0-9a-f]{64})\|(\d{1,12})\|([A-Za-z0-9_][A-Za-z0-9@._+~^-]{0,240}\.rpm)\|")


def command(changes: Sequence[Change], refresh: str) -> str:
    """Return a text that prints, in sections `files` and `cached`, lines as zypper.pending's `files`."""
    wanted = [c for c in changes if c.from_version]
    rows = "\n".join(f"{c.package}|{edition(c.from_version)}|{c.arch}" for c in wanted)
    cached = "".join(
        f"pc_cached {quote_sh(c.package)} {quote_sh(edition(c.from_version))} {quote_sh(c.arch)}\n" for c in wanted)
    look = f'echo "@@ files"\npc_wanted={quote_sh(rows)}\n{LOOK_UP}'
    return prologue(refresh) + look + _CACHED + cached + "true\n" if wanted else "true"


def read(changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
    """Read the command's output: one file for each earlier version that can be had, from a repository if possible."""
    sections = split_sections(output)
    listed = [replace(a, origin=LISTED) for a in read_files(sections)]
    matches = (_LINE.fullmatch(line) for line in sections.lines("cached"))
    cached = [Artefact(m[1], m[2], m[3], m[4], int(m[5]), m[6], "", CACHED) for m in matches if m]
    found: list[Artefact] = []
    for change in changes:
        key = change.package, change.from_version, change.arch
        match = next((a for a in (*listed, *cached) if (a.package, a.version, a.arch) == key), None)
        if match is not None and change.from_version:
            found.append(match)
    return tuple(found)
