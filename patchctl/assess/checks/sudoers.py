"""sudoers: Defaults and rules of /etc/sudoers and all it includes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, many_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, NotApplicable, Question
from patchctl.assess.matching import EXPECTATIONS, NAMES, expectation_flaws, fits, found_in, repair_value, wanted
from patchctl.assess.reading.sudoers import Line, counts_in_folder, defaults, read_lines
from patchctl.assess.repairing import PUT
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

MAIN = "/etc/sudoers"
OWN_FILE = "/etc/sudoers.d/zz-patchctl"


class Sudoers(CheckType):
    name = "sudoers"
    summary = "A Defaults setting of sudo is on, off or has a value; no rule matches a pattern."
    arguments = (
        Argument("defaults", "text", "name of a setting of a global Defaults line, as use_pty"),
        Argument("set", "flag", "it is set, or is not set (for settings without a value)"),
        *EXPECTATIONS,
        Argument("no_rule", "pattern", "no rule matches this regular expression, as NOPASSWD"),
        Argument("allow", "texts", "rules that may match all the same, each as it is written"),
    )
    example = "{defaults: use_pty, set: true}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if ("defaults" in args) == ("no_rule" in args):
            yield Flaw("", "say either defaults or no_rule", code="missing-argument")
        elif "defaults" in args and "set" not in args:
            yield from expectation_flaws(args)
        elif "defaults" not in args and (NAMES | {"set"}) & args.keys():
            yield Flaw("", "a value is expected, but of no setting", "add defaults: NAME")

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(READ, MAIN), Question(READ, "/etc/sudoers.d/*")]

    def more(self, args: Args, host: Answers) -> Sequence[Question]:
        found = _lines(host, strict=False)
        return [Question(READ, _asked(line)) for line in found if line.kind in ("include", "includedir")]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        if host.get(READ, MAIN).missing:
            raise NotApplicable("no /etc/sudoers: sudo is not installed")
        lines = _lines(host, strict=True)
        if "no_rule" in args:
            allowed = {" ".join(rule.split()) for rule in args.get("allow", ())}
            bad = [Item(line.place, f"no rule matching {args['no_rule']}", line.text, False) for line in lines
                   if line.kind == "rule" and found_in(args["no_rule"], line.text)
                   and " ".join(line.text.split()) not in allowed]
            return bad or [Item(MAIN, f"no rule matching {args['no_rule']}", "none", True)]
        name = args["defaults"]
        values = [(line.place, defaults(line)[name]) for line in lines if name in defaults(line)]
        place, value = values[-1] if values else (MAIN, None)
        if "set" in args:
            on = value is not None and value != "!"
            actual = "on" if on else "not set" if value is None else "off"
            return [Item(place, f"Defaults {name} {'on' if args['set'] else 'off'}", actual, on is args["set"])]
        shown = None if value in (None, "!") else value
        actual = "not set" if shown is None else shown
        return [Item(place, f"Defaults {name} {wanted(args)}", actual, fits(args, shown))]

    def repair(self, args: Args) -> Remediation | None:
        if "defaults" not in args:
            return None
        name, value = args["defaults"], repair_value(args)
        if "set" in args:
            line = f"Defaults {'' if args['set'] else '!'}{name}"
        elif value is not None:
            line = f'Defaults {name}="{value}"' if not value.isalnum() else f"Defaults {name}={value}"
        else:
            return None
        script = f"""{PUT}
new=$(if [ -e {OWN_FILE} ]; then grep -vE '^Defaults !?{name}(=|$)' {OWN_FILE} || true; fi
  printf '%s\\n' {quote_sh(line)})
printf '%s\\n' "$new" | visudo -cqf -
printf '%s\\n' "$new" | pc_put {OWN_FILE}; chmod 0440 {OWN_FILE}
grep -qE '^[#@]includedir[[:space:]]+/etc/sudoers.d' {MAIN} ||
  {{ cat {MAIN}; echo '@includedir /etc/sudoers.d'; }} | pc_put {MAIN}
visudo -cq
"""
        return Remediation("declarative", script, (OWN_FILE, MAIN))


def _asked(line: Line) -> str:
    return line.text if line.kind == "include" else f"{line.text.rstrip('/')}/*"


def _lines(host: Answers, *, strict: bool) -> list[Line]:
    """Return all lines in the order in which sudo reads them; with `strict` Unreadable where one was not collected."""
    found: list[Line] = []
    seen: set[str] = set()

    def visit(path: str, text: str, depth: int) -> None:
        if path in seen or depth > 20:
            return
        seen.add(path)
        for line in read_lines(path, text):
            found.append(line)
            if line.kind not in ("include", "includedir"):
                continue
            asked = _asked(line)
            if not strict and asked != "/etc/sudoers.d/*":
                continue
            for name, inner in many_files(host, asked):
                if line.kind == "include" or counts_in_folder(name.rpartition("/")[2]):
                    visit(name, inner, depth + 1)

    visit(MAIN, host.get(READ, MAIN).text, 0)
    return found


CHECK = Sudoers()
