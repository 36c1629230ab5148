"""user: accounts: who has uid 0, whose password is empty, how passwords age, which shells are allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.accounts import ACCOUNTS, Shadow, User, groups, shadows, users
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, Question
from patchctl.model.assessment import Item, Remediation

_AGES = ("max_days", "min_days", "warn_days", "inactive_days")
_WORDS = {
    "max_days": "changed after at most {} days", "min_days": "kept for at least {} days",
    "warn_days": "warned of {} days before", "inactive_days": "locked at most {} days after it expired",
}


class UserCheck(CheckType):
    name = "user"
    summary = "Accounts exist or not, and their uid, group, shell, password state and password ageing are as expected."
    arguments = (
        Argument("name", "text", "one user"),
        Argument("users", "text", "all; people (uid 1000 and up, may log in); system (below 1000, root not); "
                 "password (with a password that opens)", choices=("all", "people", "system", "password")),
        Argument("state", "text", "present or absent (with name)", choices=("present", "absent")),
        Argument("password", "text", "not-empty; no-login: no password opens it", choices=("not-empty", "no-login")),
        Argument("method", "texts", "ways a password may be hashed: y (yescrypt), 6 (SHA-512), gy, 5"),
        Argument("uid", "whole", "its uid (with name)"),
        Argument("gid", "whole", "its primary group's id"),
        Argument("only_root", "flag", "true: no user but root has uid 0"),
        Argument("shells", "texts", "shells they may have"),
        Argument("unique", "text", "no two share it", choices=("uid", "name", "gid", "group")),
        Argument("max_days", "whole", "a password is to be changed after at most this many days"),
        Argument("min_days", "whole", "it is kept for at least this many days"),
        Argument("warn_days", "whole", "the user is warned at least this many days before"),
        Argument("inactive_days", "whole", "the account is locked at most this many days after"),
    )
    example = "{users: password, max_days: 365}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        alone = {"only_root", "unique"} & args.keys()
        if ("name" in args) + ("users" in args) + bool(alone) != 1:
            yield Flaw("", "say whose accounts: one of name, users, unique, only_root", code="missing-argument")
        elif not alone and len(args) < 2:
            yield Flaw("", "nothing is expected of the accounts", "add password, max_days ...", "missing-argument")

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(ACCOUNTS, part) for part in ("passwd", "group", "shadow")]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        known = users(host)
        if args.get("only_root"):
            others = sorted(u.name for u in known if u.uid == 0 and u.name != "root")
            return [Item("passwd", "uid 0 for root only", f"also {', '.join(others)}" if others else "root only",
                         not others)]
        if "unique" in args:
            return _unique(args["unique"], known, host)
        if args.get("state") == "absent" or ("name" in args and args["name"] not in {u.name for u in known}):
            there = args["name"] in {u.name for u in known}
            wanted = args.get("state", "present") == "present"
            return [Item(f"user {args['name']}", "there" if wanted else "not there",
                         "there" if there else "not there", there is wanted)]
        needed = bool({"password", "method", *_AGES} & args.keys()) or args.get("users") == "password"
        shadow = shadows(host) if needed else {}
        chosen = [u for u in known if self._chosen(args, u, shadow.get(u.name))]
        items = [item for u in chosen for item in _one(args, u, shadow.get(u.name))]
        return items or [Item("accounts", "as expected", f"{len(chosen)} accounts", True)]

    def _chosen(self, args: Args, user: User, shadow: Shadow | None) -> bool:
        if "name" in args:
            return bool(user.name == args["name"])
        return bool({
            "all": True, "people": user.uid >= 1000 and user.name != "nobody" and user.may_log_in,
            "system": 0 < user.uid < 1000,
            "password": shadow is not None and shadow.password not in ("locked", "none", "empty"),
        }[args["users"]])

    def repair(self, args: Args) -> Remediation | None:
        which = {"password": "$2 !~ /^[!*]/ && $2 != \"\""}.get(args.get("users", ""))
        flags = {"max_days": "-M", "min_days": "-m", "warn_days": "-W", "inactive_days": "-I"}
        given = [name for name in _AGES if name in args]
        if given and which and not {"password", "method", "shells", "gid"} & args.keys():
            words = " ".join(f"{flags[name]} {args[name]}" for name in given)
            return Remediation("declarative",
                               f"awk -F: '{which} {{ print $1 }}' /etc/shadow | while read -r u; do "
                               f'chage {words} -- "$u"; done\n', ("/etc/shadow",), "passwords may be due at once")
        if args.get("password") == "not-empty" and args.get("users") == "all" and len(args) == 2:
            return Remediation("declarative", "awk -F: '$2 == \"\" { print $1 }' /etc/shadow | while read -r u; do "
                               'passwd -l -- "$u" >/dev/null; usermod -p "!" -- "$u"; done\n', ("/etc/shadow",),
                               "locks the accounts that have no password")
        return None


def _unique(what: str, known: Sequence[User], host: Answers) -> list[Item]:
    if what in ("gid", "group"):
        values = [str(gid) if what == "gid" else name for name, gid, _ in groups(host)]
    else:
        values = [str(u.uid) if what == "uid" else u.name for u in known]
    twice = sorted(value for value, count in Counter(values).items() if count > 1)
    return [Item("group" if what in ("gid", "group") else "passwd", f"each {what} once",
                 f"several times: {', '.join(twice)}" if twice else "each once", not twice)]


def _one(args: Args, user: User, shadow: Shadow | None) -> list[Item]:
    source, items = f"user {user.name}", []
    for name, value in (("uid", user.uid), ("gid", user.gid)):
        if name in args:
            items.append(Item(source, f"{name} {args[name]}", f"{name} {value}", value == args[name]))
    if "shells" in args:
        items.append(Item(source, f"shell {' or '.join(args['shells'])}", user.shell, user.shell in args["shells"]))
    if shadow is None:
        missing = {"password", "method", *_AGES} & args.keys()
        return items + ([Item(source, "as expected", "shadow has no line for it", None)] if missing else [])
    if args.get("password") == "not-empty":
        items.append(Item(source, "a password, or none opens it", shadow.password, shadow.password not in ("empty",)))
    if args.get("password") == "no-login":
        items.append(Item(source, "no password opens it", shadow.password, shadow.password in ("locked", "none")))
    if "method" in args and shadow.password not in ("locked", "none", "empty"):
        items.append(Item(source, f"hashed by {' or '.join(args['method'])}", shadow.password,
                          shadow.password in args["method"]))
    for name in _AGES:
        if name in args:
            value = getattr(shadow, name)
            least = name in ("min_days", "warn_days")
            ok = value is not None and (value >= args[name] if least else 0 <= value <= args[name])
            items.append(Item(source, _WORDS[name].format(args[name]), "not set" if value is None else f"{value} days",
                              ok))
    return items


CHECK = UserCheck()
