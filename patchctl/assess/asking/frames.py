"""The form of every batch's output: frames, so that nothing a file or a program says can pass for another answer.

@@ QUESTION     the answer to this question follows
=text           one line of it
@= RC           exit code of the program that said it
@- words        it is not there (an answer, not a failure)
@! words        it could not be read: UNKNOWN, for this reason
@.              the script came to its end
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from patchctl.assess.checks.contract import Answer, Answers, Batch, Unreadable
from patchctl.model.text import one_line, quote_sh

# pc_bad WHY: the answer that is being given does not count; what was killed may have left a line half said.
# pc_run QUESTION PROGRAM ARGS...: frames what a program says and its exit code; standard error is part of it.
PRELUDE = r"""
pc_bad() { printf '\n@! %s\n' "$1"; }
pc_frame() {
  awk 'NR > 2 { print "=" b } { b = a; a = $0 }
    END { if (NR > 1 && b != "") print "=" b; print "@= " a }'
}
pc_run() {
  printf '@@ %s\n' "$1"; shift
  if command -v "$1" >/dev/null 2>&1; then
    { "$@" </dev/null 2>&1; printf '\n%s\n' "$?"; } | pc_frame || pc_bad 'awk failed'
  else
    echo "@- no program $1"
  fi
}
# Sets pc_s for a path: r (readable), u (not readable, or nobody can tell) or m (missing). Starts no process.
pc_state() {
  pc_up=$1
  if [ -r "$1" ]; then pc_s=r; return; fi
  if [ -e "$1" ]; then pc_s=u; return; fi
  if [ -L "$1" ]; then pc_s=m; return; fi
  while pc_up=${pc_up%/*}; [ -n "$pc_up" ] && [ ! -d "$pc_up" ]; do :; done
  if [ -x "${pc_up:-/}" ]; then pc_s=m; else pc_s=u; fi
}
pc_add() { pc_files="$pc_files$1
"; }
pc_files=
"""
END = "echo '@.'\n"


@lru_cache(maxsize=256)  # many rules, and many hosts of a fleet, look at the same text
def read_frames(text: str, whole: bool = True) -> Mapping[str, Answer | str]:
    """Given the output of a batch, return each question's Answer, or a text that says why there is none.

    Unless the output is whole (not cut) and came to its end, the last answer does not count.
    """
    found: dict[str, Answer | str] = {}
    question: str | None = None
    lines: list[str] = []
    rc: int | None = None
    missing, reason, ended = "", "", False

    def close() -> None:
        if question is not None:
            if reason:
                found[question] = reason
            elif missing:
                found[question] = Answer(missing, rc, missing=True)
            else:
                found[question] = Answer("".join(f"{line}\n" for line in lines), rc)

    for line in text.split("\n"):
        if line.startswith("="):
            lines.append(line[1:])
        elif line.startswith("@@ "):
            close()
            question, lines, rc, missing, reason = line[3:], [], None, "", ""
        elif line.startswith("@= ") and line[3:].isdigit():
            rc = int(line[3:])
        elif line.startswith("@- "):
            missing = one_line(line[3:])
        elif line.startswith("@! "):
            reason = one_line(line[3:])
        elif line == "@.":
            ended = True
    if whole and ended:
        close()
    elif question is not None:
        found[question] = "the answer was cut off"
    return found


def said_by(host: Answers, batch: Batch, question: str = "all") -> Answer:
    """Return what a program said that pc_run started, or that there is none. Raise Unreadable unless it went well."""
    said = host.get(batch, question)
    if not said.missing and said.rc != 0:
        why = "its exit code was not told" if said.rc is None else f"exit code {said.rc}"
        raise Unreadable(f"{batch.name} {question}: {one_line(said.text, 120) or 'no word'} ({why})")
    return said


def words(items: Iterable[str]) -> str:
    """Return shell words for an iterable of texts."""
    return " ".join(quote_sh(item) for item in items)
