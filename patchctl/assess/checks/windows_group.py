"""windows_group: The members of a local group, found by its SID, are as expected: SIDs, sorted, with commas."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS

BATCH = powershell("windows-group", each(r"""
  $members = @(Get-LocalGroupMember -SID $q | ForEach-Object { $_.SID.Value } | Sort-Object)
  "Members=$($members -join (","))"; "Count=$($members.Count)"
"""))  # fmt: skip


class WindowsGroup(WindowsValue):
    name = "windows_group"
    summary = "The members of a local group, found by its SID, are as expected: SIDs, sorted, with commas."
    arguments = (
        Argument("sid", "text", "of the group: S-1-5-32-544 Administrators", required=True),
        Argument("property", "text", "Members or Count", required=True),
        *EXPECTATIONS,
    )
    example = "{sid: S-1-5-32-544, property: Members, lacks: S-1-1-0}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["sid"]):
            yield Flaw("sid", f"{args['sid']!r} cannot be asked for")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["sid"])

    def place(self, args: Args) -> str:
        return f"group {args['sid']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsGroup()
