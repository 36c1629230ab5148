"""A project folder whose only hosts are a fleet of simulated Windows hosts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.proof.project import Project
from tests.winrm.fleet import WindowsFleet


class _NoLab:
    """What Project asks of a lab, without one: no host keys, no hosts."""

    known_hosts = Path(os.devnull)

    def inventory_yaml(self, hosts: object, user: str = "") -> str:
        return "groups: {}\n"


@contextmanager
def windows_project(folder: Path, fleet: WindowsFleet) -> Iterator[Project]:
    """Make the project; end what still runs of it."""
    project = Project(folder, _NoLab(), [])  # type: ignore[arg-type]  # all that a project asks of its lab
    (folder / "inventories/lab.yaml").unlink()
    fleet.write_inventory(folder / "inventories/windows.yaml")
    try:
        yield project
    finally:
        project.close()
