"""windows_share: A property of a file share is as expected; one that is not there is absent."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS

BATCH = powershell("windows-share", each(r"""
  $found = Get-SmbShare -Name $q -ErrorAction SilentlyContinue
  if ($found) { "Path=$($found.Path)"; "EncryptData=$($found.EncryptData)" }
"""))  # fmt: skip


class WindowsShare(WindowsValue):
    name = "windows_share"
    summary = "A property of a file share is as expected; one that is not there is absent."
    arguments = (
        Argument("share", "text", "its name", required=True),
        Argument("property", "text", "Path or EncryptData", required=True),
        *EXPECTATIONS,
    )
    example = "{share: Public, property: Path, absent: true}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["share"]):
            yield Flaw("share", f"{args['share']!r} cannot be asked for")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["share"])

    def place(self, args: Args) -> str:
        return f"share {args['share']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsShare()
