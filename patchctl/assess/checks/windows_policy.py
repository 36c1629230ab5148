"""windows_policy: a setting of the local security policy (secedit): passwords, lockout, user rights, options."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, once, powershell, properties
from patchctl.assess.asking.windows_repair import POLICY as POLICY_REPAIR
from patchctl.assess.asking.windows_repair import repair_by
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

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
    repairs = True
    example = "{setting: MinimumPasswordLength, min: 14}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z]+", args["setting"]):
            yield Flaw("setting", f"{args['setting']!r} is no name of a setting", "write MinimumPasswordLength")
        yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        name, right = args["setting"], args["setting"].startswith("Se")
        value = "" if args.get("absent") and right else repair_value(args)
        if value is None or not re.fullmatch(r"[A-Za-z0-9,-]*", value):
            return None
        written = ",".join(f"*{sid}" for sid in value.split(",") if sid) if right else value
        text = POLICY_REPAIR.replace("@SECTION@", "Privilege Rights" if right else "System Access")
        return repair_by(text, name, written, self.place(args), value or "not set")

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
