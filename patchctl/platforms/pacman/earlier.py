"""Where an Arch host's earlier versions can be had: in pacman's own package cache; mirrors drop them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh, strip_control
from patchctl.platforms.pacman.read import is_signature

CACHED = "in the host's package cache"

_TEXT = r"""
pc_required=
for pc_repo in $(pacman-conf --repo-list); do
  pacman-conf --repo "$pc_repo" SigLevel | grep -qx PackageRequired && pc_required=1
done
pc_cached() {
  pacman-conf CacheDir | while read -r pc_dir; do
    for pc_file in "$pc_dir/$1-$2-"*.pkg.tar.*; do
      case $pc_file in *.sig|*.part) continue ;; esac
      [ -f "$pc_file" ] || continue
      pc_is=$(pacman -Qp --color never -- "$pc_file" 2>/dev/null)
      [ "$pc_is" = "$1 $2" ] || continue
      pc_sig=-; [ ! -f "$pc_file.sig" ] || pc_sig=$(base64 -w 0 <"$pc_file.sig")
      # pacman would refuse it: a file whose signature was not kept is no way back.
      [ "$pc_sig" = - ] && [ -n "$pc_required" ] && continue
      echo "cached $pc_is $(sha256sum <"$pc_file" | cut -d ' ' -f 1) $(stat -c %s "$pc_file") ${pc_file##*/} $pc_sig"
    done
  done
}
"""
_LINE = re.compile(r"cached (\S+) (\S+) ([0-9a-f]{64}) (\d{1,12}) (\S+) (\S+)")
_FILE = re.compile(r"[A-Za-z0-9@_+][A-Za-z0-9@._+~:-]{0,240}-([a-z0-9_]+)\.pkg\.tar\.[a-z0-9]+")


def command(changes: Sequence[Change]) -> str:
    """Return a text that prints `cached NAME VERSION SHA256 SIZE FILE SIGNATURE|-` for what the cache has."""
    wanted = [c for c in changes if c.from_version]
    return _TEXT + "".join(f"pc_cached {quote_sh(c.package)} {quote_sh(c.from_version)}\n" for c in wanted) + "true\n"


def read(changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
    """Read the command's output: one file for each earlier version that is there."""
    found: dict[tuple[str, str], Artefact] = {}
    for line in strip_control(output).splitlines():
        match = _LINE.fullmatch(line)
        name = _FILE.fullmatch(match[5]) if match else None
        if match and name and (match[6] == "-" or is_signature(match[6])):
            signature = "" if match[6] == "-" else match[6]
            found.setdefault((match[1], match[2]), Artefact(
                match[1], match[2], name[1], match[3], int(match[4]), match[5], "", CACHED, signature
            ))  # fmt: skip
    return tuple(found[c.package, c.from_version] for c in changes if (c.package, c.from_version) in found)
