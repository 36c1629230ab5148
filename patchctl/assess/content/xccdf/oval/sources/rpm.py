"""Installed rpm packages: one `rpm -qa`. Ask: (rpm, all).

The answer is a tuple of packages, empty where there is no rpm at all; an unreadable database answers nothing, so that
it is never taken for a host without packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from patchctl.assess.content.xccdf.oval.batch import probe
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.model.evidence import Probe

_COMMAND = r"""
pc_db=
for d in /var/lib/rpm /usr/lib/sysimage/rpm /usr/share/rpm; do
  for f in Packages Packages.db rpmdb.sqlite; do [ -e "$d/$f" ] && pc_db=$d; done
done
command -v rpm >/dev/null 2>&1 || { [ -z "$pc_db" ] && echo none || echo norpm; echo .; exit; }
{ e=$( { rpm -qa --qf '=%{NAME}\t%{ARCH}\t%{EPOCH}\t%{VERSION}\t%{RELEASE}\t%{RSAHEADER:pgpsig}\n' >&3; } 2>&1 ); } 3>&1
[ -z "$e" ] || echo error
echo .
"""


class RpmPackage(Struct, frozen=True):
    name: str
    arch: str
    epoch: str
    version: str
    release: str
    signature: str

    @property
    def evr(self) -> str:
        """epoch:version-release, with epoch 0 where there is none."""
        return f"{'0' if self.epoch == '(none)' else self.epoch}:{self.version}-{self.release}"


class _Rpm:
    name = "rpm"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe."""
        return (probe(self.name, asks, _COMMAND),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Read the list, or why there is none."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        found: list[RpmPackage] = []
        for line in lines:
            parts = line[1:].split("\t")
            if line.startswith("=") and len(parts) == 6:
                found.append(RpmPackage(*parts))
        if "error" in lines or "norpm" in lines:
            why = "the rpm database could not be read" if "error" in lines else "there is a database but no rpm"
            answers[("rpm", "all")] = Unreadable(why)
        else:
            answers[("rpm", "all")] = tuple(found)


SOURCE = _Rpm()
