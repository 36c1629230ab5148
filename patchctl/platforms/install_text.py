"""What the texts that install have in common under several package managers: waiting for a lock, files, and hashes."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.text import quote_sh
from patchctl.platforms.contract import InstallRequest

QUIET = """
export LC_ALL=C LANGUAGE=C TERM=dumb PAGER=cat SYSTEMD_PAGER=cat
umask 022
"""

WAIT_FOR_LOCK = r"""
pc_wait_for_lock() {
  pc_waited=0
  while pc_held=$(pc_holder); do
    if [ "$pc_waited" -ge "$1" ]; then echo "patchctl: lock-held $pc_held"; return 1; fi
    [ "$pc_waited" -gt 0 ] || echo "patchctl: waiting for lock $pc_held"
    sleep 1; pc_waited=$((pc_waited + 1))
  done
}
"""
"""pc_wait_for_lock SECONDS: 1 if somebody still holds the lock then. pc_holder prints `PATH PID COMMAND`, or fails."""

CURL = r"""curl -fsSL --retry 2 --connect-timeout 30 --speed-limit 1 --speed-time 60 \
      --max-filesize $(($3 + 1048576)) -o "$1" -- "$2" 2>&1"""
"""Fetches the URI $2 into the file $1, of $3 bytes at most and some room."""


def fetch_files(artefacts: Sequence[Artefact], directory: str, from_cache: str, load: str = CURL) -> str:
    """Return a script that takes files from the host's own package cache, else from the sources that it names itself.

    `from_cache` copies the cached file of name $2 and hash $1 to "$2.part" where it finds one, by pc_ok HASH FILE;
    `load` is as CURL. Prints `have SHA256` or `miss SHA256 reason` for each; what has another hash is thrown away.
    """
    wanted = "".join(f"pc_get {a.sha256} {quote_sh(a.filename)} {quote_sh(a.uri)} {int(a.size)}\n" for a in artefacts)
    return f"""{QUIET}
cd {quote_sh(directory)} || exit 1
pc_ok() {{ [ -f "$2" ] && [ "$(sha256sum <"$2" | cut -d ' ' -f 1)" = "$1" ]; }}
pc_load() {{
  {{ {load}; }} | head -n 1 | cut -c 1-200
}}
pc_get() {{
  pc_why=
  if pc_ok "$1" "$2"; then echo "have $1"; return; fi
  rm -f -- "$2" "$2.part"
  {from_cache}
  [ -f "$2.part" ] || pc_why=$(pc_load "$2.part" "$3" "$4")
  if pc_ok "$1" "$2.part" && mv -- "$2.part" "$2"; then echo "have $1"; return; fi
  rm -f -- "$2.part"
  echo "miss $1 ${{pc_why:-its source gave something else}}"
}}
{wanted}exit 0
"""


def choose_files(request: InstallRequest) -> list[Artefact]:
    """Return the file of each change, in their order. Raise ValueError for a change without one."""
    files = {(a.package, a.version, a.arch): a for a in request.artefacts}
    loose = {(a.package, a.version): a for a in request.artefacts}
    chosen = []
    for change in request.changes:
        key = change.package, change.to_version
        artefact = files.get((*key, change.arch)) or loose.get(key)
        if artefact is None:
            raise ValueError(f"no artefact for {change.package} {change.to_version}")
        chosen.append(artefact)
    return chosen


def check_sums(artefacts: Sequence[Artefact]) -> str:
    """Return lines as sha256sum reads them."""
    return "".join(f"{a.sha256}  {a.filename}\n" for a in artefacts)
