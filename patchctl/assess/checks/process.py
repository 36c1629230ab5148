"""process: a program runs, or does not, by the name of its process."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.system import PROCESSES
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Question, Unreadable
from patchctl.model.assessment import Item


class Process(CheckType):
    name = "process"
    summary = "A process of this name runs, or none does."
    arguments = (
        Argument("name", "text", "name of the process as the kernel has it: at most 15 characters", required=True),
        Argument("running", "flag", "it runs, or does not", required=True),
    )
    example = "{name: telnetd, running: false}"

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(PROCESSES)]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        names = host.get(PROCESSES).lines
        if not names:
            raise Unreadable("processes: /proc shows none")
        runs = args["name"][:15] in names
        return [Item(f"process {args['name']}", "runs" if args["running"] else "does not run",
                     "runs" if runs else "does not run", runs is args["running"])]


CHECK = Process()
