"""grub: parameters of the kernel's command line, now and in GRUB's settings; a password on GRUB's menu."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, ask_files, many_files
from patchctl.assess.checks.contract import (
    Answers,
    Args,
    Argument,
    CheckType,
    Flaw,
    NotApplicable,
    Question,
    Unreadable,
)
from patchctl.assess.reading.keyvalue import read_values
from patchctl.assess.repairing import DO, SET_KEY
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

NOW, DEFAULT, MENU = "/proc/cmdline", "/etc/default/grub", "/boot/grub*/grub.cfg"
ENTRIES, VARIABLES = "/boot/loader/entries/*.conf", "/boot/grub2/grubenv"
"""Where grub.cfg says blscfg, boot entries are files of their own; what they call $kernelopts stands in grubenv."""
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
        return ask_files(NOW, DEFAULT, "/etc/default/grub.d/*.cfg", MENU, ENTRIES, VARIABLES)

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
            line = host.get(READ, NOW).text.split() if not host.get(READ, NOW).missing else []
            if not line:
                raise Unreadable(f"{NOW} tells nothing")
            items.append(Item(NOW, expected, " ".join(line), (parameter in line) is wanted))
        values: dict[str, str] = {}
        for path, text in [*many_files(host, DEFAULT), *many_files(host, "/etc/default/grub.d/*.cfg")]:
            values |= {v.key: v.value for v in read_values(path, text) if v.key in _KEYS}
        words = " ".join(values.values()).split()
        items.append(Item(DEFAULT, expected, " ".join(words) or "no parameters", (parameter in words) is wanted))
        for path, text in menus:
            good = [(parameter in line) is wanted for line in _entries(text, host)]
            if not good:
                raise Unreadable(f"{path} has no entry that starts Linux, as far as can be told")
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


def _entries(menu: str, host: Answers) -> list[list[str]]:
    """Return the kernel's parameters of each boot entry of a grub.cfg; those to recover a system by do not count."""
    lines = re.findall(r"^\s*linux(?:16|efi)?\s+\S+[ \t]*(.*)$", menu, re.MULTILINE)
    if re.search(r"^\s*blscfg\b", menu, re.MULTILINE):
        grubenv = host.get(READ, VARIABLES)
        options = {} if grubenv.missing else {v.key: v.value for v in read_values(VARIABLES, grubenv.text)}
        for _, text in many_files(host, ENTRIES):
            found = re.search(r"^options[ \t]+(.*)$", text, re.MULTILINE)
            words = found[1].split() if found else []
            lines.append(" ".join(options.get(word[1:], "") if word[:1] == "$" else word for word in words))
    return [words for line in lines if not {"single", "recovery"} & set(words := line.split())]


CHECK = Grub()
