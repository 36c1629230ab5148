"""Makes few probes of all questions that SCA rules ask a Linux host, and reads what came back.

Each question costs its own process at most (two for a command, with `timeout`); framing, cutting and the taking out of
password hashes are done once for a batch. Commands are run as written in the policy, word by word, without a shell:
whether they only read, nobody can prove.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from patchctl.assess.content.sca.answers import (
    ABSENT,
    BROKEN,
    LARGE,
    LATE,
    NOT_STARTED,
    OTHER,
    READ,
    REFUSED,
    STARTED,
    Answer,
    Batch,
    Key,
)
from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

COMMAND_SECONDS = 30
"""As Wazuh's default (sca.commands_timeout)."""
COMMANDS_A_BATCH, FILES_A_BATCH = 40, 100
TEXT_CAP = 512 * 1024
"""Bytes read of one file or command."""
BATCH_CAP = 8 * 1024 * 1024
MAX_NAMES = 20_000
"""Entries of one directory's tree that are listed."""
_SLOW = re.compile(r"(?:^|[\s|;(/])(?:find|df|debsums)\s")
"""Commands that may take long go in small batches of their own, so that few are lost with them."""

# A nonce made on the host keeps the frames apart from what is read; the awk at the end of the pipe takes it out again,
# so that equal hosts give equal evidence. Bytes NUL become SOH, password hashes lose all but their kind.
_START = r"""n=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n'); [ ${#n} = 32 ] || exit 9
"""
_END = r"""} | tr '\000' '\001' |
sed 's/\(\$[0-9a-z]\{1,8\}\$\)[^: ]\{12,\}/\1REDUCED/g
  s/\(grub\.pbkdf2\.sha[0-9]*\.[0-9]*\.\)[0-9A-Fa-f.]*/\1REDUCED/g' |
awk -v C=%d '
  NR == 1 { n = $0; l = length(n); next }
  index($0, n) == 1 {
    k = substr($0, l + 1, 1); if (k == "+") { b = cut = 0; held = 0 }
    if (k == "=") { if (held && last != "") print " " last; print (cut ? "=cut" : substr($0, l + 1)); held = 0; next }
    print substr($0, l + 1); next }
  { if (held && !cut) { b += length(last) + 1; if (b > C) cut = 1; else print " " last } last = $0; held = 1 }'
"""
_COMMANDS = r"""if timeout -k 2 %d true; then t='timeout -k 2 %d'; else t=env; fi
sca_run() {
  printf '%%s+%%s\n' "$n" "$1"; shift
  if command -v "$1" >/dev/null; then $t "$@" </dev/null 2>&1; pc_s=$?; else pc_s=none; fi
  printf '\n%%s=%%s\n' "$n" "$pc_s"
}
{ echo "$n"
"""
_FILES = r"""sca_seen() {
  p=${1%/*}
  while [ -n "$p" ]; do
    if [ -d "$p" ]; then [ -x "$p" ]; return; fi
    [ -e "$p" ] && return 0
    case $p in */*) p=${p%/*} ;; *) return 0 ;; esac
  done
}
sca_read() {
  printf '%s+%s\n' "$n" "$1"
  if [ -f "$2" ]; then
    if [ "$4" = 0 ]; then pc_s=file
    elif [ ! -r "$2" ]; then pc_s=refused
    else
      case $2 in
        */shadow|*/shadow-|*/gshadow|*/gshadow-|*/opasswd)
          sed 's/^\([^:]*:!*\)[^!*:$][^:]*/\1REDUCED/' "$2"; pc_s=read$? ;;
        *) head -c "$3" "$2"; pc_s=read$? ;;
      esac
    fi
  elif [ -e "$2" ]; then pc_s=other
  elif sca_seen "$2"; then pc_s=absent
  else pc_s=refused; fi
  printf '\n%s=%s\n' "$n" "$pc_s"
}
sca_tree() {
  printf '%s+%s\n' "$n" "$1"
  if [ -d "$2" ]; then
    if [ -r "$2" ] && [ -x "$2" ]; then
      { find "$2/." -xdev ! -name . \( -name '*
*' -exec echo 'x' \; -o -type d -exec printf 'd %s\n' {} + -o -type l -exec printf 'l %s\n' {} + \
        -o -exec printf 'f %s\n' {} + \) 2>&1; printf 'e %s\n' $?; } | head -n "$3"
      pc_s=tree
    else pc_s=refused; fi
  elif [ -e "$2" ]; then pc_s=other
  elif sca_seen "$2"; then pc_s=absent
  else pc_s=refused; fi
  printf '\n%s=%s\n' "$n" "$pc_s"
}
sca_processes() {
  printf '%s+%s\n' "$n" "$1"
  if [ -r /proc/self/stat ] && ! [ -r /proc/1/comm ]; then pc_s=refused
  elif [ -r /proc/self/stat ]; then
    for p in /proc/[0-9]*/comm; do read -r c <"$p" && printf '%s\n' "$c"; done; pc_s=read0
  else ps -A -o comm=; pc_s=read$?; fi
  printf '\n%s=%s\n' "$n" "$pc_s"
}
{ echo "$n"
"""


