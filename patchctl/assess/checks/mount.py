"""mount: a mount point's type and options, as it is mounted and as fstab says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchctl.assess.asking.files import READ, ask_files
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
from patchctl.assess.reading.fstab import Mounted, read_mounts
from patchctl.assess.repairing import PUT
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

NOW, TABLE = "/proc/self/mounts", "/etc/fstab"


class Mount(CheckType):
    name = "mount"
    summary = "A folder is a mount point of its own, mounted with options now and in fstab."
    arguments = (
        Argument("path", "path", "the mount point", required=True),
        Argument("options", "texts", "options it has"),
        Argument("lacks", "texts", "options it does not have"),
        Argument("type", "texts", "type of its file system (any of these)"),
        Argument("separate", "flag", "true: it must be a mount point (else the check does not apply where it is none)"),
        Argument("fstab", "flag", "false: only what is mounted now counts (default true)"),
    )
    example = "{path: /dev/shm, options: [nodev, nosuid, noexec]}"
    repairs = True

    def flaws(self, args: Args) -> Iterable[Flaw]:
        if not {"options", "lacks", "type", "separate"} & args.keys():
            yield Flaw("", "nothing is expected of the mount point", "add options, lacks, type or separate",
                       "missing-argument")

    def questions(self, args: Args) -> Sequence[Question]:
        return ask_files(NOW, TABLE) if args.get("fstab", True) else ask_files(NOW)

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        path = args["path"]
        mounted = read_mounts(host.get(READ, NOW).text)
        now = [m for m in mounted if m.path == path]
        if not now and not any(m.path == "/" for m in mounted):
            raise Unreadable(f"{NOW} does not tell what is mounted on /")
        if not now:
            if args.get("separate"):
                return [Item(path, "a mount point of its own", "part of another file system", False)]
            raise NotApplicable(f"{path} is no mount point of its own")
        items = [Item(path, "a mount point of its own", "mounted", True)] if args.get("separate") else []
        items += _judged(args, f"{path} as mounted", now[-1])
        if args.get("fstab", True) and {"options", "lacks"} & args.keys():
            table = [m for m in read_mounts(host.get(READ, TABLE).text) if m.path == path]
            items += (_judged(args, f"{path} in fstab", table[-1]) if table else
                      [Item(f"{path} in fstab", "a line with these options", "no line", False)])
        return items

    def repair(self, args: Args) -> Remediation | None:
        if {"lacks", "type", "separate"} & args.keys() or "options" not in args:
            return None
        path, options = args["path"], ",".join(args["options"])
        script = f"""{PUT}
p={quote_sh(path)} o={quote_sh(options)}
export p o
table() {{ if [ -e {TABLE} ]; then cat {TABLE}; fi; }}
new=$(table | awk '
  BEGIN {{ p = ENVIRON["p"]; n = split(ENVIRON["o"], want, ",") }}
  $0 !~ /^[ \\t]*#/ && $2 == p {{ found = 1
    for (i = 1; i <= n; i++) if (index("," $4 ",", "," want[i] ",") == 0) $4 = $4 "," want[i] }}
  {{ print }}
  END {{ if (!found) exit 3 }}') || new=$(table
  awk -v p="$p" '$2 == p {{ s = $1 " " $2 " " $3 }} END {{ print s }}' {NOW} | while read -r dev where kind; do
    printf '%s %s %s defaults,%s 0 0\\n' "$dev" "$where" "$kind" "$o"; done)
printf '%s\\n' "$new" | pc_put {TABLE}
mount -o "remount,$o" "$p"
"""
        return Remediation("declarative", script, (TABLE,), f"remounts {path}")


def _judged(args: Args, source: str, found: Mounted) -> list[Item]:
    items, shown = [], ",".join(found.options)
    if "type" in args:
        items.append(Item(source, f"type {' or '.join(args['type'])}", found.type, found.type in args["type"]))
    items += [Item(source, f"option {o}", shown, o in found.options) for o in args.get("options", ())]
    items += [Item(source, f"no option {o}", shown, o not in found.options) for o in args.get("lacks", ())]
    return items


CHECK = Mount()
