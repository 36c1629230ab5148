"""A rig around fresh lab hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hostjobs.rig import Rig
from tests.lab import Lab, LabHost


@pytest.fixture()
def rig(lab: Lab, fresh_hosts: Callable[[int], list[LabHost]], tmp_path: Path) -> Iterator[Rig]:
    """A controller and one fresh host."""
    (host,) = fresh_hosts(1)
    made = Rig(tmp_path, [host], lab.known_hosts)
    yield made
    made.close()


@pytest.fixture()
def host(rig: Rig) -> LabHost:
    return next(iter(rig.lab.values()))
