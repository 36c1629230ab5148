"""windows_firewall: A property of a firewall profile, local policy and group policy together, is as expected."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.asking.windows_repair import FIREWALL, repair_by
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

BATCH = powershell("windows-firewall", each(r"""
  $found = Get-NetFirewallProfile -Name $q -PolicyStore ActiveStore
  $names = "Enabled", "DefaultInboundAction", "DefaultOutboundAction", "LogBlocked", "LogMaxSizeKilobytes"
  foreach ($name in $names) {
    "$name=$($found.$name)"
  }
"""))  # fmt: skip


class WindowsFirewall(WindowsValue):
    name = "windows_firewall"
    summary = "A property of a firewall profile, local policy and group policy together, is as expected."
    arguments = (
        Argument("profile", "text", "Domain, Private or Public", required=True),
        Argument("property", "text", "Enabled, DefaultInboundAction, LogBlocked ...", required=True),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{profile: Public, property: Enabled, equals: 'True'}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["profile"]):
            yield Flaw("profile", f"{args['profile']!r} cannot be asked for")
        yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        if value is None and (args["property"], args.get("not_equals")) == ("DefaultInboundAction", "Allow"):
            value = "Block"
        if value is None or not re.fullmatch(r"[A-Za-z0-9]+", value + args["property"] + args["profile"]):
            return None
        return repair_by(FIREWALL, f"{args['profile']} {args['property']}", value, self.place(args), value)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["profile"])

    def place(self, args: Args) -> str:
        return f"firewall profile {args['profile']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsFirewall()
