"""group: a group has no members but those allowed, or is there or not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.accounts import ACCOUNTS, groups, users
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question
from patchctl.model.assessment import Item


class GroupCheck(CheckType):
    name = "group"
    summary = "A group is there or not, and has only the members allowed."
    arguments = (
        Argument("name", "text", "name of the group", required=True),
        Argument("state", "text", "present or absent", choices=("present", "absent")),
        Argument("members", "texts", "the only users that may be in it, by membership or as their primary group"),
        Argument("empty", "flag", "true: nobody is in it"),
    )
    example = "{name: shadow, empty: true}"

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not {"state", "members", "empty"} & args.keys():
            yield Flaw("", "nothing is expected of the group", "add state, members or empty", "missing-argument")

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(ACCOUNTS, "passwd"), Question(ACCOUNTS, "group")]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        source, found = f"group {args['name']}", next(
            ((gid, members) for name, gid, members in groups(host) if name == args["name"]), None)
        items = []
        if "state" in args:
            wanted = args["state"] == "present"
            items.append(Item(source, "there" if wanted else "not there", "there" if found else "not there",
                              bool(found) is wanted))
        if "members" in args or "empty" in args:
            inside = sorted({*found[1], *(u.name for u in users(host) if u.gid == found[0])}) if found else []
            allowed = args.get("members", ())
            extra = [name for name in inside if name not in allowed]
            items.append(Item(source, f"only {', '.join(allowed)}" if allowed else "nobody in it",
                              ", ".join(inside) or "nobody", not extra if args.get("empty", True) else bool(inside)))
        return items


CHECK = GroupCheck()
