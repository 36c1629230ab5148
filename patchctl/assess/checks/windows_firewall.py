"""windows_firewall: A property of a firewall profile, local policy and group policy together, is as expected."""

from __future__ import annotations

import re

from patchctl.assess.asking.windows import WindowsProperty, each, powershell
from patchctl.assess.asking.windows_repair import FIREWALL, repair_by
from patchctl.assess.checks.contract import Args, Argument
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

PROPERTIES = ("Enabled", "DefaultInboundAction", "DefaultOutboundAction", "LogBlocked", "LogMaxSizeKilobytes")
BATCH = powershell("windows-firewall", each(r"""
  $found = Get-NetFirewallProfile -Name $q -PolicyStore ActiveStore -ErrorAction Stop
  $names = "Enabled", "DefaultInboundAction", "DefaultOutboundAction", "LogBlocked", "LogMaxSizeKilobytes"
  foreach ($name in $names) {
    "$name=$($found.$name)"
  }
"""))  # fmt: skip


class WindowsFirewall(WindowsProperty):
    name = "windows_firewall"
    batch = BATCH
    subject = "profile"
    word = "firewall profile"
    summary = "A property of a firewall profile, local policy and group policy together, is as expected."
    arguments = (
        Argument("profile", "text", "which networks", required=True, choices=("Domain", "Private", "Public")),
        Argument("property", "text", "what is looked at", required=True, choices=PROPERTIES),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{profile: Public, property: Enabled, equals: 'True'}"

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        if value is None and (args["property"], args.get("not_equals")) == ("DefaultInboundAction", "Allow"):
            value = "Block"
        if value is None or not re.fullmatch(r"[A-Za-z0-9]+", value + args["property"] + args["profile"]):
            return None
        return repair_by(FIREWALL, f"{args['profile']} {args['property']}", value, self.place(args), value)


CHECK = WindowsFirewall()
