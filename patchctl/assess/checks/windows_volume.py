"""windows_volume: A property of a volume's BitLocker protection is as expected."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS

BATCH = powershell("windows-volume", each(r"""
  $found = Get-BitLockerVolume -MountPoint $q
  if ($found) {
    "ProtectionStatus=$($found.ProtectionStatus)"; "VolumeStatus=$($found.VolumeStatus)"
    "EncryptionMethod=$($found.EncryptionMethod)"
  }
"""))  # fmt: skip


class WindowsVolume(WindowsValue):
    name = "windows_volume"
    summary = "A property of a volume's BitLocker protection is as expected."
    arguments = (
        Argument("drive", "text", "as C:", required=True),
        Argument("property", "text", "ProtectionStatus, VolumeStatus or EncryptionMethod", required=True),
        *EXPECTATIONS,
    )
    example = "{drive: 'C:', property: ProtectionStatus, equals: 'On'}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9:_. -]+", args["drive"]):
            yield Flaw("drive", f"{args['drive']!r} cannot be asked for")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(BATCH, args["drive"])

    def place(self, args: Args) -> str:
        return f"volume {args['drive']} {args['property']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        return None if answer.missing else properties(answer).get(args["property"].lower())


CHECK = WindowsVolume()
