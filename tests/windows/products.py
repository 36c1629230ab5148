r"""Real MSI packages of made-up products, by wixl. Each run of an installer adds a line to C:\installed.log: proof that
it ran once, written by the product itself.
"""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

from tests.windows.wine import Disk

LOG = r"C:\installed.log"
_SPACE = uuid.UUID("5f3a1b70-0000-4000-8000-000000000000")
_WXS = r"""<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="*" UpgradeCode="{upgrade}" Name="{name}" Version="{version}" Manufacturer="patchctl tests"
      Language="1033">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"/>
    <Media Id="1" Cabinet="d.cab" EmbedCab="yes"/>
    <Upgrade Id="{upgrade}">
      <UpgradeVersion Minimum="0.0.0" Maximum="{version}" IncludeMinimum="yes" IncludeMaximum="no" Property="OLDER"/>
    </Upgrade>
    <Property Id="NOTECMD" Value="C:\windows\system32\cmd.exe"/>
    <CustomAction Id="Note" Property="NOTECMD" ExeCommand="/c echo {name} {version}&gt;&gt;{log}" Execute="deferred"
        Impersonate="no"/>
    <InstallExecuteSequence>
      <RemoveExistingProducts After="InstallInitialize"/>
      <Custom Action="Note" After="InstallFiles">NOT REMOVE</Custom>
    </InstallExecuteSequence>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFilesFolder"><Directory Id="D" Name="{name}">
      <Component Id="C1" Guid="{component}">
        <File Id="F1" Name="demo.txt" Source="demo.txt" KeyPath="yes"/>
      </Component>
    </Directory></Directory></Directory>
    <Feature Id="F" Level="1"><ComponentRef Id="C1"/></Feature>
  </Product>
</Wix>
"""


def make_msi(folder: Path, name: str, version: str) -> Path:
    """Return the package of that version of a product; a later version replaces the earlier ones."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo.txt").write_text("demo\n")
    source, target = folder / f"{name}-{version}.wxs", folder / f"{name}-{version}.msi"
    upgrade, component = (str(uuid.uuid5(_SPACE, f"{name} {part}")).upper() for part in ("upgrade", "component"))
    source.write_text(_WXS.format(name=name, version=version, upgrade=upgrade, component=component, log=LOG))
    subprocess.run(["wixl", "-a", "x64", "-o", str(target), str(source)], cwd=folder, check=True)
    return target


def installer_runs(disk: Disk) -> list[str]:
    """Return `product version` for every run of one of these installers on this disk, oldest first."""
    log = disk.path(LOG)
    return log.read_text().split("\n")[:-1] if log.exists() else []
