"""A site's timeout_factor stretches every deadline of a visit: probes on the host, and questions to the runner."""

from __future__ import annotations

import re

import pytest

from patchctl.collect.runner import Controller
from patchctl.connect.contract import Command, Result
from patchctl.model.evidence import Probe
from patchctl.model.hosts import Connection, Host, Timeouts
from patchctl.usecases.hostjobs_visit import Visit
from patchctl.usecases.scan import collect_snapshot


class Clock:
    def now(self) -> float:
        return 0.0


class Recording:
    """A session that notes the command and answers nothing."""

    def __init__(self, factor: float) -> None:
        self.host = Host("far1", Connection(timeouts=Timeouts(10 * factor, 60 * factor, 600 * factor, factor)))
        self.asked: list[Command] = []

    def run(self, command: Command) -> Result:
        self.asked.append(command)
        return Result(0, b"", b"", 0.1)

    def close(self) -> None: ...


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_deadlines_of_a_visit_are_stretched(factor: float) -> None:
    session = Recording(factor)
    visit = Visit(session, Controller("store", 1, 1, "ops"))
    visit.run("true", timeout=100.0)
    assert (session.asked[-1].timeout, session.asked[-1].silence) == (100 * factor, 100 * factor)
    visit.probe([Probe("x.y", "true", timeout=40)])
    assert session.asked[-1].timeout == 100 * factor
    assert int(re.findall(r"^pc_probe x\.y .*?\b(\d+)\b", session.asked[-1].script, re.MULTILINE)[0]) == 40 * factor


def test_probes_of_a_scan_are_stretched() -> None:
    slow, fast = Recording(3.0), Recording(1.0)
    for session in (slow, fast):
        collect_snapshot(session, "never", Clock(), [Probe("x.y", "true", timeout=7)])
    found = [re.findall(r"^pc_probe x\.y .*", s.asked[-1].script, re.MULTILINE)[0] for s in (slow, fast)]
    assert " 21 " in found[0]
    assert " 7 " in found[1]
    assert (slow.asked[-1].silence or 0) == 3 * 300 + 15
