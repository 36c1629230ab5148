"""Checksums of files, made on the host. Ask: (hashes, TYPE, PATH)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import calls, probe, quoted, usable
from patchctl.assess.content.xccdf.oval.facts import Ask, Unreadable
from patchctl.assess.content.xccdf.oval.sources.metadata import GONE
from patchctl.model.evidence import Probe

PROGRAMS = {"MD5": "md5sum", "SHA-1": "sha1sum", "SHA-224": "sha224sum", "SHA-256": "sha256sum",
            "SHA-384": "sha384sum", "SHA-512": "sha512sum"}
_FUNCTION = GONE + r"""
pc_sum() { k=$1 s=$2; shift 2; for p; do
    if [ ! -e "$p" ] || [ ! -f "$p" ]; then printf 'H%s\t' "$k"; pc_gone "$p"
    elif [ -r "$p" ]; then printf 'H%s\t=%s\t%s\n' "$k" "$("$s" <"$p")" "$p"; else printf 'H%s\t!%s\n' "$k" "$p"; fi
  done; }
"""


class _Hashes:
    name = "hashes"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all files."""
        text = _FUNCTION
        for kind, program in PROGRAMS.items():
            paths = sorted({a[2] for a in asks if a[1] == kind and usable(a[2])})
            text += calls(f"pc_sum {kind} {program}", quoted(paths))
        return (probe(self.name, asks, text + "echo .\n", timeout=300.0),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Read the checksum in hexadecimal digits; None = no such file."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        for line in lines:
            kind, _, rest = line[1:].partition("\t")
            if not line.startswith("H") or kind not in PROGRAMS:
                continue
            if rest.startswith("="):
                digest, _, path = rest[1:].partition("\t")
                answers[("hashes", kind, path)] = digest.split(" ")[0]
            else:
                answers[("hashes", kind, rest[1:])] = Unreadable("permission denied") if rest[:1] == "!" else None


SOURCE = _Hashes()
