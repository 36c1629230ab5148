"""walk: files of all local file systems that nobody should find: set-uid, world-writable, without an owner."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from patchctl.assess.asking.frames import END, PRELUDE
from patchctl.assess.checks.contract import Answers, Args, Argument, Batch, CheckType, Question, Unreadable
from patchctl.assess.repairing import CHMOD_FOUND
from patchctl.model.assessment import Item, Remediation
from patchctl.model.text import quote_sh

KINDS = {
    "suid": r"-type f -perm /4000", "sgid": r"-type f -perm /2000", "world-writable-file": r"-type f -perm -0002",
    "world-writable-folder": r"-type d -perm -0002 ! -perm -1000", "unowned": r"\( -nouser -o -nogroup \)",
}
LIMIT = 20000
"""Matches of all kinds that are brought home; where there are more, nothing is said about any kind."""

# One find for all kinds and all local file systems; each is walked by itself (-xdev), remote ones never. What find
# could not read makes all kinds unknown, but for what vanished meanwhile and mount points that root may not look into
# (FUSE), which are file systems of their own.
_SCRIPT = r"""
pc_none() { for pc_k in KINDS; do printf '@@ %s\n@! %s\n' "$pc_k" "$1"; done; }
pc_find() {
  pc_bad=$({ LC_ALL=C find "$@" -xdev EXPRESSION 2>&1 >&3 3>&-; echo "@ $?"; } | awk '
    BEGIN { while ((getline line < "/proc/self/mounts") > 0) { split(line, f, " "); mounted[f[2]] = 1 } }
    /^@ [0-9]+$/ { rc = substr($0, 3); next }
    /: No such file or directory$/ { next }
    /: Permission denied$/ { at = $0; sub(/^find: ./, "", at); sub(/.: Permission denied$/, "", at)
      if (at in mounted) next }
    !bad { bad = $0 }
    END { if (rc == "" || rc > 1) bad = "find ended with exit code " rc; print "end " bad }')
  printf '%s\000' "${pc_bad:-end awk failed}"
}
if ! find --version 2>/dev/null | grep -q GNU || [ ! -r /proc/self/mounts ]; then
  pc_none 'needs GNU find'
else
  pc_roots=$(awk '$3 ~ /^(ext[234]|xfs|btrfs|zfs|jfs|reiserfs|f2fs|vfat|overlay|tmpfs|ramfs|bcachefs)$/ &&
    $2 !~ /^\/(proc|sys|dev)(\/|$)/ && !seen[$2]++ { print $2 }' /proc/self/mounts)
  IFS='
'; set -f; set -- $pc_roots; set +f; unset IFS
  if [ $# -eq 0 ]; then
    pc_none 'no local file system of a kind that is known'
  else
    { pc_find "$@" 3>&1; } | tr '\n\000' '?\n' | awk -v limit=LIMIT '
      /^end / { ended = 1; bad = substr($0, 5); next }
      ++n <= limit { at = index($0, " "); kind = substr($0, 1, at - 1)
        all[kind] = all[kind] "=" substr($0, at + 1) "\n" }
      END { split("KINDS", kinds, " "); for (i = 1; i in kinds; i++) { print "@@ " kinds[i]
        if (!ended) print "@! the walk came to no end"
        else if (bad != "") print "@! " bad
        else if (n > limit) print "@! more than " limit " matches"
        else printf "%s", all[kinds[i]] } }'
  fi
fi
"""


def _script(questions: Sequence[str]) -> str:
    parts = [f"\\( {KINDS[q]} -printf '{q} %m %p\\0' \\)" for q in questions if q in KINDS]
    script = _SCRIPT.replace("EXPRESSION", " , ".join(parts)).replace("KINDS", " ".join(questions))
    return f"{PRELUDE}{script.replace('LIMIT', str(LIMIT))}{END}"


WALK = Batch("walk", _script, root=True, timeout=600, cap=8 * 1024 * 1024)


class Walk(CheckType):
    name = "walk"
    summary = "No file on a local file system is set-uid, world-writable or without an owner, but those allowed."
    arguments = (
        Argument("find", "text", "what must not be there", required=True, choices=tuple(KINDS)),
        Argument("allow", "texts", "paths or globs that may be so; * stands for / too"),
    )
    example = "{find: world-writable-folder, allow: [/var/lib/queue/*]}"
    repairs = True

    def questions(self, args: Args) -> Sequence[Question]:
        return [Question(WALK, args["find"])]

    def judge(self, args: Args, host: Answers) -> Sequence[Item]:
        bad, expected = [], f"nothing {args['find']}" + (" but what is allowed" if "allow" in args else "")
        for line in host.get(WALK, args["find"]).lines:
            found = re.fullmatch(r"([0-7]+) (/.*)", line)
            if found is None:
                raise Unreadable(f"walk: find said {line!r}")
            if not any(fnmatch.fnmatchcase(found[2], glob) for glob in args.get("allow", ())):
                bad.append(Item(found[2], expected, f"mode {found[1].zfill(4)}", False))
        return bad or [Item("local file systems", expected, "none found", True)]

    def repair(self, args: Args) -> Remediation | None:
        change = {"world-writable-file": "o-w", "world-writable-folder": "+t"}.get(args["find"])
        if change is None:
            return None
        skip = " ".join(f"! -path {quote_sh(glob)}" for glob in args.get("allow", ()))
        return Remediation("declarative", (
            CHMOD_FOUND +
            "awk '$3 ~ /^(ext[234]|xfs|btrfs|zfs|jfs|f2fs|overlay|tmpfs|ramfs)$/ && $2 !~ /^\\/(proc|sys|dev)(\\/|$)/ "
            "&& !seen[$2]++ { print $2 }' /proc/self/mounts | while read -r m; do\n"
            f"  pc_chmod_found {change} \"$m\" -xdev {KINDS[args['find']]} {skip}\ndone\n"))


CHECK = Walk()
