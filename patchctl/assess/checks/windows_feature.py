"""windows_feature: An optional feature is on (1) or off (2, 3); one that is not there is absent."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS

BATCH = powershell("windows-feature", each(r"""
  $found = Get-CimInstance Win32_OptionalFeature -Filter ("Name=" + [char]39 + $q + [char]39)
  if ($found) { "InstallState=$($found.InstallState)" } else { "InstallState=3" }
"""))  # fmt: skip


class WindowsFeature(WindowsValue):
    name = "windows_feature"
    summary = "An optional feature is on (1) or off (2, 3); one that is not there is absent."
    arguments = (
        Argument("feature", "text", "as SMB1Protocol", required=True),
        Argument("property", "text", "InstallState", required=True),
        *EXPECTATIONS,
    )
    example = "{feature: SMB1Protocol, property: InstallState, not_equals: '1'}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["feature"]):
            yield Flaw("feature", f"{args['feature']!r} cannot be asked for")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["feature"])

    def place(self, args: Args) -> str:
        return f"feature {args['feature']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsFeature()
