"""windows_service: how a Windows service starts, or whether it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.windows import WindowsValue, each, powershell, properties
from patchctl.assess.asking.windows_repair import SERVICE, repair_by
from patchctl.assess.checks.contract import Answer, Answers, Args, Argument, Flaw, Question, Unreadable
from patchctl.assess.matching import EXPECTATIONS, repair_value
from patchctl.model.assessment import Item, Remediation

SERVICES = powershell("windows-service", each(r"""
  $found = Get-CimInstance Win32_Service -Filter "Name='$q'"
  if ($found) { "StartMode=$($found.StartMode)"; "State=$($found.State)"; "StartName=$($found.StartName)" }
"""))  # fmt: skip


_STARTS = {"Auto": "auto", "Manual": "demand", "Disabled": "disabled"}


class WindowsService(WindowsValue):
    name = "windows_service"
    summary = "A service starts as expected (Auto, Manual, Disabled), runs or not; one that is not there is `absent`."
    arguments = (
        Argument("name", "text", "its short name, as Spooler", required=True),
        Argument("property", "text", "what is looked at: StartMode (default), State or StartName",
                 choices=("StartMode", "State", "StartName")),
        Argument("off", "flag", "true: disabled, or not there at all"),
        *EXPECTATIONS,
    )
    repairs = True
    example = "{name: Spooler, off: true}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9_.$ -]+", args["name"]):
            yield Flaw("name", f"{args['name']!r} is no name of a service")
        if "off" not in args:
            yield from super().flaws(args)

    def repair(self, args: Args) -> Remediation | None:
        if "off" in args:
            value = "Disabled" if args["off"] else None
        else:
            value = repair_value(args) if args.get("property", "StartMode") == "StartMode" else None
        if value not in _STARTS:
            return None
        return repair_by(SERVICE, args["name"], _STARTS[value], self.place(args), value)

    def question(self, args: Args) -> Question:
        return Question(SERVICES, args["name"])

    def place(self, args: Args) -> str:
        return f"service {args['name']} {'StartMode' if 'off' in args else args.get('property', 'StartMode')}"

    def value(self, args: Args, answer: Answer) -> str | None:
        if answer.missing:
            return None
        name = args.get("property", "StartMode")
        found = properties(answer).get(name.lower())
        if found is None:
            raise Unreadable(f"the service tells no {name}")
        return found

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        if "off" not in args:
            return super().judge(args, host)
        value = self.value(args, host.get(SERVICES, args["name"]))
        off = value is None or value.lower() == "disabled"
        wanted = "disabled, or not there" if args["off"] else "not disabled"
        return [Item(self.place(args), wanted, "not there" if value is None else value, off is args["off"])]


CHECK = WindowsService()
