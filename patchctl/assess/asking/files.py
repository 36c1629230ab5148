"""Batches about files, shared by all check types: their content, what stat says, and what the walk finds."""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.assess.asking.frames import END, PRELUDE, words
from patchctl.assess.checks.contract import Answer, Answers, Batch, Question
from patchctl.model.text import quote_sh

FILE_CAP = 512 * 1024
"""Bytes of one file that are brought home; of a larger one it is said that it was not read."""
SUM_CAP = 256 * 1024 * 1024
"""Bytes of one file that are hashed on the host: the hash of a larger one would keep all others waiting."""
SECRET = re.compile(
    r"/etc/g?shadow-?|/etc/ssh/ssh_host_[a-z0-9]+_key|.*\.(key|p12|pfx|jks|kdbx|keytab)|.*/id_[a-z0-9]+|"
    r"/etc/krb5\.keytab|/proc/.*/environ|/etc/security/opasswd"
)
"""Files that are never brought home: what a check needs of them is worked out on the host."""

# A link to /dev/null is how sysctl.d(5) and systemd mask a file: empty. One awk reads all files. Those longer than
# the cap are told, not sent: find says which before anything is read, for awk would take a large file without line ends
# for one line. A name with a newline is nobody's.
_READ = r"""
pc_list() {
  for pc_f in "$@"; do
    pc_state "$pc_f"
    case $pc_s in
      m) printf '@@ %s\n@- no such file\n' "$pc_f" ;;
      u) printf '@@ %s\n@! not readable\n' "$pc_f" ;;
      *) if [ -d "$pc_f" ]; then printf '@@ %s\n@- a directory\n' "$pc_f"
         elif [ -f "$pc_f" ]; then pc_add "$pc_f"
         elif [ -c "$pc_f" ] && [ "$pc_f" -ef /dev/null ]; then printf '@@ %s\n' "$pc_f"
         else printf '@@ %s\n@! not a regular file\n' "$pc_f"; fi ;;
    esac
  done
}
pc_glob() {
  printf '@@ glob:%s\n' "$1"; shift
  pc_dir=${1%/*}; pc_state "${pc_dir:-/}"
  case $pc_s in u) echo '@! not readable'; return ;; esac
  for pc_f in "$@"; do
    case $pc_f in *"
"*) continue ;; esac
    if [ -e "$pc_f" ] || [ -L "$pc_f" ]; then printf '=%s\n' "$pc_f"; fi
  done
  for pc_f in "$@"; do
    case $pc_f in *"
"*) continue ;; esac
    if [ -e "$pc_f" ] || [ -L "$pc_f" ]; then pc_list "$pc_f"; fi
  done
}
pc_cat() {
  IFS='
'; set -f; set -- $pc_files; set +f; unset IFS
  [ $# -gt 0 ] || return 0
  pc_big=$(find -L "$@" -maxdepth 0 -size +CAPc 2>/dev/null)
  export pc_big
  awk -v cap=CAP 'BEGIN { n = split(ENVIRON["pc_big"], b, "\n"); for (i = 1; i <= n; i++) big[b[i]] = 1
  for (i = 1; i < ARGC; i++) {
    if (ARGV[i] in big) { print "@@ " ARGV[i]; print "@! larger than " cap " bytes"; continue }
    text = ""; n = 0
    while ((got = (getline t < ARGV[i])) > 0) {
      n += length(t) + 1; if (n > cap) break; text = text "=" t "\n" }
    close(ARGV[i])
    print "@@ " ARGV[i]
    if (n > cap) print "@! larger than " cap " bytes"
    else if (got < 0) print "@! not readable"
    else printf "%s", text } }' "$@" || pc_bad 'awk failed'
}
"""


def glob_pattern(glob: str) -> str:
    """Return a path with * ? [] as shell text: all else is quoted."""
    return "".join(part if part in "*?" or part.startswith("[") else quote_sh(part)
                   for part in re.split(r"(\*|\?|\[[^]/]+\])", glob) if part)


def is_glob(path: str) -> bool:
    return any(mark in path for mark in "*?[")


def _read(questions: Sequence[str]) -> str:
    plain = [q for q in questions if not is_glob(q)]
    globs = [q for q in questions if is_glob(q)]
    parts = [PRELUDE, _READ.replace("CAP", str(FILE_CAP))]
    if plain:
        parts.append(f"pc_list {words(plain)}\n")
    parts += [f"pc_glob {quote_sh(glob)} {glob_pattern(glob)}\n" for glob in globs]
    return "".join((*parts, "pc_cat\n", END))


READ = Batch("read", _read, timeout=60, cap=16 * 1024 * 1024)
"""Content of files. Questions: paths, or globs (* ? []), answered as `glob:GLOB` and each file by its path."""


def ask_files(*paths: str) -> list[Question]:
    """Return questions for the content of files, by path or glob."""
    return [Question(READ, path) for path in paths]


