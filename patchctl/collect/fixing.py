"""The texts that repair a host: the runner's payload, its listing, and the preview that changes nothing. Pure.

The payload puts a copy of what it changes below BACKUPS/ATTEMPT, one folder a fix: `script` (what was run), `restore`
(takes it back), `root/` (files as they were). A fix that fails is taken back at once. The last KEPT attempts stay.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from patchctl.collect.fix_functions import APPLY, PREVIEW
from patchctl.model.evidence import Probe
from patchctl.model.plan import Fix
from patchctl.model.rollout import Signature
from patchctl.model.text import one_line, quote_sh, strip_control

BACKUPS = "/var/backups/patchctl"
KEPT = 5
"""Attempts whose backups stay on a host; older ones go when another begins."""
ACCESS_TIME = 180
"""Seconds in which somebody must log in anew after a fix that concerns the way in, or it is taken back."""
DOORS = "/etc/ssh/sshd_config /etc/ssh/sshd_config.d/* /etc/sudoers /etc/sudoers.d/* /etc/pam.d/* /etc/security/*.conf"
"""Shell words: the files that decide who gets in and who becomes root."""
PREVIEW_LINES = 200
"""Lines of a preview that are kept for one fix."""
PREVIEW_CAP = 2 * 1024 * 1024
RESULTS = ("applied", "failed", "taken-back")
SIGNATURES = (
    Signature(
        "fix-not-confirmed", "access",
        r"^patchctl: fix-failed (?P<name>\S+) nobody has logged in anew since; (?P<back>.*)",
        "{name} concerns the way in, and nobody logged in anew after it: {back}",
    ),
    Signature("fix-no-backup", "disk", r"^patchctl: no-backup (?P<why>.*)", "{why}"),
    Signature("fix-failed", "fix", r"^patchctl: fix-failed (?P<name>\S+) (?P<why>.*)",
              "the fix of {name} failed: {why}"),
)
"""What a payload says of its failures; tried before those of the host's platform."""

_PAYLOAD = r"""
umask 077
PC_ALL=@BACKUPS@/@ATTEMPT@
mkdir -p @BACKUPS@ && chmod 0700 @BACKUPS@ && mkdir "$PC_ALL" && cat >"$PC_ALL/functions" <<'@END@' || {
@FUNCTIONS@
@END@
  echo 'patchctl: no-backup nothing can be put aside below @BACKUPS@, so nothing was changed'; exit 1; }
ls -1dt @BACKUPS@/*/ 2>/dev/null | tail -n +@BEYOND@ | while IFS= read -r old; do rm -rf -- "$old"; done
failed=0 doors= reload=
# In each restore: what is as it was is left alone, so that a file which could not be changed is no failure.
same='same() { [ -f "$1" ] && [ -f "$2" ] && [ ! -h "$1" ] && [ ! -h "$2" ] && cmp -s -- "$1" "$2" &&
  [ "$(stat -c "%u %g %a" -- "$1")" = "$(stat -c "%u %g %a" -- "$2")" ]; }'
tell() { printf '%s:fix %s\n' "$1" "$2" >>"$PC_ALL/results"; }
# one NUMBER OF NAME KIND ACCESS FILES... ; the script is its standard input
one() {
  number=$1 of=$2 name=$3 kind=$4 access=$5; shift 5
  echo "patchctl: step fix $number of $of: $name"
  PC_DIR=$PC_ALL/$number; export PC_DIR
  # What it complains of goes to a file whose room is taken beforehand: a full disk must not silence it.
  mkdir "$PC_DIR" && cat >"$PC_DIR/script" && awk 'BEGIN { for (i = 0; i < 512; i++) print "" }' >"$PC_DIR/said" || {
    failed=1; echo "patchctl: fix-failed $name there is no room to put anything aside"; return; }
  printf '%s\n' "$name" >"$PC_DIR/name"
  [ "$kind" = declarative ] || [ $# -gt 0 ] || echo 1 >"$PC_DIR/blind"
  # Scripts do not say what else of the way in they change, so all of it is put aside; what is new there goes, too.
  case $access$kind in
    1declarative|0*) ;;
    *) for file in @DOORS@; do if [ -f "$file" ]; then set -- "$@" "$file"; printf '%s\n' "$file"; fi
       done >"$PC_DIR/doors" ;;
  esac
  # Processes of their own, because -e means nothing inside of a list of commands.
  { sh -eu -c '. "$1"; shift; for file in "$@"; do pc_keep "$file"; done' patchctl "$PC_ALL/functions" "$@" &&
    (umask 022; case $kind in
      declarative) exec sh -eu -c '. "$1"; . "$2"' patchctl "$PC_ALL/functions" "$PC_DIR/script" ;;
      bash) exec bash "$PC_DIR/script" ;;
      *) exec sh -eu "$PC_DIR/script" ;;
    esac); } 2<>"$PC_DIR/said"
  rc=$?
  grep -v '^$' "$PC_DIR/said" >&2
  why=$(grep -v '^$' "$PC_DIR/said" | tail -n 1 | cut -c 1-200) why=${why#"$PC_DIR/"}; rm -f "$PC_DIR/said"
  { printf 'bad=0\n%s\n' "$same"; cat "$PC_DIR/restore" "$PC_DIR/last"
    if [ -e "$PC_DIR/doors" ]; then
      echo "[ -z \"\${PC_NOW:-}\" ] || for file in @DOORS@; do if [ -f \"\$file\" ] &&"
      echo "  ! grep -qxF -e \"\$file\" $PC_DIR/doors; then mkdir -p $PC_DIR/new &&"
      echo "  mv -f -- \"\$file\" $PC_DIR/new/ || bad=1; fi; done"
    fi
    echo 'exit $bad'; } >"$PC_DIR/all" 2>/dev/null
  mv "$PC_DIR/all" "$PC_DIR/restore"; rm -f "$PC_DIR/last" "$PC_DIR/kept" "$PC_DIR/looked" "$PC_DIR/acl.new"
  { echo "sh $PC_DIR/restore || bad=1"; grep -vx 'exit .*' "$PC_ALL/restore"; echo 'exit ${bad:-0}'
  } >"$PC_ALL/restore.new" 2>/dev/null
  mv "$PC_ALL/restore.new" "$PC_ALL/restore"
  if [ $rc != 0 ]; then
    failed=1
    back "$number" failed
    echo "patchctl: fix-failed $name exit status $rc${why:+: $why}; $back"
  else
    tell "$name" applied
    [ "$access" != 1 ] || doors="$number $doors"
    [ ! -e "$PC_DIR/doors" ] || reload=1
  fi
}
back() {
  read -r name <"$PC_ALL/$1/name"
  if ! PC_NOW=1 sh "$PC_ALL/$1/restore"; then back="could not be taken back as a whole: see $PC_ALL/$1"
  elif [ -e "$PC_ALL/$1/doors" ]; then back='the files by which people get in were taken back, whatever else it changed'
  elif [ -s "$PC_ALL/$1/blind" ]; then back='what its script changed is not known, so it was not taken back'
  else back='taken back'; fi
  tell "$name" "$2"
}
# The way in may have changed: wait until the controller has logged in anew and left a mark, for a while.
let_in() {
  : >"$PC_ALL/asking"
  waited=0
  while [ ! -e "$PC_ALL/answered" ] && [ $waited -lt @WAIT@ ]; do waited=$((waited + 1)); sleep 1; done
  rm -f "$PC_ALL/asking"
  [ -e "$PC_ALL/answered" ] && rm -f "$PC_ALL/answered"
}
"""

