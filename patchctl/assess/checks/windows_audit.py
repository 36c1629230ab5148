"""windows_audit: whether an audit subcategory records success and failure (auditpol)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, once, powershell
from patchctl.assess.asking.windows_repair import AUDIT as AUDIT_REPAIR
from patchctl.assess.asking.windows_repair import repair_by
from patchctl.assess.checks.contract import Answer, Args, Argument, Flaw, Question, Unreadable
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Remediation

# Columns: machine, target, subcategory, its GUID, inclusion setting, exclusion setting. Names and settings are in the
# host's language; with /backup the last column holds the setting as a number: 0 none, 1 success, 2 failure, 3 both.
AUDIT = powershell("windows-audit", once(r"""
  $file = [IO.Path]::GetTempFileName()
  try {
    $said = & "$env:SystemRoot\System32\auditpol.exe" /backup "/file:$file"
    if ($LASTEXITCODE -ne 0) { throw "auditpol: exit code $LASTEXITCODE $said" }
    [IO.File]::ReadAllLines($file)
  } finally { [IO.File]::Delete($file) }
"""))  # fmt: skip
_WORDS = {"0": "none", "1": "success", "2": "failure", "3": "success and failure"}


class WindowsAudit(WindowsValue):
    name = "windows_audit"
    summary = "An audit subcategory, by its GUID, records: none, success, failure, success and failure."
    arguments = (
        Argument("guid", "text", "of the subcategory: it is the same in every language", required=True),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{guid: 0CCE9215-69AE-11D9-BED3-505054503030, equals: success and failure}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", args["guid"]):
            yield Flaw("guid", f"{args['guid']!r} is no GUID", "auditpol /list /subcategory:* /v shows them")
        yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        number = next((number for number, word in _WORDS.items() if word == value), None)
        if value is None or number is None:
            return None
        return repair_by(AUDIT_REPAIR, args["guid"].upper(), number, self.place(args), value)

    def question(self, args: Args) -> Question:
        return Question(AUDIT)

    def place(self, args: Args) -> str:
        return f"audit policy {args['guid']}"

    def value(self, args: Args, answer: Answer) -> str | None:
        for row in csv.reader(answer.lines):
            # Settings for single users follow, with their SID in the second column.
            if len(row) >= 7 and not row[1].startswith("S-1-") and row[3].strip("{}").lower() == args["guid"].lower():
                if row[6] not in _WORDS:
                    raise Unreadable(f"auditpol says {row[6]!r}")
                return _WORDS[row[6]]
        raise Unreadable("auditpol does not list the subcategory")


CHECK = WindowsAudit()
