"""pam: a module stands in the stack of a service, with a control, arguments, and before another."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.assess.asking.files import READ, many_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Question, Unreadable
from patchctl.assess.matching import found_in
from patchctl.assess.reading.pam import read_stack
from patchctl.model.assessment import Item


class Pam(CheckType):
    name = "pam"
    summary = "A module stands (or does not) in the PAM stack of a service, includes followed."
    arguments = (
        Argument("service", "text", "file of /etc/pam.d, as common-auth", required=True),
        Argument("type", "text", "which stack", required=True, choices=("auth", "account", "password", "session")),
        Argument("module", "text", "module without .so, as pam_unix", required=True),
        Argument("present", "flag", "false: it must not be there (default true)"),
        Argument("control", "texts", "its control, as required (any of these)"),
        Argument("with", "texts", "arguments it has, each as written: retry=3"),
        Argument("without", "pattern", "a regular expression that none of its arguments matches, as ^nullok"),
        Argument("before", "text", "a module that stands after it"),
    )
    example = "{service: common-password, type: password, module: pam_unix, without: ^nullok}"

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(READ, "/etc/pam.d/*")]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        files = {path.rpartition("/")[2]: text for path, text in many_files(host, "/etc/pam.d/*")}
        try:
            stack = [e for e in read_stack(args["service"], files) if e.type == args["type"]]
        except KeyError as missing:
            raise Unreadable(f"/etc/pam.d has no file {missing}") from missing
        module = args["module"].removesuffix(".so")
        own = [e for e in stack if e.module == module]
        source = f"/etc/pam.d/{args['service']} {args['type']}"
        wanted = args.get("present", True)
        if not own or not wanted:
            return [Item(own[0].place if own else source, f"{module} {'there' if wanted else 'not there'}",
                         "there" if own else "not there", bool(own) is wanted)]
        items = [Item(own[0].place, f"{module} there", "there", True)]
        for entry in own:
            shown = " ".join(entry.arguments) or "no arguments"
            if "control" in args:
                items.append(Item(entry.place, f"control {' or '.join(args['control'])}", entry.control,
                                  entry.control in args["control"]))
            items += [Item(entry.place, f"argument {w}", shown, w in entry.arguments) for w in args.get("with", ())]
            if "without" in args:
                bad = [a for a in entry.arguments if found_in(args["without"], a)]
                items.append(Item(entry.place, f"no argument matching {args['without']}", shown, not bad))
        if "before" in args:
            names = [e.module for e in stack]
            after = args["before"].removesuffix(".so")
            ok = after in names and names.index(module) < names.index(after)
            items.append(Item(source, f"{module} before {after}", " ".join(names), ok))
        return items


CHECK = Pam()
