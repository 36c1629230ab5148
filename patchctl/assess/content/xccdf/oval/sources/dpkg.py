"""Installed Debian packages: one look at dpkg's database. Ask: (dpkg, NAME)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from patchctl.assess.content.xccdf.oval.batch import probe
from patchctl.assess.content.xccdf.oval.facts import Ask
from patchctl.model.evidence import Probe

# dpkg-query would load the whole database to tell a few packages; awk reads the file once and tells what was asked.
_COMMAND = r"""
[ -r /var/lib/dpkg/status ] || { [ -e /var/lib/dpkg ] && exit 1; echo none; echo .; exit; }
pc_names={names} awk '
  BEGIN { n = split(ENVIRON["pc_names"], all, " "); for (i = 1; i <= n; i++) want[all[i]] = 1; FS = ": " }
  function told(  i, m, p, x) {
    if (state ~ / (not-installed|config-files)$/ || name == "") return
    if (name in want) print name "\t" arch "\t" version "\t" name
    m = split(provides, p, /, */)
    for (i = 1; i <= m; i++) { x = p[i]; sub(/[ (].*/, "", x)
      if (x in want) print x "\t" arch "\t" version "\t" name } }
  $0 == "" { told(); name = arch = version = state = provides = ""; next }
  /^Package: / { name = $2 } /^Status: / { state = $2 } /^Architecture: / { arch = $2 }
  /^Version: / { version = substr($0, 10) } /^Provides: / { provides = substr($0, 11) }
  END { told() }' /var/lib/dpkg/status && echo .
"""


class Package(Struct, frozen=True):
    name: str
    arch: str
    version: str
    by: str
    """The package that provides it, when the name is a virtual one; else the same."""


class _Dpkg:
    name = "dpkg"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all names; names no package can have are left out."""
        names = sorted({a[1] for a in asks if all(c.isalnum() or c in "+-._" for c in a[1])})
        told = "".join(f"?{n}\n" for n in names)
        head = f"cat <<'patchctl_end'\n{told}patchctl_end\n"
        return (probe(self.name, asks, head + _COMMAND.replace("{names}", f"'{' '.join(names)}'")),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Give each name its packages: an empty tuple when none is installed."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        found: dict[str, list[Package]] = {line[1:]: [] for line in lines if line.startswith("?")}
        for line in lines:
            parts = line.split("\t")
            if len(parts) == 4 and parts[0] in found:
                found[parts[0]].append(Package(*parts))
        for name, packages in found.items():
            answers[("dpkg", name)] = tuple(packages)


SOURCE = _Dpkg()
