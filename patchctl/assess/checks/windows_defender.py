"""windows_defender: A property of Microsoft Defender (Status of it, or Preference) is as expected."""

from __future__ import annotations

import re

from patchctl.assess.asking.windows import WindowsProperty, each, powershell, properties
from patchctl.assess.asking.windows_repair import DEFENDER, repair_by
from patchctl.assess.checks.contract import Answer, Args, Argument
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

_SWITCHES = {
    "RealTimeProtectionEnabled": "DisableRealtimeMonitoring", "BehaviorMonitorEnabled": "DisableBehaviorMonitoring",
    "IoavProtectionEnabled": "DisableIOAVProtection",
}  # fmt: skip
"""What the status says to be on, and the preference that switches it off."""
BATCH = powershell("windows-defender", each(r"""
  $found = if ($q -eq "Status") { Get-MpComputerStatus -ErrorAction Stop } else { Get-MpPreference -ErrorAction Stop }
  foreach ($one in $found.CimInstanceProperties) { "$($one.Name)=$($one.Value)" }
"""))  # fmt: skip


class WindowsDefender(WindowsProperty):
    name = "windows_defender"
    batch = BATCH
    subject = "source"
    word = "Defender"
    summary = "A property of Microsoft Defender (Status of it, or Preference) is as expected."
    arguments = (
        Argument("source", "text", "what is asked", required=True, choices=("Status", "Preference")),
        Argument("property", "text", "as Get-MpComputerStatus or Get-MpPreference calls it", required=True),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{source: Status, property: RealTimeProtectionEnabled, equals: 'True'}"

    def value(self, args: Args, answer: Answer) -> str | None:
        # Lists and what was never set are empty.
        found = properties(answer)
        if not answer.missing and found.get(args["property"].lower()) == "":
            return None if args.get("absent") else ""
        return super().value(args, answer)

    def repair(self, args: Args) -> Remediation | None:
        name, value = args["property"], repair_value(args)
        if args["source"] == "Status":
            preference, wanted = _SWITCHES.get(name), {"true": "False", "false": "True"}.get((value or "").lower())
        else:
            preference, wanted = name, value
        if preference is None or wanted is None or not re.fullmatch("[A-Za-z0-9]+", preference + wanted):
            return None
        return repair_by(DEFENDER, preference, wanted, self.place(args), value or "")


CHECK = WindowsDefender()
