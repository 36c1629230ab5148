"""windows_feature: An optional feature is on (1) or off (2, 3); one that is not there is absent."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from patchctl.assess.asking.windows import WindowsProperty, each, powershell, properties
from patchctl.assess.asking.windows_repair import FEATURE, repair_by
from patchctl.assess.checks.contract import Answer, Answers, Args, Argument, Unreadable
from patchctl.assess.matching import EXPECTATIONS, fits
from patchctl.model.assessment import Item, Remediation

BATCH = powershell("windows-feature", each(r"""
  $found = Get-CimInstance Win32_OptionalFeature -Filter ("Name=" + [char]39 + $q + [char]39)
  if ($found) { "InstallState=$($found.InstallState)" } else { "InstallState=3"; "Known=no" }
"""))  # fmt: skip


class WindowsFeature(WindowsProperty):
    name = "windows_feature"
    batch = BATCH
    subject = "feature"
    word = "feature"
    summary = "An optional feature is on (1) or off (2, 3); one that is not there is absent."
    arguments = (
        Argument("feature", "text", "as SMB1Protocol", required=True),
        Argument("property", "text", "what is looked at", required=True, choices=("InstallState",)),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{feature: SMB1Protocol, property: InstallState, not_equals: '1'}"

    def value(self, args: Args, answer: Answer) -> str | None:
        found = super().value(args, answer)
        if found == "4":
            raise Unreadable(f"Windows does not know whether {args['feature']} is on")
        return found

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        """Return the item; where Windows has no feature of that name, it says so: the name may be misspelt."""
        known = properties(host.get(BATCH, args["feature"])).get("known") != "no"
        return [item if known else replace(item, actual=f"{item.actual} (this Windows has no feature of that name)")
                for item in super().judge(args, host)]

    def repair(self, args: Args) -> Remediation | None:
        if not any(fits(args, state) for state in ("2", "3")) or fits(args, "1"):
            return None
        shown = "2" if fits(args, "2") else "3"
        found = repair_by(FEATURE, args["feature"], "off", self.place(args), shown)
        return replace(found, reboot=True, disruption="what uses the feature stops")


CHECK = WindowsFeature()
