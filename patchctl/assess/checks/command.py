"""command: what a command of your own says, and its exit code. For what no other check type covers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.checks.contract import Answers, Args, Argument, Batch, CheckType, Flaw, Question, Unreadable
from patchctl.assess.matching import EXPECTATIONS, expectation_flaws, fits, wanted
from patchctl.model.assessment import Item
from patchctl.model.text import quote_sh


def _script(questions: Sequence[str]) -> str:
    return f"{PRELUDE}{''.join(f'pc_run {quote_sh(q)} sh -c {quote_sh(q)}{chr(10)}' for q in questions)}{END}"


COMMANDS = Batch("command", _script, root=True, timeout=120, apart=True)


class Command(CheckType):
    name = "command"
    summary = "A command of your own gives an exit code and output as expected. It must change nothing."
    arguments = (
        Argument("run", "text", "sh text, one line, run as root with standard input empty", required=True),
        Argument("exit", "whole", "the exit code (default 0; not looked at where output is expected and exit is not)"),
        *(a for a in EXPECTATIONS if a.name != "absent"),
    )
    example = '{run: "umask", matches: "^0?0[0-7]7$"}'

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if "exit" not in args:
            yield from expectation_flaws(args)

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(COMMANDS, args["run"])]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        said, items = host.get(COMMANDS, args["run"]), []
        if said.missing or said.rc is None:
            raise Unreadable(f"{args['run']}: {said.text or 'no exit code'}")
        if said.rc in (126, 127):
            raise Unreadable(f"{args['run']}: cannot be run: {said.text.strip()}")
        if "exit" in args:
            ok = said.rc == args["exit"]
            items.append(Item(args["run"], f"exit code {args['exit']}", f"exit code {said.rc}", ok))
        if len(args) > 1 + ("exit" in args):
            text = said.text.strip("\n")
            items.append(Item(args["run"], wanted(args), text or "no output", fits(args, text)))
        return items


CHECK = Command()
