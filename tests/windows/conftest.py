"""Hosts of the model with real MSI packages, made by wixl."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.windows.model import WindowsHost
from tests.windows.wine import Disk, why_not

_WXS = """<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="*" UpgradeCode="5F3A1B70-0000-4000-8000-000000000001" Name="demo-tool" Version="{version}"
      Manufacturer="patchctl tests" Language="1033">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"/>
    <Media Id="1" Cabinet="d.cab" EmbedCab="yes"/>
    <Upgrade Id="5F3A1B70-0000-4000-8000-000000000001">
      <UpgradeVersion Minimum="0.0.0" Maximum="{version}" IncludeMinimum="yes" IncludeMaximum="no" Property="OLDER"/>
    </Upgrade>
    <InstallExecuteSequence><RemoveExistingProducts After="InstallInitialize"/></InstallExecuteSequence>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFilesFolder"><Directory Id="D" Name="DemoTool">
      <Component Id="C1" Guid="5F3A1B70-0000-4000-8000-000000000002">
        <File Id="F1" Name="demo.txt" Source="demo.txt" KeyPath="yes"/>
      </Component>
    </Directory></Directory></Directory>
    <Feature Id="F" Level="1"><ComponentRef Id="C1"/></Feature>
  </Product>
</Wix>
"""


@pytest.fixture(scope="session")
def msi(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """demo-tool in versions 1.0.0 and 2.0.0, the second replaces the first."""
    if why_not():
        pytest.skip(why_not())
    folder = tmp_path_factory.mktemp("msi")
    (folder / "demo.txt").write_text("demo\n")
    made = {}
    for version in ("1.0.0", "2.0.0"):
        source, target = folder / f"{version}.wxs", folder / f"demo-tool-{version}.msi"
        source.write_text(_WXS.format(version=version))
        subprocess.run(["wixl", "-a", "x64", "-o", str(target), str(source)], cwd=folder, check=True)
        made[version] = target
    return made


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
