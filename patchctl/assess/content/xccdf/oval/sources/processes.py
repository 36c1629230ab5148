"""Running processes. Ask: (processes, all)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from patchctl.assess.content.xccdf.oval.batch import probe
from patchctl.assess.content.xccdf.oval.facts import Ask
from patchctl.model.evidence import Probe


class _Processes:
    name = "processes"

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return one probe; what runs changes all the time."""
        command = "ps -e -o pid=,ppid=,ruid=,euid=,args= && echo ."
        return (probe(self.name, asks, command, volatile=True),)

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Read (pid, parent, real user id, user id, command line) of each process."""
        lines = output.split("\n")
        if "." in lines[-2:]:
            split = [line.split(None, 4) for line in lines]
            answers[("processes", "all")] = tuple(tuple(s) for s in split if len(s) == 5 and s[0].isdigit())


SOURCE = _Processes()
