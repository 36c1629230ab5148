"""environment: a variable that every login gets from /etc/environment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, ask_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question
from patchctl.assess.matching import EXPECTATIONS, expectation_flaws, fits, repair_value, wanted
from patchctl.assess.reading.keyvalue import read_values
from patchctl.assess.repairing import SET_KEY, ere, set_key
from patchctl.model.assessment import Item, Remediation

FILE = "/etc/environment"


class Environment(CheckType):
    name = "environment"
    summary = "A variable of /etc/environment, which every login gets, has a value or is not set."
    arguments = (Argument("name", "text", "name of the variable", required=True), *EXPECTATIONS)
    example = "{name: LD_PRELOAD, absent: true}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not args["name"].replace("_", "a").isalnum():
            yield Flaw("name", f"{args['name']!r} is no name of a variable")
        yield from expectation_flaws(args)

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(FILE)

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        answer = host.get(READ, FILE)
        found = [] if answer.missing else [v for v in read_values(FILE, answer.text) if v.key == args["name"]]
        value = found[-1].value if found else None
        return [Item(found[-1].place if found else FILE, f"{args['name']} {wanted(args)}",
                     "not set" if value is None else value, fits(args, value))]

    def repair(self, args: Args) -> Remediation | None:
        pattern = f"^[ \\t]*(export[ \\t]+)?{ere(args['name'])}="
        if args.get("absent"):
            return Remediation("declarative", f"{SET_KEY}pc_drop_key {FILE} '{pattern}'\n", (FILE,))
        value = repair_value(args)
        if value is None or "'" in value:
            return None
        return Remediation("declarative", SET_KEY + set_key(FILE, pattern, f"{args['name']}={value}"), (FILE,))


CHECK = Environment()
