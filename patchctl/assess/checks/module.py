"""module: a kernel module cannot be loaded, or is loaded or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, many_files
from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.checks.contract import Answers, Args, Argument, Batch, CheckType, Flaw, Question, Unreadable
from patchctl.assess.reading.modprobe import FILES, read_rules
from patchctl.assess.repairing import DO, ENSURE_LINE
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

OWN_FILE = "/etc/modprobe.d/patchctl.conf"

# modules.builtin of the running kernel may be missing (containers, kernels of one's own). What is in sysfs and was not
# loaded (no initstate) is then known to be built in; of others nobody can tell: not all built-in ones are in sysfs.
_SCRIPT = r"""
echo '@@ loaded'
if [ -r /proc/modules ]; then awk '{ print "=" $1 }' /proc/modules || pc_bad 'awk failed'
else echo '@! /proc/modules is not readable'; fi
echo '@@ builtin'
pc_r=$(uname -r)
pc_b=/lib/modules/$pc_r/modules.builtin
if [ -z "$pc_r" ]; then echo '@! uname failed'
elif [ -r "$pc_b" ]; then awk -F/ '{ sub(/\.ko.*$/, "", $NF); print "=" $NF }' "$pc_b" || pc_bad 'awk failed'
else echo "@- no $pc_b"; fi
echo '@@ sysfs'
for pc_m in /sys/module/*; do
  if [ -d "$pc_m" ] && ! [ -e "$pc_m/initstate" ]; then printf '=%s\n' "${pc_m##*/}"; fi
done
"""


def _script(questions: Sequence[str]) -> str:
    return f"{PRELUDE}{_SCRIPT}{END}"


MODULES = Batch("module", _script, timeout=30)


class Module(CheckType):
    name = "module"
    summary = "A kernel module cannot be loaded by anybody, or is loaded, or is not."
    arguments = (
        Argument("name", "text", "name of the module; - and _ are one", required=True),
        Argument("loadable", "flag", "false: modprobe refuses it (install ... /bin/false) and it is blacklisted"),
        Argument("loaded", "flag", "it is loaded now, or is not"),
    )
    example = "{name: dccp, loadable: false}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", args["name"]):
            yield Flaw("name", f"{args['name']!r} is no name of a module")
        if not {"loadable", "loaded"} & args.keys():
            yield Flaw("", "nothing is expected of the module", "add loadable: false or loaded: false",
                       "missing-argument")

    def questions(self, args: Args) -> Sequence[Question]:
        found = [Question(MODULES, part) for part in ("loaded", "builtin", "sysfs")
                 if part != "loaded" or "loaded" in args]
        return found + ([Question(READ, path) for path in FILES] if "loadable" in args else [])

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        name, items = args["name"].replace("-", "_"), []
        if "loaded" in args:
            loaded = name in host.get(MODULES, "loaded").lines
            builtin = not loaded and _is_builtin(name, host)
            items.append(Item("/proc/modules", "loaded" if args["loaded"] else "not loaded",
                              "built into the kernel" if builtin else "loaded" if loaded else "not loaded",
                              (loaded or builtin) is args["loaded"]))
        if "loadable" in args:
            rules = read_rules([f for path in FILES for f in many_files(host, path)])
            refused, blacklisted = name in rules.refused, name in rules.blacklisted
            # What modprobe does not refuse can be had either way.
            builtin = refused and blacklisted and _is_builtin(name, host)
            actual = ("built into the kernel" if builtin else
                      f"{'install is refused' if refused else 'install is allowed'}, "
                      f"{'blacklisted' if blacklisted else 'not blacklisted'}")
            free = builtin or not (refused and blacklisted)
            items.append(Item("modprobe.d", "loadable" if args["loadable"] else "install refused and blacklisted",
                              actual, free is args["loadable"]))
        return items

    def repair(self, args: Args) -> Remediation | None:
        if args.get("loadable") is True or args.get("loaded") is True:
            return None
        name, parts = args["name"].replace("-", "_"), []
        if "loadable" in args:
            parts.append(ENSURE_LINE)
            parts += [f"pc_ensure_line {OWN_FILE} {quote_sh(line)}\n"
                      for line in (f"install {name} /bin/false", f"blacklist {name}")]
        if "loaded" in args:
            parts.append(DO)
            parts.append(f"if grep -q '^{name} ' /proc/modules; then pc_do 'modprobe {name}' modprobe -r {name}; fi\n")
        return Remediation("declarative", "".join(parts), (OWN_FILE,), f"the module {name} is not to be had any more")


def _is_builtin(name: str, host: Answers) -> bool:
    """Say whether a module is a part of the kernel. Raise Unreadable where nothing tells."""
    listed = host.get(MODULES, "builtin")
    if not listed.missing:
        return name in {line.replace("-", "_") for line in listed.lines}
    if name in {line.replace("-", "_") for line in host.get(MODULES, "sysfs").lines}:
        return True
    raise Unreadable(f"whether {name} is built into the kernel is not known: {listed.text}")


CHECK = Module()
