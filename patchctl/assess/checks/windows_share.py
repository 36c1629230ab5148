"""windows_share: A property of a file share is as expected; one that is not there is absent."""

from __future__ import annotations

import re

from patchctl.assess.asking.windows import WindowsProperty, each, powershell
from patchctl.assess.asking.windows_repair import SHARE_ENCRYPTION, SHARE_REMOVAL, repair_by
from patchctl.assess.checks.contract import Args, Argument
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

BATCH = powershell("windows-share", each(r"""
  $found = Get-SmbShare -ErrorAction Stop | Where-Object { $_.Name -eq $q }
  if ($found) { "Path=$($found.Path)"; "EncryptData=$($found.EncryptData)" }
"""))  # fmt: skip


class WindowsShare(WindowsProperty):
    name = "windows_share"
    batch = BATCH
    subject = "share"
    word = "share"
    may_be_empty = ("Path",)
    summary = "A property of a file share is as expected; one that is not there is absent."
    arguments = (
        Argument("share", "text", "its name", required=True),
        Argument("property", "text", "what is looked at", required=True, choices=("Path", "EncryptData")),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{share: Public, property: Path, absent: true}"

    def repair(self, args: Args) -> Remediation | None:
        name, value = args["share"], repair_value(args)
        if not re.fullmatch(r"[A-Za-z0-9_. -]+", name):
            return None
        if args.get("absent"):
            return repair_by(SHARE_REMOVAL, name, "", self.place(args), "not set")
        if args["property"] == "EncryptData" and value in ("True", "False"):
            return repair_by(SHARE_ENCRYPTION, name, value, self.place(args), value)
        return None


CHECK = WindowsShare()
