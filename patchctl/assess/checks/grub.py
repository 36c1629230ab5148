"""grub: parameters of the kernel's command line, now and in GRUB's settings; a password on GRUB's menu."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, ask_files, many_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, NotApplicable, Question
from patchctl.assess.reading.keyvalue import read_values
from patchctl.assess.repairing import DO, SET_KEY
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

NOW, DEFAULT, MENU = "/proc/cmdline", "/etc/default/grub", "/boot/grub*/grub.cfg"
_KEYS = ("GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT")


class Grub(CheckType):
    name = "grub"
    summary = "The kernel is started with a parameter (now, in /etc/default/grub and in grub.cfg); GRUB has a password."
    arguments = (
        Argument("parameter", "text", "as on the command line: audit=1"),
        Argument("present", "flag", "false: it must not be there (default true)"),
        Argument("running", "flag", "false: the kernel that runs now does not count (default true)"),
        Argument("password", "flag", "true: changing menu entries takes a password"),
    )
    example = "{parameter: audit=1}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if ("parameter" in args) == ("password" in args):
            yield Flaw("", "say either parameter or password", code="missing-argument")
        if not re.fullmatch(r"[A-Za-z0-9_.=,:/-]*", args.get("parameter", "")):
            yield Flaw("parameter", f"{args['parameter']!r} is no kernel parameter")

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(NOW, DEFAULT, "/etc/default/grub.d/*.cfg", MENU)

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        menus = many_files(host, MENU)
        default = host.get(READ, DEFAULT)
        if default.missing and not menus:
            raise NotApplicable("the host does not boot by GRUB")
        if "password" in args:
            ok = any(re.search(r"^\s*password_pbkdf2\s", text, re.MULTILINE) and
                     re.search(r"^\s*set superusers=", text, re.MULTILINE) for _, text in menus)
            return [Item("grub.cfg", "a password" if args["password"] else "no password",
                         "a password" if ok else "no password", ok is args["password"])]
        parameter, wanted = args["parameter"], args.get("present", True)
        expected = f"{parameter} {'there' if wanted else 'not there'}"
        items = []
        if args.get("running", True):
            line = host.get(READ, NOW).text.split()
            items.append(Item(NOW, expected, " ".join(line), (parameter in line) is wanted))
        values: dict[str, str] = {}
        for path, text in [(DEFAULT, default.text), *many_files(host, "/etc/default/grub.d/*.cfg")]:
            values |= {v.key: v.value for v in read_values(path, text) if v.key in _KEYS}
        words = " ".join(values.values()).split()
        items.append(Item(DEFAULT, expected, " ".join(words) or "no parameters", (parameter in words) is wanted))
        for path, text in menus:
            lines = re.findall(r"^\s*linux\s+\S+\s*(.*)$", text, re.MULTILINE)
            good = [(parameter in line.split()) is wanted for line in lines if "recovery" not in line]
            items.append(Item(path, expected, f"{good.count(True)} of {len(good)} entries are so", all(good)))
        return items

    def repair(self, args: Args) -> Remediation | None:
        if "parameter" not in args or args.get("present") is False:
            return None
        parameter = quote_sh(args["parameter"])
        script = f"""{SET_KEY}{DO}
p={parameter}; export p
{{ cat {DEFAULT}; grep -q '^GRUB_CMDLINE_LINUX=' {DEFAULT} || echo 'GRUB_CMDLINE_LINUX=""'; }} |
awk '/^GRUB_CMDLINE_LINUX=/ {{ p = ENVIRON["p"]; v = $0; sub(/^[^=]*=/, "", v); gsub(/["\\047]/, "", v)
  if (index(" " v " ", " " p " ") == 0) v = v (v == "" ? "" : " ") p
  print "GRUB_CMDLINE_LINUX=\\"" v "\\""; next }} {{ print }}' | pc_put {DEFAULT}
if pc_has update-grub; then pc_do update-grub update-grub
elif pc_has grub2-mkconfig; then
  pc_do 'grub2-mkconfig -o /boot/grub2/grub.cfg' grub2-mkconfig -o /boot/grub2/grub.cfg; fi
"""
        return Remediation("declarative", script, (DEFAULT,), reboot=True)


CHECK = Grub()
