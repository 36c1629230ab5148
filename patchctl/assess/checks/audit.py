"""audit: a rule of the kernel's audit system is loaded and stands in the files of rules.d."""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.assess.asking.files import READ, many_files
from patchctl.assess.asking.system import AUDIT
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, NotApplicable, Question, Unreadable
from patchctl.assess.repairing import DO, ENSURE_LINE
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

FILES = ("/etc/audit/rules.d/*.rules",)
OWN_FILE = "/etc/audit/rules.d/50-patchctl.rules"


class Audit(CheckType):
    name = "audit"
    summary = "An audit rule is loaded (auditctl -l) and on disk (rules.d); keys and order of fields do not matter."
    arguments = (
        Argument("rule", "text", "the rule as auditctl takes it, without -k", required=True),
        Argument("loaded", "flag", "false: what is loaded does not count (default true)"),
        Argument("disk", "flag", "false: files do not count (default true)"),
    )
    example = '{rule: "-w /etc/sudoers -p wa"}'
    repairs = True

    def questions(self, args: Args) -> Sequence[Question]:
        found = [Question(AUDIT, "rules")] if args.get("loaded", True) else []
        return found + ([Question(READ, path) for path in FILES] if args.get("disk", True) else [])

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        want, items = normal(args["rule"]), []
        if args.get("disk", True):
            texts = [(path, text) for glob in FILES for path, text in many_files(host, glob)]
            place = next((path for path, text in texts for line in text.splitlines() if normal(line) == want), "")
            items.append(Item(place or "/etc/audit/rules.d", args["rule"], "there" if place else "no such rule",
                              bool(place)))
        if args.get("loaded", True):
            said = host.get(AUDIT, "rules")
            if said.missing:
                raise NotApplicable("no auditctl: the audit system is not installed")
            if said.rc:
                raise Unreadable(f"auditctl -l failed: {said.text.strip()}")
            there = any(normal(line) == want for line in said.lines)
            items.append(Item("auditctl -l", args["rule"], "loaded" if there else "not loaded", there))
        return items

    def repair(self, args: Args) -> Remediation | None:
        script = f"{ENSURE_LINE}pc_ensure_line {OWN_FILE} {quote_sh(args['rule'])}\n"
        if args.get("loaded", True):
            script += f"{DO}pc_do 'augenrules --load' augenrules --load >/dev/null\n"
        return Remediation("declarative", script, (OWN_FILE,))


def normal(rule: str) -> tuple[str, ...]:
    """Return a rule in a form that is the same for all spellings: options sorted, lists split, keys left out."""
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
        parts += [f"{word} {v}" for v in value.split(",")] if word == "-S" else [f"{word} {value}".strip()]
    return tuple(sorted(parts))


CHECK = Audit()
