"""windows_volume: A property of a volume's BitLocker protection is as expected."""

from __future__ import annotations

import re

from patchctl.assess.asking.windows import WindowsProperty, each, powershell
from patchctl.assess.asking.windows_repair import BITLOCKER, repair_by
from patchctl.assess.checks.contract import Args, Argument
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

BATCH = powershell("windows-volume", each(r"""
  $found = Get-BitLockerVolume -MountPoint $q -ErrorAction Stop
  if ($found) {
    "ProtectionStatus=$($found.ProtectionStatus)"; "VolumeStatus=$($found.VolumeStatus)"
    "EncryptionMethod=$($found.EncryptionMethod)"
  }
"""))  # fmt: skip


class WindowsVolume(WindowsProperty):
    name = "windows_volume"
    batch = BATCH
    subject = "drive"
    word = "volume"
    summary = "A property of a volume's BitLocker protection is as expected."
    arguments = (
        Argument("drive", "text", "as C:", required=True),
        Argument("property", "text", "what is looked at", required=True,
                 choices=("ProtectionStatus", "VolumeStatus", "EncryptionMethod")),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{drive: 'C:', property: ProtectionStatus, equals: 'On'}"

    def repair(self, args: Args) -> Remediation | None:
        """Return what switches suspended protection on again. Encrypting a volume is for people: who keeps its key?"""
        if (args["property"], repair_value(args)) != ("ProtectionStatus", "On") or not re.fullmatch(
                "[A-Za-z]:", args["drive"]):
            return None
        return repair_by(BITLOCKER, args["drive"], "On", self.place(args), "On")


CHECK = WindowsVolume()
