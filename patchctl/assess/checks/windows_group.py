"""windows_group: The members of a local group, found by its SID, are as expected: SIDs, sorted, with commas."""

from __future__ import annotations

import re

from patchctl.assess.asking.windows import WindowsProperty, each, powershell
from patchctl.assess.asking.windows_repair import GROUP, repair_by
from patchctl.assess.checks.contract import Args, Argument
from patchctl.assess.matching import EXPECTATIONS
from patchctl.model.assessment import Remediation

_SID = r"S-1(?:-[0-9]+)+"
_ONE_OF = re.compile(rf"(?:\(\^\|,\)\()?(?P<sids>{_SID}(?:\|{_SID})*)(?:\)\(,\|\$\))?")
"""`S-1-1-0`, and `(^|,)(S-1-1-0|S-1-5-11)(,|$)`: the patterns that name whole members, which a repair can remove."""
BATCH = powershell("windows-group", each(r"""
  $members = @(Get-LocalGroupMember -SID $q -ErrorAction Stop | ForEach-Object { $_.SID.Value } | Sort-Object)
  "Members=$($members -join (","))"; "Count=$($members.Count)"
"""))  # fmt: skip


class WindowsGroup(WindowsProperty):
    name = "windows_group"
    batch = BATCH
    subject = "sid"
    word = "group"
    may_be_empty = ("Members",)
    summary = "The members of a local group, found by its SID, are as expected: SIDs, sorted, with commas."
    arguments = (
        Argument("sid", "text", "of the group: S-1-5-32-544 Administrators", required=True),
        Argument("property", "text", "what is looked at", required=True, choices=("Members", "Count")),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{sid: S-1-5-32-544, property: Members, lacks: S-1-1-0}"

    def repair(self, args: Args) -> Remediation | None:
        if args["property"] != "Members" or not re.fullmatch(_SID, args["sid"]):
            return None
        only, lacks = args.get("equals"), _ONE_OF.fullmatch(args.get("lacks", ""))
        if only is not None and "lacks" not in args and re.fullmatch(rf"(?:{_SID}(?:,{_SID})*)?", only):
            how, sids, shown = "only", only, only or "nobody"
        elif only is None and lacks is not None:
            how, sids = "without", lacks["sids"].replace("|", ",")
            shown = f"without {sids.replace(',', ', ')}"
        else:
            return None
        return repair_by(GROUP, f"{args['sid']} {how}", sids, self.place(args), shown)


CHECK = WindowsGroup()
