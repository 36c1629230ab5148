"""audit: a rule of the kernel's audit system is loaded and stands in the files of rules.d."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from patchctl.assess.asking.files import READ, many_files
from patchctl.assess.asking.frames import said_by
from patchctl.assess.asking.system import AUDIT
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, NotApplicable, Question, Unreadable
from patchctl.assess.repairing import DO, ENSURE_LINE
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import one_line, quote_sh

FILES = ("/etc/audit/rules.d/*.rules",)
OWN_FILE = "/etc/audit/rules.d/50-patchctl.rules"


class Audit(CheckType):
    name = "audit"
    summary = ("An audit rule is loaded (auditctl -l), auditing is on, and the rule is on disk (rules.d); keys and "
               "order of fields do not matter.")
    arguments = (
        Argument("rule", "text", "the rule as auditctl takes it, without -k", required=True),
        Argument("loaded", "flag", "false: what is loaded does not count (default true)"),
        Argument("disk", "flag", "false: files do not count (default true)"),
    )
    example = '{rule: "-w /etc/sudoers -p wa"}'
    repairs = True

    def questions(self, args: Args) -> Sequence[Question]:
        found = [Question(AUDIT, "rules"), Question(AUDIT, "status")] if args.get("loaded", True) else []
        return found + ([Question(READ, path) for path in FILES] if args.get("disk", True) else [])

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        want, items = normal(args["rule"]), []
        if args.get("disk", True):
            texts = [(path, text) for glob in FILES for path, text in many_files(host, glob)]
            place = next((path for path, text in texts for line in text.splitlines() if normal(line) == want), "")
            items.append(Item(place or "/etc/audit/rules.d", args["rule"], "there" if place else "no such rule",
                              bool(place)))
        if args.get("loaded", True):
            said = said_by(host, AUDIT, "rules")
            if said.missing:
                raise NotApplicable("no auditctl: the audit system is not installed")
            if not said.lines or not all(line.startswith("-") or line == "No rules" for line in said.lines):
                raise Unreadable(f"auditctl -l said {one_line(said.text, 120)!r}")
            there = any(normal(line) == want for line in said.lines)
            items.append(Item("auditctl -l", args["rule"], "loaded" if there else "not loaded", there))
            if there:
                enabled = re.search(r"^enabled ([0-9]+)$", said_by(host, AUDIT, "status").text, re.MULTILINE)
                if enabled is None:
                    raise Unreadable("auditctl -s does not tell whether auditing is enabled")
                items.append(Item("auditctl -s", "auditing enabled", f"enabled {enabled[1]}", enabled[1] != "0"))
        return items

    def repair(self, args: Args) -> Remediation | None:
        script = f"{ENSURE_LINE}pc_ensure_line {OWN_FILE} {quote_sh(args['rule'])}\n"
        if args.get("loaded", True):
            script += f"{DO}pc_do 'augenrules --load' augenrules --load >/dev/null\n"
        return Remediation("declarative", script, (OWN_FILE,))


def normal(rule: str) -> tuple[str, ...]:
    """Return a rule in a form that is the same for all spellings, the kernel's own (auditctl -l) too.

    Options are sorted, lists split, keys left out, `-S all` is what a rule without system calls means; 4294967295,
    unset and -1 are one user, numbers and names of errors are numbers, folders have no slash at their end.
    """
    rule = re.sub(r"(-k\s+\S+|-F\s+key=\S+)", "", rule.split("#")[0])
    words, parts = rule.split(), []
    at = 0
    while at < len(words):
        word = words[at]
        value = words[at + 1] if word.startswith("-") and at + 1 < len(words) and words[at + 1][0] != "-" else ""
        at += 2 if value else 1
        if word == "-a":
            value = ",".join(sorted(value.split(",")))
        if word == "-p":
            value = "".join(sorted(value))
        if word == "-w" or re.match(r"(path|dir)=", value):
            value = value.rstrip("/")
        if word == "-F":
            value = _plain_field(value)
        parts += [f"{word} {v}" for v in value.split(",")] if word == "-S" else [f"{word} {value}".strip()]
    return tuple(sorted(part for part in parts if part != "-S all"))


def _plain_field(field: str) -> str:
    found = re.fullmatch(r"(\w+)(!=|>=|<=|&=|=|>|<|&)(.*)", field)
    if found is None:
        return field
    name, sign, value = found.groups()
    if name == "perm":
        value = "".join(sorted(value))
    elif name in ("auid", "loginuid", "uid", "euid", "suid", "fsuid", "obj_uid", "sessionid"):
        name = "auid" if name == "loginuid" else name
        value = "-1" if value in ("unset", "4294967295") else value
    elif name == "exit" and hasattr(errno, value.lstrip("-")):
        value = f"{'-' * value.startswith('-')}{getattr(errno, value.lstrip('-'))}"
    elif re.fullmatch(r"0[xX][0-9a-fA-F]+", value):
        value = str(int(value, 16))
    return f"{name}{sign}{value}"


CHECK = Audit()