_LAST = r"""
if [ -n "$doors" ]; then
  echo 'patchctl: step wait for a new login'
  if ! let_in; then
    failed=1
    for number in $doors; do
      read -r name <"$PC_ALL/$number/name"
      back "$number" taken-back
      echo "patchctl: fix-failed $name nobody has logged in anew since; $back"
    done
    # A script that changed the way in may have had it reloaded: what was put back counts only after a reload too.
    [ -z "$reload" ] || for unit in ssh.service sshd.service; do
      if systemctl -q is-active "$unit" 2>/dev/null; then systemctl reload "$unit"; break; fi
    done
  fi
fi
exit $failed
"""


def render_payload(
    fixes: Sequence[Fix], attempt: str, nonce: str, wait: int = ACCESS_TIME, backups: str = BACKUPS
) -> str:
    """Return the runner's payload that carries out these fixes, one after the other, whatever becomes of the others.

    It prints `patchctl: step ...`, and `patchctl: fix-failed NAME WHY` for what failed; its exit status is 1 then. The
    attempt's name is safe as a file's name; `nonce` is fresh. `backups`: another folder in tests only, a safe name.
    """
    values = {
        "BACKUPS": backups, "ATTEMPT": attempt, "END": f"END-{nonce}", "FUNCTIONS": APPLY.strip("\n"),
        "BEYOND": str(KEPT + 1), "WAIT": str(int(wait)), "DOORS": DOORS,
    }
    parts = [re.sub("@([A-Z]+)@", lambda found: values[found[1]], _PAYLOAD)]
    groups = _order(fixes)
    for number, fix in enumerate(groups, 1):
        words = [str(number), str(len(groups)), fix.name, fix.kind, "1" if fix.access else "0", *fix.files]
        parts.append(
            f"one {' '.join(quote_sh(word) for word in words)} <<'SCRIPT-{nonce}'\n"
            f"{fix.script.rstrip()}\nSCRIPT-{nonce}\n"
        )
    parts.append(_LAST)
    return "".join(parts)


def _order(fixes: Sequence[Fix]) -> list[Fix]:
    """Return the fixes as they are carried out: those that concern the way in after all others."""
    return sorted(fixes, key=lambda fix: fix.access)


def render_listing(attempt: str) -> str:
    """Return the text that lists what became of each fix, as `NAME:fix applied`; it is run before and after."""
    return f"cat {BACKUPS}/{attempt}/results 2>/dev/null; true"


def backup_folder(attempt: str) -> str:
    """Return the folder on the host in which an attempt put aside what it changed."""
    return f"{BACKUPS}/{attempt}"


