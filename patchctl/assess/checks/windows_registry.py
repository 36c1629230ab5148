"""windows_registry: a value of the Windows registry."""

from __future__ import annotations

import re
from collections.abc import Iterable

from patchctl.assess.asking.windows import WindowsValue, each, powershell
from patchctl.assess.checks.contract import Args, Argument, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.collect.fixing_windows import TYPES, delete_value, set_value
from patchctl.model.assessment import Remediation

# Numbers are printed unsigned, binary data in hexadecimal, lists of texts line by line.
REGISTRY = powershell("windows-registry", each(r"""
  $path, $name = $q -split '!', 2
  $value = (Get-Item -LiteralPath "Registry::$path").GetValue($name, $null, 'DoNotExpandEnvironmentNames')
  if ($null -eq $value) { return }
  if ($value -is [int]) { return [long]$value -band 0xffffffffL }
  if ($value -is [byte[]]) { return [BitConverter]::ToString($value).Replace('-', '') }
  $value
"""))  # fmt: skip


class WindowsRegistry(WindowsValue):
    name = "windows_registry"
    summary = "A value of the registry is as expected; numbers are decimal, a missing key or value is `absent`."
    arguments = (
        Argument("key", "text", r"HKLM\... or HKU\..., as reg.exe writes it", required=True),
        Argument("value", "text", "name of the value", required=True),
        *EXPECTATIONS,
        Argument("type", "text", "what a repair writes where the value is not there: REG_DWORD (default) or REG_SZ",
                 choices=TYPES),
    )
    repairs = True
    example = r"{key: 'HKLM\SYSTEM\CurrentControlSet\Control\Lsa', value: LmCompatibilityLevel, equals: 5}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"(?:HKLM|HKU|HKCR)(?:\\[^\\!]+)+", args["key"]):
            yield Flaw("key", f"{args['key']!r} is no registry key", r"write HKLM\SOFTWARE\...")
        if "!" in args["value"]:
            yield Flaw("value", "a value's name with '!' cannot be asked for")
        yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        if args.get("absent"):
            script, value = delete_value(args["key"], args["value"]), "not set"
        else:
            value = repair_value(args) or ""
            script = set_value(args["key"], args["value"], args.get("type", "REG_DWORD"), value)
        return Remediation("declarative", script, sets=((self.place(args), value),)) if script else None

    def question(self, args: Args) -> Question:
        hive, _, rest = args["key"].partition("\\")
        root = {"HKLM": "HKEY_LOCAL_MACHINE", "HKU": "HKEY_USERS", "HKCR": "HKEY_CLASSES_ROOT"}.get(hive, hive)
        return Question(REGISTRY, f"{root}\\{rest}!{args['value']}")


CHECK = WindowsRegistry()
