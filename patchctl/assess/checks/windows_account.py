"""windows_account: A property of a local account, found by the last number of its SID, is as expected."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.asking.windows_repair import ACCOUNT, repair_by
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

BATCH = powershell("windows-account", each(r"""
  $found = @(Get-CimInstance Win32_UserAccount -Filter "LocalAccount=True" | Where-Object { $_.SID -like "*-$q" })
  foreach ($one in $found) {
    "Name=$($one.Name)"; "Disabled=$($one.Disabled)"; "PasswordRequired=$($one.PasswordRequired)"
    "PasswordExpires=$($one.PasswordExpires)"
  }
"""))  # fmt: skip


class WindowsAccount(WindowsValue):
    name = "windows_account"
    summary = "A property of a local account, found by the last number of its SID, is as expected."
    arguments = (
        Argument("rid", "text", "last number of its SID: 500 Administrator, 501 Guest", required=True),
        Argument("property", "text", "Name, Disabled, PasswordRequired or PasswordExpires", required=True),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{rid: '501', property: Disabled, equals: 'True'}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["rid"]):
            yield Flaw("rid", f"{args['rid']!r} cannot be asked for")
        yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        known = args["property"] in ("Disabled", "PasswordRequired") and value in ("True", "False")
        if value is None or not known or not args["rid"].isdigit():
            return None
        return repair_by(ACCOUNT, f"{args['rid']} {args['property']}", value, self.place(args), value)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["rid"])

    def place(self, args: Args) -> str:
        return f"account {args['rid']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsAccount()
