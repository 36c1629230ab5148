"""Units of systemd and their properties, and what targets pull in.

Asks: (systemd, property, UNIT PATTERN, PROPERTY), (systemd, target, UNIT). Like oscap, units are those that have a
unit file; the others are not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import probe
from patchctl.assess.content.xccdf.oval.facts import Ask
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

# `systemctl show` is asked for the units that may match only: systemd has to load each of them.
_COMMAND = r"""
[ -d /run/systemd/system ] || { echo none; echo .; exit; }
pc_all=$(systemctl list-unit-files --no-legend --no-pager --plain 2>/dev/null) && [ -n "$pc_all" ] || exit 1
pc_units=$(printf '%s\n' "$pc_all" | awk '{ sub(/@/, "", $1); print $1 }' | sort -u | grep -E -e {pattern})
printf '%%%s\n' $pc_units
[ -z "$pc_units" ] || systemctl show --no-pager {properties} -- $pc_units || exit 1
"""
_TARGETS = r"""
echo T
systemctl show --no-pager -p Id -p Requires -p Wants -- '*.target' || exit 1
"""
_SAFE = re.compile(r"[\w\\.|()^$@:-]+")
_PROPERTY = re.compile(r"[A-Za-z0-9]+")


class _Systemd:
    name = "systemd"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe for all units, properties and targets."""
        patterns = sorted({a[2] for a in asks if a[1] == "property"} | {_exact(a[2]) for a in asks if a[1] == "target"})
        # A pattern that grep may read in another way asks for every unit; the controller matches again.
        wide = not all(_SAFE.fullmatch(p) and "(?" not in p for p in patterns)
        pattern = "" if wide else "|".join(f"({p})" for p in patterns)
        properties = sorted({a[3] for a in asks if a[1] == "property" and _PROPERTY.fullmatch(a[3])})
        flags = " ".join(f"-p {p}" for p in ["Id", *properties])
        told = "".join(f"printf '%s\\n' {quote_sh('?' + chr(9).join(a[1:]))}\n" for a in sorted(asks))
        text = told + _COMMAND.replace("{pattern}", quote_sh(pattern)).replace("{properties}", flags)
        if any(a[1] == "target" for a in asks):
            text += _TARGETS
        return (probe(self.name, asks, text + "echo .\n"),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Sort units and properties; None = no systemd runs here."""
        lines = output.split("\n")
        if "." not in lines[-2:]:
            return
        asks = [("systemd", *line[1:].split("\t")) for line in lines if line.startswith("?")]
        if "none" in lines:
            answers.update(dict.fromkeys(asks))
            return
        units = [line[1:] for line in lines if line.startswith("%")]
        body = "\n".join(line for line in lines if not line.startswith(("?", "%")))
        shown, _, targets = body.rpartition("\nT\n") if "\nT\n" in f"\n{body}" else (body, "", "")
        blocks = _blocks(shown)
        if len(blocks) != len(units):
            return
        properties = dict(zip(units, blocks, strict=True))
        graph = {b["Id"]: (*b.get("Requires", "").split(), *b.get("Wants", "").split())
                 for b in _blocks(targets) if "Id" in b}
        for ask in asks:
            if ask[1] == "property":
                answers[ask] = properties
            else:
                answers[ask] = (ask[2] in properties, graph)


def _exact(unit: str) -> str:
    return "^" + re.sub(r"([.|()$^\\+*?\[\]{}])", r"\\\1", unit) + "$"


def _blocks(text: str) -> list[dict[str, str]]:
    """Read what `systemctl show` prints: blocks of Name=value lines, divided by empty lines."""
    found: list[dict[str, str]] = []
    for block in re.split(r"\n\n+", text.strip("\n.")):
        pairs = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        if pairs:
            found.append(pairs)
    return found


SOURCE = _Systemd()
