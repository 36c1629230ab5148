"""Shell functions for remediations: each changes a file in place, atomically, and only if something is to change.

A file keeps its owner and mode: its content is written through a temporary file beside it that has them too. Links are
followed, so that a link stays a link.

A script runs in one of three ways (collect/fix_functions.py): as it is; with PC_DIR set, where everything is put aside
before it is changed (pc_keep, pc_look, pc_undo_last); or with PC_PREVIEW set, where nothing is changed and pc_would
says what would be. In a preview only commands that read can be run at all. So a declarative script changes files by
pc_put, packages by pc_package, other things by plain chmod, chown, rm, systemctl ..., and what has no such name by
pc_do; it writes no file by a redirection.
"""

from __future__ import annotations

from patchctl.model.text import quote_sh

# pc_put FILE: standard input becomes the content of FILE; a new file is root's, mode 0644.
PUT = r"""
pc_put() {
  pc_to=$1; [ ! -L "$pc_to" ] || pc_to=$(readlink -f -- "$pc_to")
  if [ -n "${PC_PREVIEW:-}" ]; then pc_would_put "$pc_to"; return; fi
  [ -z "${PC_DIR:-}" ] || pc_keep "$pc_to"
  pc_tmp=$(mktemp -- "$(dirname -- "$pc_to")/.patchctl.XXXXXX")
  cat >"$pc_tmp" || { command rm -f -- "$pc_tmp"; return 1; }
  if [ -e "$pc_to" ]; then
    if cmp -s -- "$pc_tmp" "$pc_to"; then command rm -f -- "$pc_tmp"; return; fi
    command chown --reference="$pc_to" -- "$pc_tmp"; command chmod --reference="$pc_to" -- "$pc_tmp"
  else
    command chmod 0644 -- "$pc_tmp"
  fi
  mv -f -- "$pc_tmp" "$pc_to" || { command rm -f -- "$pc_tmp"; return 1; }
}
"""

# pc_ensure_line FILE LINE: the line is in the file; added at its end where it was not.
ENSURE_LINE = PUT + r"""
pc_ensure_line() {
  mkdir -p -- "$(dirname -- "$1")"
  if [ -e "$1" ] && grep -qxF -e "$2" -- "$1"; then return; fi
  { if [ -e "$1" ]; then awk '1' "$1"; fi; printf '%s\n' "$2"; } | pc_put "$1"
}
"""

# pc_remove_line FILE LINE: no line of the file is this one, white space at both ends aside.
REMOVE_LINES = PUT + r"""
pc_remove_line() {
  [ -e "$1" ] || return 0
  pc_line=$2 awk 'BEGIN { want = ENVIRON["pc_line"]; gsub(/^[ \t]+|[ \t]+$/, "", want) }
    { line = $0; gsub(/^[ \t]+|[ \t]+$/, "", line); if (line != want) print }' "$1" | pc_put "$1"
}
"""

# pc_set_key FILE ERE LINE: lines that match the ERE go (comments never do: write the ERE so); LINE stands where the
# first of them stood, else at the end. FILE is made where it is not there.
SET_KEY = PUT + r"""
pc_set_key() {
  mkdir -p -- "$(dirname -- "$1")"
  { if [ -e "$1" ]; then cat -- "$1"; fi; } | pc_re=$2 pc_line=$3 awk '
    BEGIN { re = ENVIRON["pc_re"]; line = ENVIRON["pc_line"] }
    tolower($0) ~ re { if (!done) print line; done = 1; next }
    { print }
    END { if (!done) print line }' | pc_put "$1"
}
# pc_drop_key FILE ERE: lines that match the ERE become comments.
pc_drop_key() {
  [ -e "$1" ] || return 0
  pc_re=$2 awk 'tolower($0) ~ ENVIRON["pc_re"] { print "# " $0; next } { print }' "$1" | pc_put "$1"
}
"""


# pc_do UNDO COMMAND...: a command that has no function of its own in a preview; UNDO = the text that takes it back.
# pc_has NAME: there is such a command (in a preview PATH is empty).
DO = r"""
pc_has() { (PATH=${pc_paths:-$PATH}; command -v "$1") >/dev/null 2>&1; }
pc_do() {
  if [ -n "${PC_PREVIEW:-}" ]; then shift; pc_would run "$*"; return; fi
  [ -z "${PC_DIR:-}" ] || pc_undo_last "$1"
  shift; "$@"
}
"""

# pc_package install|purge NAME
PACKAGE = r"""
pc_package() {
  if [ -n "${PC_PREVIEW:-}" ]; then pc_would package "$1" "$2"; return; fi
  [ -z "${PC_DIR:-}" ] || pc_undo_last "echo 'not taken back: $1 of package $2'"
  if command -v apt-get >/dev/null; then
    case $1 in
      install) DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=120 install \
        --no-install-recommends "$2" ;;
      *) DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=120 purge "$2" ;;
    esac
    return
  fi
  pc_verb=$1; [ "$pc_verb" != purge ] || pc_verb=remove
  if command -v dnf >/dev/null; then dnf -qy "$pc_verb" "$2"; else yum -qy "$pc_verb" "$2"; fi
}
"""

# pc_chmod_found WORDS TREE FIND-WORDS...: change the mode of all that find prints.
CHMOD_FOUND = r"""
pc_chmod_found() {
  pc_words=$1; shift
  if [ -n "${PC_PREVIEW:-}" ]; then find "$@" -print | pc_would_chmod "$pc_words"; return; fi
  [ -z "${PC_DIR:-}" ] || find "$@" -print | while IFS= read -r pc_found; do pc_look "$pc_found"; done
  find "$@" -exec chmod "$pc_words" {} + || true
}
"""


def ere(text: str) -> str:
    """Return a lower-case POSIX extended regular expression that matches a text literally."""
    return "".join(f"[{c}]" if c in ".[$*+?(){}|/" else f"\\{c}" if c in "\\^" else c for c in text.lower())


def set_key(path: str, pattern: str, line: str) -> str:
    """Return a call of pc_set_key."""
    return f"pc_set_key {quote_sh(path)} {quote_sh(pattern)} {quote_sh(line)}\n"
