"""Hosts of the model with real MSI packages, made by wixl."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.windows.model import WindowsHost
from tests.windows.products import make_msi
from tests.windows.wine import Disk, why_not


@pytest.fixture(scope="session")
def msi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """demo-tool in versions 1.0.0 and 2.0.0, the second replaces the first."""
    if why_not():
        pytest.skip(why_not())
    folder = tmp_path_factory.mktemp("msi")
    return {version: make_msi(folder, "demo-tool", version) for version in ("1.0.0", "2.0.0")}


@pytest.fixture
def windows_hosts(tmp_path: Path, msi: dict[str, Path]) -> Iterator[Callable[[int], list[WindowsHost]]]:
    """make(count): hosts with demo-tool 1.0.0 installed."""
    disks: list[Disk] = []

    def make(count: int) -> list[WindowsHost]:
        hosts = []
        for number in range(count):
            folder = tmp_path / f"win{len(disks) + 1}"
            folder.mkdir()
            disks.append(Disk(folder))
            hosts.append(WindowsHost(disks[-1]))
            hosts[-1].install_msi(msi["1.0.0"])
            assert number < 10
        return hosts

    yield make
    for disk in disks:
        disk.close()