def split_command(text: str) -> tuple[str, ...]:
    r"""Split a command as Wazuh does: at blanks; double quotes hold together; \ takes the next character as it is."""
    words: list[str] = []
    word: str | None = None
    quoted, at = False, 0
    while at < len(text):
        char = text[at]
        if char == " " and not quoted:
            if word is not None:
                words.append(word)
            word = None
        elif char == '"':
            quoted, word = not quoted, word or ""
        elif char == "\\":
            at += 1
            word = (word or "") + text[at : at + 1]
        else:
            word = (word or "") + char
        at += 1
    return (*words, word) if word is not None else tuple(words)


def make_batches(keys: Iterable[Key]) -> list[Batch]:
    """Return the probes that ask a Linux host all these questions, each question once."""
    wanted = list(dict.fromkeys(keys))
    commands = [k for k in wanted if k[0] == "c"]
    slow = [k for k in commands if _SLOW.search(" ".join(k[1:]))]
    quick = [k for k in commands if not _SLOW.search(" ".join(k[1:]))]
    files = [k for k in wanted if k[0] in "efd"]
    batches = [_commands(part) for part in _parts(quick, COMMANDS_A_BATCH)]
    batches += [_commands(part) for part in _parts(slow, 4)]
    batches += [_files(part) for part in _parts(files, FILES_A_BATCH)]
    if ("p",) in wanted:
        batches.append(_batch([("p",)], f"{_START}{_FILES}sca_processes 0\n{_END % TEXT_CAP}", "p", volatile=True))
    return batches


def _parts(keys: Sequence[Key], size: int) -> Iterator[Sequence[Key]]:
    return (keys[at : at + size] for at in range(0, len(keys), size))


def _commands(keys: Sequence[Key]) -> Batch:
    calls = "".join(f"sca_run {n} {' '.join(quote_sh(w) for w in key[1:])}\n" for n, key in enumerate(keys))
    start = _COMMANDS % (COMMAND_SECONDS, COMMAND_SECONDS)
    return _batch(keys, f"{_START}{start}{calls}{_END % TEXT_CAP}", "c", root=True, timeout=60.0 + 2 * len(keys))


def _files(keys: Sequence[Key]) -> Batch:
    calls = "".join(
        f"sca_tree {n} {quote_sh(key[1])} {MAX_NAMES + 2}\n"
        if key[0] == "d"
        else f"sca_read {n} {quote_sh(key[1])} {TEXT_CAP + 1} {int(key[0] == 'f')}\n"
        for n, key in enumerate(keys)
    )
    return _batch(keys, f"{_START}{_FILES}{calls}{_END % (4 * TEXT_CAP)}", "f", timeout=60.0)


def _batch(keys: Sequence[Key], command: str, kind: str, *, root: bool = False, timeout: float = 60.0,
           volatile: bool = False) -> Batch:  # fmt: skip
    name = f"sca.{kind}.{hashlib.sha256(command.encode()).hexdigest()[:16]}"
    probe = Probe(name, command, root=root, timeout=timeout, cap=BATCH_CAP, volatile=volatile)
    return Batch(probe, tuple(keys))


def read_status(key: Key, word: str, lines: Sequence[str]) -> Answer:
    """Make an Answer of what a batch printed for a question."""
    text = tuple(lines)
    if word == "cut":
        return Answer(LARGE)
    if key[0] == "c":
        return _command_answer(word, text)
    known = {"absent": ABSENT, "other": OTHER, "refused": REFUSED}
    if word in known:
        return Answer(known[word])
    if key[0] == "d":
        return Answer(READ, text) if word == "tree" else Answer(BROKEN)
    if key[0] == "f" and sum(len(line.encode("utf-8", "replace")) + 1 for line in text) - 1 > TEXT_CAP:
        return Answer(LARGE)
    return Answer(READ, text) if word in ("read0", "file") else Answer(BROKEN)


def _command_answer(word: str, lines: tuple[str, ...]) -> Answer:
    # `timeout` and `env` tell 126 and 127 when the program could not be started, and say so in their own name.
    if word == "none" or (word in ("126", "127") and lines and lines[0].startswith(("timeout: ", "env: "))):
        return Answer(NOT_STARTED)
    if word in ("124", "137"):
        return Answer(LATE)
    return Answer(STARTED, lines) if word.isdigit() else Answer(BROKEN)


def read_tree(key: Key, answer: Answer) -> tuple[list[tuple[str, str]], bool]:
    """Given the answer to a directory question, return (kind d|l|f, path) sorted, and whether that is all there is.

    It is only if find came to its end without an error, and said so in the last line.
    """
    entries: list[tuple[str, str]] = []
    root, whole = f"{key[1]}/./", len(answer.lines) <= MAX_NAMES + 1 and answer.lines[-1:] == ("e 0",)
    for line in answer.lines[:MAX_NAMES]:
        kind, path = line[:1], line[2:]
        if kind in ("d", "l", "f") and path.startswith(root):
            entries.append((kind, f"{key[1].rstrip('/')}/{path[len(root):]}"))
        elif line and line != "e 0":
            whole = False
    return sorted(entries, key=lambda e: e[1]), whole
