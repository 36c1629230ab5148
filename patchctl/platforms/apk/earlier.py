"""Where an Alpine host's earlier versions can be had: in apk's own package cache, or listed by another repository.

Alpine's repositories list one version of a package; the earlier one is there only if another branch or a mirror of
one's own has it. The host fetches each file, for only the file has a SHA-256; apk verifies its signature.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms.apk.probes import FETCH, prologue
from patchctl.platforms.apk.read import read_files
from patchctl.platforms.sections import split_sections

LISTED = "listed by the host's repositories"
CACHED = "in the host's package cache"

# Of several repositories apk fetches from that with the newest version: so each that lists this one is asked alone.
_TEXT = r"""
pc_earlier() {
  for pc_file in /etc/apk/cache/"$1-$2".????????.apk; do
    [ -f "$pc_file" ] && apk verify "$pc_file" >/dev/null 2>&1 || continue
    pc_show "$1" "$2" "$pc_file" ""
    return
  done
  pc_apk policy "$1" | awk -v v="$2:" '/^  [^ ]/ { on = $1 == v; next } on && $NF ~ /:\/\// { print $NF }' |
  while read -r pc_repo; do
    echo "$pc_repo" >"$pc_work/one"
    pc_fetch "$1" "$2" --repositories-file "$pc_work/one"
  done
}
"""


def command(changes: Sequence[Change], refresh: str) -> str:
    """Return a text that prints, in section `files`, the lines of apk.resolve for versions the changes start from."""
    wanted = "".join(
        f"pc_earlier {quote_sh(c.package)} {quote_sh(c.from_version)}\n" for c in changes if c.from_version)
    return prologue(refresh) + FETCH + _TEXT + wanted + "true\n" if wanted else "true"


def read(changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
    """Read the command's output: one file for each earlier version that can be had."""
    found: dict[tuple[str, str], Artefact] = {}
    for one in read_files(split_sections(output), cached=True):
        found.setdefault((one.package, one.version), replace(one, origin=LISTED if one.uri else CACHED))
    wanted = [(c.package, c.from_version) for c in changes if c.from_version]
    return tuple(found[key] for key in wanted if key in found)
