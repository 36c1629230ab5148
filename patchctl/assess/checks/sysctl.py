"""sysctl: a kernel setting as it is now and as the files of sysctl.d set it at the next boot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, many_files
from patchctl.assess.checks.contract import Answers, Args, Argument, CheckType, Flaw, NotApplicable, Question
from patchctl.assess.matching import EXPECTATIONS, expectation_flaws, fits, repair_value, wanted
from patchctl.assess.reading.sysctl import FILES, by_hand, effective
from patchctl.assess.repairing import SET_KEY, ere, set_key
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

OWN_FILE = "/etc/sysctl.d/99-zz-patchctl.conf"
"""Where a repair sets keys: read after what distributions ship. /etc/sysctl.conf is read last of all by sysctl."""


class Sysctl(CheckType):
    name = "sysctl"
    summary = "A kernel setting has a value now, and the files of sysctl.d set it so at boot."
    arguments = (
        Argument("key", "text", "name with dots, as net.ipv4.ip_forward", required=True),
        *(a for a in EXPECTATIONS if a.name != "absent"),
        Argument("persistent", "flag", "false: only the value now counts (default true: the files too)"),
        Argument("runtime", "flag", "false: only the files count (default true)"),
    )
    example = '{key: net.ipv4.conf.all.accept_redirects, equals: "0"}'
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[a-z0-9_-]+([./][A-Za-z0-9_*-]+)+", args["key"]):
            yield Flaw("key", f"{args['key']!r} is no name of a sysctl", "write it with dots: kernel.kptr_restrict")
        if args.get("persistent") is False and args.get("runtime") is False:
            yield Flaw("runtime", "neither the value now nor the files would be looked at", "remove one of the two")
        yield from expectation_flaws(args)

    def questions(self, args: Args) -> Sequence[Question]:
        found = [Question(READ, _path(args["key"]))]
        return found + ([Question(READ, path) for path in FILES] if args.get("persistent", True) else [])

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        key, items = args["key"].replace("/", "."), []
        now = host.get(READ, _path(key))
        if now.missing:
            raise NotApplicable(f"the kernel has no {key}")
        if args.get("runtime", True):
            value = " ".join(now.text.split())
            items.append(Item(f"sysctl {key}", wanted(args), value, fits(args, value)))
        if args.get("persistent", True):
            files = [f for path in FILES for f in many_files(host, path)]
            boot, by_conf = effective(key, files), by_hand(key, files)
            if boot is None:
                items.append(Item("files of sysctl.d", wanted(args), f"{key} is set nowhere", False) if by_conf is None
                             else Item(by_conf.place, wanted(args), "set where not every boot reads it", None))
            items += [Item(s.place, wanted(args), s.value, fits(args, s.value)) for s in (boot, by_conf) if s]
        return items

    def repair(self, args: Args) -> Remediation | None:
        value = repair_value(args)
        if value is None:
            return None
        key = args["key"].replace("/", ".")
        pattern = f"^[ \\t]*-?[ \\t]*{ere(key).replace('[.]', '[./]')}[ \\t]*="
        parts = []
        if args.get("persistent", True):
            parts.append(SET_KEY)
            parts.append(
                "for f in /etc/sysctl.d/*.conf /etc/sysctl.conf; do\n"
                f'  if [ -f "$f" ] && [ "$f" != {OWN_FILE} ]; then pc_drop_key "$f" {quote_sh(pattern)}; fi\ndone\n')
            parts.append(set_key(OWN_FILE, pattern, f"{key} = {value}"))
        if args.get("runtime", True):
            parts.append(f"sysctl -qw {quote_sh(f'{key}={value}')}\n")
        return Remediation("declarative", "".join(parts), (OWN_FILE, "/etc/sysctl.conf"))


def _path(key: str) -> str:
    return "/proc/sys/" + key.replace(".", "/")


CHECK = Sysctl()