def render_answer(attempt: str) -> str:
    """Return the text by which the controller, who has just logged in, answers a payload that asks for it."""
    folder = backup_folder(attempt)
    return f"if [ -e {folder}/asking ]; then : >{folder}/answered; fi\n"


def preview_probe(fixes: Sequence[Fix]) -> Probe:
    """Return the probe that tells what declarative fixes would change, and changes nothing; for read_previews."""
    parts = "".join(
        f"pc_would fix {number}\n(\nset -eu\n{fix.script.rstrip()}\n)\npc_would done {number} $?\n"
        for number, fix in enumerate(fixes)
    )
    return Probe("fix.preview", f"{PREVIEW}\n{parts}", root=True, timeout=300.0, cap=PREVIEW_CAP)


def read_previews(output: str, count: int) -> list[tuple[str, ...] | None]:
    """Given the output for `count` fixes, return for each what read_preview gives; None = it could not be told."""
    found: list[tuple[str, ...] | None] = [None] * count
    at = -1
    lines: list[str] = []
    for text in output.splitlines():
        word, _, rest = text.partition("\t")
        if word == "fix" and rest.isdigit():
            at, lines = int(rest), []
        elif word == "done":
            number, _, rc = rest.partition("\t")
            if number == str(at) and rc == "0" and at < count:
                found[at] = read_preview("\n".join(lines))
        else:
            lines.append(text)
    return found


def read_preview(output: str) -> tuple[str, ...]:
    """Given one fix's output, return lines for people: what changes, from what to what; () = nothing would."""
    lines: list[str] = []
    for text in output.splitlines():
        lines += _told([strip_control(part) for part in text.split("\t")])
    merged = list(_merge(lines))
    if len(merged) > PREVIEW_LINES:
        merged = [*merged[:PREVIEW_LINES], f"... and {len(merged) - PREVIEW_LINES} lines more"]
    return tuple(merged)


def _merge(lines: Iterable[str]) -> Iterable[str]:
    """Leave out the heads of files in which nothing changes."""
    held = ""
    for line in lines:
        if line.startswith("--- "):
            held = line
            continue
        if held and line[:1] in "+-@ ":
            yield held
        held = ""
        yield line


def _told(fields: list[str]) -> list[str]:
    word, rest = fields[0], fields[1:]
    if word == "line" and rest:
        return ["\t".join(rest)]
    rest = [*(one_line(part) for part in rest), "", "", ""]
    if word == "file":
        return [f"--- {rest[0]}{'' if rest[1] != '/dev/null' else ' (new)'}"]
    if word == "nodiff":
        return [f"content of {rest[0]} (the host has no diff to show it)"]
    if word == "chmod":
        return _mode_line(rest[0], rest[1], rest[2])
    if word == "chown":
        return [] if _same_owner(rest[0], rest[1]) else [f"owner {rest[1]} -> {rest[0]}  {rest[2]}"]
    if word == "acl":
        return [f"access control list {rest[1] or '(none shown)'} -> none  {rest[0]}"]
    if word == "rm":
        return [f"removed  {rest[0]}"]
    if word == "sysctl":
        key, _, value = rest[0].partition("=")
        return [] if value == rest[1].strip() else [f"sysctl {key}: {rest[1].strip() or 'not there'} -> {value}"]
    if word == "unit":
        return [f"{rest[0]}  (now {rest[1] or 'no unit file'}, {rest[2] or 'unknown'})"]
    if word == "package":
        return [f"package {rest[1]}: {'installed' if rest[0] == 'install' else 'removed'}"]
    return [f"runs: {rest[0]}"] if word == "run" else []


def _mode_line(words: str, state: str, path: str) -> list[str]:
    if not state:
        return [f"mode {words}  {path} (new)"]
    old = int(state.split()[0], 8) if re.match(r"[0-7]{1,4}\b", state) else None
    new = change_mode(words, old) if old is not None else None
    if old is None or new is None:
        return [f"mode {state} -> chmod {words}  {path}"]
    return [] if old == new else [f"mode {old:04o} -> {new:04o}  {path}"]


def change_mode(words: str, mode: int) -> int | None:
    """Return the mode after `chmod WORDS` (POSIX chmod, octal or u/g/o with + and -); None for other words."""
    if re.fullmatch(r"[0-7]{3,5}", words):
        return int(words, 8)
    for part in words.split(","):
        found = re.fullmatch(r"([ugoa]*)([+-])([rwxst]+)", part)
        if found is None:
            return None
        who = found[1].replace("a", "ugo") or "ugo"
        bits = 0
        for letter in found[3]:
            if letter == "t":
                bits |= 0o1000
            elif letter == "s":
                bits |= (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
            else:
                one = {"r": 4, "w": 2, "x": 1}[letter]
                bits |= sum(one << shift for name, shift in (("u", 6), ("g", 3), ("o", 0)) if name in who)
        mode = mode | bits if found[2] == "+" else mode & ~bits
    return mode


def _same_owner(wanted: str, found: str) -> bool:
    user, _, group = wanted.partition(":")
    is_user, _, is_group = found.partition(":")
    return user in ("", is_user) and group in ("", is_group)
