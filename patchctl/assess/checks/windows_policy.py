"""windows_policy: a setting of the local security policy (secedit): passwords, lockout, user rights, options."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, once, powershell, properties
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS

# secedit writes UTF-16 with sections; names are unique across them. Rights are lists of SIDs, sorted here.
POLICY = powershell("windows-policy", once(r"""
  $file = [IO.Path]::GetTempFileName()
  try {
    $said = & "$env:SystemRoot\System32\secedit.exe" /export /cfg $file /quiet
    if ($LASTEXITCODE -ne 0) { throw "secedit: exit code $LASTEXITCODE $said" }
    [IO.File]::ReadAllLines($file) | Where-Object { $_ -match '^[^\[;].*=' } |
      ForEach-Object { $_ -replace '\s*=\s*', '=' }
  } finally { [IO.File]::Delete($file) }
"""))  # fmt: skip


class WindowsPolicy(WindowsValue):
    name = "windows_policy"
    summary = "A setting of the local security policy is as expected; a user right is its SIDs, sorted, with commas."
    arguments = (
        Argument("setting", "text", "as secedit calls it: MinimumPasswordLength, SeDebugPrivilege", required=True),
        *EXPECTATIONS,
    )
    example = "{setting: MinimumPasswordLength, min: 14}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z]+", args["setting"]):
            yield Flaw("setting", f"{args['setting']!r} is no name of a setting", "write MinimumPasswordLength")
        yield from super().flaws(args)

    def question(self, args: Args) -> Question:
        return Question(POLICY)

    def place(self, args: Args) -> str:
        return f"secedit {args['setting']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        found = properties(answer).get(args["setting"].lower())
        if found is None or not args["setting"].startswith("Se"):
            return found
        return ",".join(sorted(part.strip().lstrip("*") for part in found.split(",") if part.strip())) or None


CHECK = WindowsPolicy()
