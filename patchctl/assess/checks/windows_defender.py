"""windows_defender: A property of Microsoft Defender (Status of it, or Preference) is as expected."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS

BATCH = powershell("windows-defender", each(r"""
  $found = if ($q -eq "Status") { Get-MpComputerStatus } else { Get-MpPreference }
  foreach ($one in $found.CimInstanceProperties) { "$($one.Name)=$($one.Value)" }
"""))  # fmt: skip


class WindowsDefender(WindowsValue):
    name = "windows_defender"
    summary = "A property of Microsoft Defender (Status of it, or Preference) is as expected."
    arguments = (
        Argument("source", "text", "Status or Preference", required=True),
        Argument("property", "text", "as Get-MpComputerStatus or Get-MpPreference calls it", required=True),
        *EXPECTATIONS,
    )
    example = "{source: Status, property: RealTimeProtectionEnabled, equals: 'True'}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["source"]):
            yield Flaw("source", f"{args['source']!r} cannot be asked for")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["source"])

    def place(self, args: Args) -> str:
        return f"Defender {args['source']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsDefender()
