"""The texts that change a Debian or Ubuntu host: fetch artefacts, install exactly them. Run by the host's runner."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.model.versions import deb
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.install_text import WAIT_FOR_LOCK, check_sums, choose_files

# Every way a package could ask a question, answered beforehand; needrestart and the list* tools kept quiet.
_QUIET = r"""
export LC_ALL=C LANGUAGE=C TERM=dumb PAGER=cat SYSTEMD_PAGER=cat
export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical DEBCONF_NONINTERACTIVE_SEEN=true
export UCF_FORCE_CONFFOLD=1 NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l
export APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none
umask 022
"""

# Locks are fcntl locks: /proc/locks names the holder by inode, and by process id as this host numbers processes.
_LOCKS = r"""
pc_locks="/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock"
pc_holder() {
  for pc_lock in $pc_locks; do
    pc_inode=$(stat -c %i "$pc_lock" 2>/dev/null) || continue
    pc_pid=$(awk -v i="$pc_inode" '
      $2 != "->" && $5 > 0 { n = split($6, w, ":"); if (w[n] == i) { print $5; exit } }' /proc/locks)
    if [ -n "$pc_pid" ]; then
      pc_comm=$(cat "/proc/$pc_pid/comm" 2>/dev/null)
      echo "$pc_lock $pc_pid ${pc_comm:-gone}"
      return 0
    fi
  done
  return 1
}
"""

_OPTIONS = (
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "
    "-o APT::Get::Show-User-Simulation-Note=0 -o APT::Keep-Downloaded-Packages=1"
)

ADJUSTMENTS = {
    "dpkg-configure-a": "dpkg --force-confdef --force-confold --configure -a </dev/null || echo 'patchctl: failed'",
    "fix-broken": f"apt-get -q -y --no-remove {_OPTIONS} -f install </dev/null || echo 'patchctl: failed'",
    "apt-clean": "apt-get clean",
}
"""What may be done once before a new attempt, by the names that the failure signatures propose."""


LOCK_COMMAND = f"""{_LOCKS}
if pc_held=$(pc_holder); then echo "dpkg ${{pc_held#* }}"; fi"""
"""Prints `dpkg PID COMMAND` when another process holds dpkg's lock now."""


def download_script(artefacts: Sequence[Artefact], directory: str) -> str:
    """Return a script that fetches the artefacts with the host's own apt (its proxies, keys and credentials).

    Prints `have SHA256` or `miss SHA256 reason` for each; whatever does not have the promised hash is thrown away.
    """
    rows = [(a.sha256, quote_sh(a.filename), quote_sh(a.uri), a.size) for a in artefacts]
    wanted = "".join(f"pc_want {sha} {name} {uri}\n" for sha, name, uri, _ in rows)
    result = "".join(f"pc_tell {sha} {name}\n" for sha, name, _, _ in rows)
    return f"""{_QUIET}
cd {quote_sh(directory)} || exit 1
pc_ok() {{ [ -f "$2" ] && [ "$(sha256sum <"$2" | cut -d ' ' -f 1)" = "$1" ]; }}
pc_base=$(mktemp -d /var/cache/patchctl-get.XXXXXX) || {{ echo "patchctl: /var/cache is not writable"; exit 1; }}
trap 'rm -rf "$pc_base"' EXIT
trap 'exit 143' TERM HUP INT
# apt downloads as a user of its own, who may not enter our folder.
chmod 755 "$pc_base"; mkdir "$pc_base/files"; chown _apt "$pc_base/files" 2>/dev/null
pc_list=$pc_base/list
pc_want() {{
  pc_ok "$1" "$2" && return
  if pc_ok "$1" "/var/cache/apt/archives/$2"; then cp "/var/cache/apt/archives/$2" "$pc_base/files/$2" && return; fi
  [ -z "$3" ] || printf '%s\\n' "$3" "$pc_base/files/$2" "SHA256:$1" >>"$pc_list"
}}
pc_tell() {{
  if pc_ok "$1" "$2"; then echo "have $1"; return; fi
  if pc_ok "$1" "$pc_base/files/$2"; then
    if mv "$pc_base/files/$2" "$2.part" && mv "$2.part" "$2"; then echo "have $1"; return; fi
    echo "miss $1 it cannot be written to $PWD"
    return
  fi
  pc_why=$(grep -F -e "$2" -e 'E: ' "$pc_base/log" 2>/dev/null | grep -E '^(E|W|Err)' | head -n 1 | cut -c 1-200)
  echo "miss $1 ${{pc_why:-no source of this host gave it}}"
}}
{wanted}
if [ -s "$pc_list" ]; then
  tr '\\n' '\\0' <"$pc_list" | xargs -0 -n 300 /usr/lib/apt/apt-helper -o Acquire::Retries=2 \\
    -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 download-file >"$pc_base/log" 2>&1
fi
{result}
exit 0
"""


def install_script(request: InstallRequest) -> str:
    """Return the runner's payload: install exactly the files in the spool, and nothing else.

    Prints `patchctl: step NAME`, and for people and the diagnosis `patchctl: conffile PATH` (a changed configuration
    file was kept), `patchctl: lock-held PATH PID COMMAND`, `patchctl: hold-lost NAME`. Exits as apt-get did.
    Raise ValueError for an adjustment that is not known, or a change without its artefact.
    """
    chosen = choose_files(request)
    for name in request.adjustments:
        if name not in ADJUSTMENTS:
            raise ValueError(f"unknown adjustment {name!r}")
    adjust = "".join(f"echo 'patchctl: step adjust-{name}'\n{ADJUSTMENTS[name]}\n" for name in request.adjustments)
    words = [quote_sh(f"./{a.filename}") for a in chosen] + (['"$@"'] if request.removals else [])
    none = "" if chosen else "true || "  # no files: only removals
    options = [_OPTIONS, f"-o DPkg::Lock::Timeout={max(1, request.lock_timeout)}"]
    if not request.removals:
        options.append("--no-remove")
    if any(_is_downgrade(c) for c in request.changes):
        options.append("--allow-downgrades")
    new = " ".join(quote_sh(c.package) for c in request.changes if not c.from_version and c.pulled)
    names = " ".join(quote_sh(f"{c.package}{_suffix(c)}") for c in request.changes)
    return f"""{_QUIET}{_LOCKS}{WAIT_FOR_LOCK}
cd {quote_sh(request.directory)} || exit 1
# Without any source, apt can take nothing but the files given: no other version, no package that was not planned.
pc_alone=$PWD/alone
mkdir -p "$pc_alone/lists/partial" "$pc_alone/archives/partial"
pc_only="-o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$pc_alone/lists"
pc_only="$pc_only -o Dir::Cache=$pc_alone -o Dir::Cache::archives=$pc_alone/archives -o APT::Sandbox::User=root"
: >started
{adjust}echo 'patchctl: step lock'
pc_wait_for_lock {max(1, request.lock_timeout)} || exit 100
echo 'patchctl: step check'
{none}sha256sum --quiet -c - <<'patchctl-sums' || {{ echo 'patchctl: hash-mismatch'; exit 100; }}
{check_sums(chosen)}patchctl-sums
{_list_removals(request)}pc_holds=$(apt-mark showhold)
pc_auto={f"$(apt-mark showauto {names} 2>/dev/null)" if names else ""}
{_check_removals(request, words)}echo 'patchctl: step install'
apt-get -q -y $pc_only {" ".join(options)} install {" ".join(words)} </dev/null 2>&1
pc_rc=$?
echo 'patchctl: step after'
[ "$pc_rc" = 0 ] || {{ pc_held=$(pc_holder) && echo "patchctl: lock-held $pc_held"; }}
# Given by file name, packages would count as wanted by hand from now on.
[ -z "$pc_auto{new}" ] || apt-mark auto $pc_auto {new} >/dev/null 2>&1
for pc_name in $pc_holds; do
  apt-mark showhold | grep -q -x -F -e "$pc_name" && continue
  echo "patchctl: hold-lost $pc_name"
  apt-mark hold "$pc_name"
done
find /etc \\( -name '*.dpkg-dist' -o -name '*.ucf-dist' \\) -cnewer started 2>/dev/null |
  sed -e 's/^/patchctl: conffile /' -e 's/\\.dpkg-dist$//' -e 's/\\.ucf-dist$//'
exit "$pc_rc"
"""


def _list_removals(request: InstallRequest) -> str:
    """Return what sets "$@" to apt's words for the planned removals, of those packages that are there."""
    if not request.removals:
        return ""
    return (
        f"set --\nfor pc_name in {' '.join(quote_sh(name) for name in request.removals)}; do\n"
        "  case $(dpkg-query -W -f '${db:Status-Status}' -- \"$pc_name\" 2>/dev/null) in\n"
        "  ''|not-installed|config-files) ;;\n  *) set -- \"$@\" \"$pc_name-\" ;; esac\ndone\n"
    )


def _check_removals(request: InstallRequest, words: Sequence[str]) -> str:
    """Return a check that apt would remove just what was planned (--no-remove covers the case of nothing)."""
    if not request.removals:
        return ""
    return (
        f"for pc_name in $(apt-get -s -q $pc_only install {' '.join(words)} 2>/dev/null |\n"
        "  sed -n 's/^Remv \\([^ ]*\\).*/\\1/p'); do\n"
        f'  case " "{quote_sh(" ".join(request.removals))}" " in *" $pc_name "*) ;;\n'
        f'  *) echo "patchctl: unplanned-removal $pc_name"; exit 100 ;; esac\ndone\n'
    )


def _is_downgrade(change: Change) -> bool:
    return bool(change.from_version) and deb.compare(change.from_version, change.to_version) > 0


def _suffix(change: Change) -> str:
    return f":{change.arch}" if change.arch and change.arch != "all" else ""