def one_file(host: Answers, path: str) -> Answer:
    """Return a file's content (missing = there is none). Raise Unreadable."""
    return host.get(READ, path)


def many_files(host: Answers, path: str) -> list[tuple[str, str]]:
    """Return (path, content) of all files of a path or glob that are there, in the order of names. Raise Unreadable."""
    if not is_glob(path):
        found = host.get(READ, path)
        return [] if found.missing else [(path, found.text)]
    files = []
    for name in sorted(host.get(READ, f"glob:{path}").lines):
        found = host.get(READ, name)
        if not found.missing:
            files.append((name, found.text))
    return files


LEADS_NOWHERE = "a link that leads nowhere"
# stat of all paths in one call: type and mode in hexadecimal, owner, group.
_STAT = r"""
pc_look() {
  for pc_f in "$@"; do
    pc_state "$pc_f"
    case $pc_f in *"
"*) continue ;; esac
    if [ -e "$pc_f" ]; then pc_add "$pc_f"
    elif [ "$pc_s" = u ]; then printf '@@ %s\n@! not readable\n' "$pc_f"
    elif [ -L "$pc_f" ]; then printf '@@ %s\n@- a link that leads nowhere\n' "$pc_f"
    else printf '@@ %s\n@- no such file\n' "$pc_f"; fi
  done
}
pc_glob() {
  printf '@@ glob:%s\n' "$1"; shift
  pc_dir=${1%/*}; pc_state "${pc_dir:-/}"
  case $pc_s in u) echo '@! not readable'; return ;; esac
  for pc_f in "$@"; do
    case $pc_f in *"
"*) continue ;; esac
    if [ -e "$pc_f" ]; then printf '=%s\n' "$pc_f"; fi
  done
  for pc_f in "$@"; do if [ -e "$pc_f" ]; then pc_look "$pc_f"; fi; done
}
pc_stat() {
  IFS='
'; set -f; set -- $pc_files; set +f; unset IFS
  [ $# -gt 0 ] || return 0
  stat -L -c '@@ %n
=%f %u %g %U %G' -- "$@" 2>/dev/null
  case $? in 0|1) ;; *) pc_bad 'stat failed' ;; esac
}
pc_sum() {
  printf '@@ sha256:%s\n' "$1"; pc_state "$1"
  case $pc_s in m) echo '@- no such file'; return ;; u) echo '@! not readable'; return ;; esac
  if [ -d "$1" ]; then echo '@! a directory'; return; fi
  if [ ! -f "$1" ]; then echo '@! not a regular file'; return; fi
  if [ "$(stat -L -c %s -- "$1" 2>/dev/null || echo 0)" -gt CAP ]; then echo '@! larger than CAP bytes'; return; fi
  pc_h=$(sha256sum -- "$1" 2>/dev/null) || pc_h=
  if [ ${#pc_h} -gt 64 ]; then printf '=%s\n' "${pc_h%% *}"; else echo '@! sha256sum failed'; fi
}
pc_acl() {
  printf '@@ acl:%s\n' "$1"
  if [ ! -e "$1" ]; then echo '@- no such file'; return; fi
  case $(ls -ldL -- "$1" 2>/dev/null) in
    ??????????+*) pc_h=$(getfacl -cpEn -- "$1" 2>/dev/null | sed 's/^/=/') || pc_h=
                  printf '%s\n' "${pc_h:-=an access control list}" ;;
    [-a-zA-Z][-r][-w]???????*) ;;
    *) echo '@! not readable' ;;
  esac
}
"""


def _stat(questions: Sequence[str]) -> str:
    parts = [PRELUDE, _STAT.replace("CAP", str(SUM_CAP))]
    for question in questions:
        kind, colon, path = question.partition(":")
        if colon and kind in ("sha256", "acl"):
            parts.append(f"pc_{'sum' if kind == 'sha256' else 'acl'} {quote_sh(path)}\n")
        elif is_glob(question):
            parts.append(f"pc_glob {quote_sh(question)} {glob_pattern(question)}\n")
        else:
            parts.append(f"pc_look {quote_sh(question)}\n")
    return "".join((*parts, "pc_stat\n", END))


STAT = Batch("stat", _stat, timeout=60)
"""Type, mode, owner, ACL of paths (links are followed). Questions: PATH, GLOB, sha256:PATH, acl:PATH."""


def names_of(host: Answers, batch: Batch, path: str) -> list[str]:
    """Return the paths a path or glob stands for. Raise Unreadable."""
    return sorted(host.get(batch, f"glob:{path}").lines) if is_glob(path) else [path]


def refuse_secret(path: str) -> str:
    """Return why a file's content is not brought home, or ""."""
    return "it holds secrets, which never leave the host" if SECRET.fullmatch(path) else ""
