"""Compiles probes into one POSIX shell script whose every output line carries a nonce and the probe's id.

The script is one function with its input from /dev/null. It needs a POSIX sh, awk, sleep and (on Linux) /proc, nothing
else: no temporary files, no `timeout`, no `setsid`. Records, one a line, each starting with the nonce N:

    N#BEGIN 1 root|user .      the script runs, and as whom
    N+ID .                     probe ID starts
    N=ID text                  one line of its standard output
    N>ID RC BYTES LINES CUT .  it ended; RC is its exit code, `na` (guard said no) or `-` (killed)
    N!ID needs-root .          it was not started
    N!ID timeout .             its deadline passed and its processes were killed
    N#END COUNT .              all probes were seen to

A text that does not end in a newline stays so: text is sent as its newline-separated parts, and a text that does end
in one has an empty last part. BYTES and LINES count what was sent, so that the reader notices any loss.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.text import quote_sh

PROTOCOL = "1"
SENTINEL_ROOM = 96
"""Bytes let through beyond a probe's cap, so that the test line and the exit code around such a text still fit."""

_ID = re.compile(r"[a-z0-9._-]+")
# Guards that only the shell's own builtins answer, of what cannot block: they need no process and no deadline.
_PLAIN = r"(?:command -v [\w.-]+|\[ -[defrx] /(?:proc/self|run)(?:/[\w.-]+)* \])"
_TERM = rf"(?:! )?(?:{_PLAIN}|\{{ {_PLAIN}(?: (?:&&|\|\|) {_PLAIN})*; \}})"
_PLAIN_GUARD = re.compile(rf"{_TERM}(?: (?:&&|\|\|) {_TERM})*")
_NONCE = re.compile(r"[0-9a-f]{16,64}")

# $1 id, $2 deadline in seconds, $3 cap in bytes, $4 1 = needs root, $5 guard, $6 command, $7 tidy or nothing.
# The exit code travels behind the text as a last line of its own; awk holds one line back to find it. A first line of
# ours proves that head and awk pass a NUL on: where they do not (busybox; awk says 4) NUL is made a byte that no UTF-8
# text holds, from then on. A first probe that is tidy is then asked anew; before any other it is tried out, because one
# that is cut off may leave a working folder. One guard for all probes signals every second, which ends
# `wait`: so nobody waits for a process in D state, and a deadline is counted in seconds that passed here. Every process
# counts, because hundreds of hosts may share the cores they run on: a guard is asked once for all probes that have it,
# apart from their output and without a process where builtins answer it, and head replaces the shell that starts it.
# Every write costs too, there and here: short records wait in pc_out until something that takes time is started.
_RUNNER = r"""
pc_probe() {
  if [ "$4" = 1 ] && [ "$pc_uid" != 0 ]; then pc_say "!$1 needs-root ."; return; fi
  pc_id=$1 pc_ticks=0 pc_late=
  pc_say "+$1 ."
  case $pc_said in
    *"$N+$5$N"*) pc_rc=0 ;;
    *"$N-$5$N"*) pc_rc=1 ;;
    *)
      pc_flush; pc_left=1
      ( PATCHCTL_PROBE=$pc_me.$pc_id; export PATCHCTL_PROBE; eval "$5" ) >/dev/null 2>&1 &
      pc_wait $! "$2"
      if [ -n "$pc_late" ]; then pc_kill "$pc_watch"; pc_say "!$1 timeout ."; return; fi
      if [ "$pc_rc" = 0 ]; then pc_said=$pc_said+$5$N; else pc_said=$pc_said-$5$N; fi ;;
  esac
  if [ "$pc_rc" != 0 ]; then pc_say ">$1 na 0 0 0 ."; return; fi
  pc_flush
  [ -n "$7" ] || pc_left=1
  [ -n "$pc_sure$7" ] || pc_check
  pc_ask "$1" "$2" "$3" "$6"
  if [ "$pc_rc" = 4 ] && [ -z "$pc_sure$pc_late" ]; then pc_nul=1; pc_ask "$1" "$2" "$3" "$6"; fi
  pc_sure=1
  if [ -n "$pc_late" ]; then pc_say "!$1 timeout ."; fi
}
pc_say() { pc_out="$pc_out
$N$1
"; }
pc_flush() { printf %s "$pc_out"; pc_out=; }
pc_ask() {
  pc_ticks=0
  pc_do "$4" 2>/dev/null | pc_head "$3" | awk -v N="$N" -v I="$1" -v C="$3" '
    function say(t) { n += length(t) + 1; l++; if (n - 1 > C) cut = 1; if (!cut) { print N "=" I " " t; b = n; k = l } }
    NR == 1 { if (length($0) != 3) exit; good = 1; print ""; next }
    NR > 2 { say(last) }
    { last = $0 }
    END {
      if (!good) exit 4
      rc = "-"
      if (NR > 1 && index(last, N " ") == 1 && last ~ / [0-9]+ \.$/) { split(last, w, " "); rc = w[2] }
      else if (NR > 1) say(last)
      print N ">" I " " rc " " b + 0 " " k + 0 " " cut + 0 " ."
      exit cut ? 3 : 0
    }' 2>/dev/null &
  pc_wait $! "$2"
  case $pc_late$pc_rc in 0) ;; *) pc_left=1; pc_kill "$pc_watch" ;; esac
}
pc_head() {
  case $pc_nul in
    '') exec head -c $(($1 + ROOM)) ;;
    *) if [ "$(printf abcd | head -c 3 2>/dev/null)" = abc ]; then head -c $(($1 + ROOM)); else cat; fi |
      tr '\000' '\377' ;;
  esac
}
pc_check() {
  [ "$(printf 'a\000bcd' | head -c 3 2>/dev/null | awk '{ print length($0) }' 2>/dev/null)" = 3 ] || pc_nul=1
  pc_sure=1
}
pc_know() { if eval "$1" >/dev/null 2>&1; then pc_said=$pc_said+$1$N; else pc_said=$pc_said-$1$N; fi; }
pc_wait() {
  while :; do
    pc_seen=$pc_ticks
    wait "$1"; pc_rc=$?
    { [ "$pc_rc" -gt 128 ] && [ "$pc_ticks" != "$pc_seen" ]; } || break
    if [ "$pc_ticks" -gt "$2" ]; then pc_late=1; break; fi
  done
}
pc_do() {
  PATCHCTL_PROBE=$pc_me.$pc_id; export PATCHCTL_PROBE
  printf 'a\000b\n'
  ( eval "$1" ); pc_rc=$?
  printf '\n%s %s .' "$N" "$pc_rc"
}
pc_guard() {
  PATCHCTL_PROBE=$pc_me.guard; export PATCHCTL_PROBE
  trap 'kill $! 2>/dev/null; exit 0' TERM
  while sleep 1 & wait $!; do kill -USR1 "$pc_me" || exit; done
}
pc_kill() {
  pc_pids=$(pc_tree "$1"); [ -n "$pc_pids" ] || return 0
  kill $pc_pids 2>/dev/null
  sleep 1
  pc_pids=$(pc_tree "$1"); [ -z "$pc_pids" ] || kill -9 $pc_pids 2>/dev/null
}
pc_marked() { exec grep -l "PATCHCTL_PROBE=$pc_me\.$1" /proc/[0-9]*/environ 2>/dev/null; }
pc_tree() {
  pc_marked "$pc_id" | while IFS=/ read -r _ _ pc_pid _; do echo "$pc_pid"; done
  if [ -r /proc/self/stat ]; then cat /proc/[0-9]*/stat 2>/dev/null; else ps -A -o pid= -o ppid= 2>/dev/null; fi |
    awk -v me="$pc_me" -v skip="$1" -v here="$(exec sh -c 'echo $PPID')" '
      { p = $1; if (sub(/^.*\) /, "")) up[p] = $2; else up[p] = $2 }
      END { for (p in up) { q = p; ok = 0; d = 0
        while (q in up && q + 0 > 1 && d++ < 200) {
          if (q == skip || q == here) { ok = 0; break }
          if (q == me) { ok = (p != me); break }
          q = up[q] }
        if (ok) print p } }'
}
"""

