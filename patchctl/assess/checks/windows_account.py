"""windows_account: A property of a local account, found by the last number of its SID, is as expected."""

from __future__ import annotations

from patchctl.assess.asking.windows import WindowsProperty, each, powershell
from patchctl.assess.asking.windows_repair import ACCOUNT, repair_by
from patchctl.assess.checks.contract import Args, Argument
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

BATCH = powershell("windows-account", each(r"""
  $found = @(Get-CimInstance Win32_UserAccount -Filter "LocalAccount=True" | Where-Object { $_.SID -like "*-$q" })
  foreach ($one in $found) {
    "Name=$($one.Name)"; "Disabled=$($one.Disabled)"; "PasswordRequired=$($one.PasswordRequired)"
    "PasswordExpires=$($one.PasswordExpires)"
  }
"""))  # fmt: skip


class WindowsAccount(WindowsProperty):
    name = "windows_account"
    batch = BATCH
    subject = "rid"
    word = "account"
    summary = "A property of a local account, found by the last number of its SID, is as expected."
    arguments = (
        Argument("rid", "text", "last number of its SID: 500 Administrator, 501 Guest", required=True),
        Argument("property", "text", "what is looked at", required=True,
                 choices=("Name", "Disabled", "PasswordRequired", "PasswordExpires")),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{rid: '501', property: Disabled, equals: 'True'}"

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        known = args["property"] in ("Disabled", "PasswordRequired") and value in ("True", "False")
        if value is None or not known or not args["rid"].isdigit():
            return None
        return repair_by(ACCOUNT, f"{args['rid']} {args['property']}", value, self.place(args), value)


CHECK = WindowsAccount()
