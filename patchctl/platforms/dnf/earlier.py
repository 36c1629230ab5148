"""Where a host's earlier versions can be had: listed by its repositories, each with the SHA-256 of its file.

Kernels and others that are installed beside what was there have no way back by their files: the older one is still
there, to be booted.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh, strip_control
from patchctl.platforms.dnf import dnf5
from patchctl.platforms.dnf.pending import installed_beside
from patchctl.platforms.dnf.probes import python_prologue
from patchctl.platforms.dnf.tables import read_files

LISTED = "listed by the host's repositories"


def command(changes: Sequence[Change], refresh: str) -> str:
    """Return a text that prints `file|...` and `sum|...` lines of the versions that the changes start from."""
    wanted = [c for c in changes if c.from_version]
    if not wanted:
        return "true"
    words = " ".join(quote_sh(f"{c.package}-{c.from_version}.{c.arch}") for c in wanted)
    names = " ".join(quote_sh(name) for name in sorted({c.package for c in wanted}))
    return (
        f'{python_prologue()}case $pc_tool in\n'
        f"dnf5)\n{dnf5.earlier_text(names, words, refresh)};;\n"
        f'*) pc_dnf earlier {refresh} "$pc_work" {words}; cat "$pc_work/said" 2>/dev/null ;;\nesac\ntrue\n'
    )


def read(changes: Sequence[Change], output: str) -> tuple[Artefact, ...]:
    """Read the command's output: the file of each earlier version that can be had."""
    files = {(a.package, a.version, a.arch): a for a in read_files(strip_control(output).splitlines(), LISTED)}
    found = [
        files.get((c.package, c.from_version, arch))
        for c in changes if c.from_version and not installed_beside(c.package) for arch in (c.arch, "noarch")
    ]  # fmt: skip
    return tuple(dict.fromkeys(one for one in found if one is not None))