_SETUP = r"""
N={nonce}
umask 077
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH LC_ALL=C LANGUAGE=C
export PATH LC_ALL LANGUAGE
unset CDPATH ENV BASH_ENV IFS POSIXLY_CORRECT GREP_OPTIONS GREP_COLOR
pc_me=$$ pc_nul= pc_sure= pc_left= pc_out=
pc_uid=${{patchctl_uid:-$(id -u 2>/dev/null)}}  # the shell that reads us may know it already
pc_as=user; [ "$pc_uid" = 0 ] && pc_as=root
pc_said=$N+$N  # no guard at all says yes
trap 'pc_ticks=$((pc_ticks + 1))' USR1
pc_guard >/dev/null 2>&1 &
pc_watch=$! pc_ticks=0
pc_say "#BEGIN {protocol} $pc_as ."
"""

# Whatever a probe may have left behind goes before the end is told.
_END = r"""
kill "$pc_watch" 2>/dev/null
while kill -0 "$pc_watch" 2>/dev/null; do wait "$pc_watch"; done
if [ -n "$pc_left" ]; then
  pc_flush
  for pc_pid in $(pc_marked .); do pc_pid=${{pc_pid#/proc/}}; kill -9 "${{pc_pid%%/*}}"; done
fi
pc_say "#END {count} ."
pc_flush
"""


def compile_script(probes: Sequence[Probe], nonce: str) -> str:
    """Given probes and a fresh random nonce (16 to 64 hex digits), return the script that answers them.

    Raise ValueError for a bad nonce, a bad or repeated probe id, or text that no shell can hold.
    """
    check_nonce(nonce)
    check_ids(probes)
    calls = [
        f"pc_probe {p.id} {max(1, round(p.timeout))} {p.cap} {int(p.root)} {quote_sh(p.when)} {quote_sh(p.command)}"
        f"{' tidy' if p.tidy else ''}\n"
        for p in probes
    ]
    known = [f"pc_know {quote_sh(w)}\n" for w in dict.fromkeys(p.when for p in probes) if _PLAIN_GUARD.fullmatch(w)]
    setup = _SETUP.format(nonce=nonce, protocol=PROTOCOL)
    end = _END.format(count=len(calls))
    body = f"{_RUNNER.replace('ROOM', str(SENTINEL_ROOM))}{setup}{''.join(known)}{''.join(calls)}{end}"
    return f"patchctl_collect() {{{body}}}\npatchctl_collect </dev/null 2>/dev/null\nexit 0\n"


def check_nonce(nonce: str) -> None:
    """Raise ValueError unless the nonce is long enough and of safe characters."""
    if not _NONCE.fullmatch(nonce):
        raise ValueError("a nonce is 16 to 64 lower-case hex digits")


def check_ids(probes: Sequence[Probe]) -> None:
    """Raise ValueError unless every probe id is well formed and used once."""
    seen: set[str] = set()
    for probe in probes:
        if not _ID.fullmatch(probe.id):
            raise ValueError(f"not a probe id: {probe.id!r}")
        if probe.id in seen:
            raise ValueError(f"two probes are called {probe.id}")
        seen.add(probe.id)
