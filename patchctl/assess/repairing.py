"""Shell functions for remediations: each changes a file in place, atomically, and only if something is to change.

A file keeps its owner and mode: its content is written through a temporary file beside it that has them too. Links are
followed, so that a link stays a link.
"""

from __future__ import annotations

from patchctl.model.text import quote_sh

# pc_put FILE: standard input becomes the content of FILE; a new file is root's, mode 0644.
PUT = r"""
pc_put() {
  pc_to=$1; [ ! -L "$pc_to" ] || pc_to=$(readlink -f -- "$pc_to")
  pc_tmp=$(mktemp -- "$(dirname -- "$pc_to")/.patchctl.XXXXXX")
  cat >"$pc_tmp"
  if [ -e "$pc_to" ]; then
    if cmp -s -- "$pc_tmp" "$pc_to"; then rm -f -- "$pc_tmp"; return; fi
    chown --reference="$pc_to" -- "$pc_tmp"; chmod --reference="$pc_to" -- "$pc_tmp"
  else
    chmod 0644 -- "$pc_tmp"
  fi
  mv -f -- "$pc_tmp" "$pc_to"
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


def ere(text: str) -> str:
    """Return a lower-case POSIX extended regular expression that matches a text literally."""
    return "".join(f"[{c}]" if c in ".[$*+?(){}|/" else f"\\{c}" if c in "\\^" else c for c in text.lower())


def set_key(path: str, pattern: str, line: str) -> str:
    """Return a call of pc_set_key."""
    return f"pc_set_key {quote_sh(path)} {quote_sh(pattern)} {quote_sh(line)}\n"
