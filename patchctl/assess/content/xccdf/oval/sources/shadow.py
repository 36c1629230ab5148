"""/etc/shadow with its hashes reduced on the host. Ask: (shadow, all). Needs root."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import probe
from patchctl.assess.content.xccdf.oval.facts import Ask
from patchctl.assess.content.xccdf.oval.sources.content import HIDE
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh


class _Shadow:
    name = "shadow"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe."""
        script = HIDE + 'BEGIN { whole = 1 } { print " " reduced($0) }'
        return (probe(self.name, asks, f"awk {quote_sh(script)} /etc/shadow && echo .", root=True),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Return the accounts' fields."""
        lines = output.split("\n")
        if "." in lines[-2:]:
            answers[("shadow", "all")] = tuple(tuple(line[1:].split(":")) for line in lines if line.startswith(" "))


SOURCE = _Shadow()
