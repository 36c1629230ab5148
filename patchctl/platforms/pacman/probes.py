"""What is asked of an Arch host. Databases are refreshed in a folder of their own, as checkupdates does: a refresh in
place without the upgrade would make the next `pacman -S` of anything a partial upgrade.

`pacman.pending` is one probe because its steps share that folder. It prints sections headed `@@ NAME`:

    refresh   only if refreshed: what went wrong, and `rc N`
    repos     `present|missing NAME` of each configured repository; `level NAME PackageRequired|...`
    upgrades  pacman -Qu: what is newer, ignored ones marked; `rc N` (1 = nothing)
    plan      pacman -Sup: what the full upgrade would put in place, `repository|name|version|size|address`; `rc N`
    db        for each of these: name|version|arch|file|size|sha256|signature in base64|replaces|conflicts
    have      (resolve only) pacman -Q
    sigs      (resolve only) `NAME BASE64` of signatures that the database does not hold
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms import linux

REFRESH_AFTER = 12 * 3600
"""Seconds after which `auto` refreshes."""

IS_PACMAN = "command -v pacman && command -v pacman-conf"

DATABASE = 'pc_db=$(pacman-conf DBPath); pc_db=${pc_db%/}; [ -d "$pc_db/local" ] || exit 1\n'

# A database file's mtime is the server's; its ctime moves on when it is replaced, not when the server says "no news".
# So a database counts as old as its content at least; refreshing it once too often is cheap.
_AGE = r"""
pc_now=$(date +%s) pc_old=
for pc_repo in $(pacman-conf --repo-list); do
  pc_at=$(stat -L -c %Z "$pc_db/sync/$pc_repo.db" 2>/dev/null) || pc_at=0
  [ -n "$pc_old" ] && [ "$pc_old" -le "$pc_at" ] || pc_old=$pc_at
done
pc_old=${pc_old:-0}
"""

_REFRESH = r"""
pc_base=$pc_db
if [ MODE = always ] || { [ MODE = auto ] && [ $((pc_now - pc_old)) -gt LIMIT ]; }; then
  echo "@@ refresh"
  for pc_place in /var/cache /var/lib /run; do
    # A run that was cut off may have left its folder: nobody else's, and not one that is in use.
    find "$pc_place" -maxdepth 1 -name 'patchctl-sync.??????' -user 0 -mtime +0 -exec rm -rf {} + 2>/dev/null
    pc_work=$(mktemp -d "$pc_place/patchctl-sync.XXXXXX" 2>/dev/null) && break
  done
  if [ -z "$pc_work" ]; then
    echo "error: no folder for databases of our own can be made"; echo "rc 1"
  else
    trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT
    trap 'rm -rf "$pc_work"' EXIT
    chmod 755 "$pc_work"; mkdir -m 755 "$pc_work/sync"; ln -s "$pc_db/local" "$pc_work/local"
    cp -p "$pc_db"/sync/*.db "$pc_db"/sync/*.db.sig "$pc_work/sync/" 2>/dev/null
    pacman -Sy --dbpath "$pc_work" --logfile /dev/null --noconfirm --noprogressbar --color never \
      </dev/null >"$pc_work/log" 2>&1; pc_rc=$?
    grep -E '^(error|warning):' "$pc_work/log" | head -n 40
    echo "rc $pc_rc"
    pc_base=$pc_work
  fi
fi
"""

_ASK = r"""
pc_pacman() { pacman --dbpath "$pc_base" --logfile /dev/null --noconfirm --color never "$@" </dev/null 2>&1; }
echo "@@ repos"
for pc_repo in $(pacman-conf --repo-list); do
  pc_state=missing; [ -e "$pc_base/sync/$pc_repo.db" ] && pc_state=present
  echo "$pc_state $pc_repo"
  pacman-conf --repo "$pc_repo" SigLevel 2>/dev/null | grep -E '^Package(Never|Optional|Required)$' |
    sed "s/^/level $pc_repo /"
done
"""

_DESCRIBE = r"""
pc_rc=$?
printf '%s\nrc %s\n' "$pc_plan" "$pc_rc"
echo "@@ db"
set -f
pc_rows=$(printf '%s\n' "$pc_plan" | awk -F'|' 'NF == 5')
printf '%s\n' "$pc_rows" | cut -d'|' -f1 | sort -u | while read -r pc_repo; do
  [ -n "$pc_repo" ] || continue
  bsdtar -xOf "$pc_base/sync/$pc_repo.db" \
    $(printf '%s\n' "$pc_rows" | awk -F'|' -v r="$pc_repo" '$1 == r { print $2 "-" $3 "/desc" }') | awk '
    function flush() {
      if (v["NAME"] != "") print v["NAME"] "|" v["VERSION"] "|" v["ARCH"] "|" v["FILENAME"] "|" v["CSIZE"] "|" \
        v["SHA256SUM"] "|" v["PGPSIG"] "|" v["REPLACES"] "|" v["CONFLICTS"]
      split("", v)
    }
    /^%[A-Z0-9]+%$/ { key = substr($0, 2, length($0) - 2); if (key == "FILENAME") flush(); next }
    NF { v[key] = v[key] (v[key] == "" ? "" : " ") $0 }
    END { flush() }'
done
set +f
"""

_FORMAT = "--print-format '%r|%n|%v|%s|%l'"

# Newer repositories leave the signatures out of the database: each lies beside its package.
_SIGNATURES = r"""
echo "@@ sigs"
printf '%s\n' "$pc_rows" | while IFS='|' read -r pc_repo pc_name pc_version pc_size pc_uri; do
  [ -n "$pc_uri" ] || continue
  pc_sig=$(curl -fsSL --max-time 30 --max-filesize 65536 "$pc_uri.sig" 2>/dev/null | base64 -w 0)
  [ -z "$pc_sig" ] || echo "$pc_name $pc_sig"
done
"""

# name|version|arch|base, from the local database: `pacman -Qi` is slow, and `pacman -Q` knows no architecture.
_PACKAGES = DATABASE + r"""
find "$pc_db/local" -mindepth 2 -maxdepth 2 -name desc -exec cat {} + | awk '
  function flush() { if (v["NAME"] != "") print v["NAME"] "|" v["VERSION"] "|" v["ARCH"] "|" v["BASE"]; split("", v) }
  /^%[A-Z0-9]+%$/ { key = $0; gsub(/%/, "", key); if (key == "NAME") flush(); next }
  NF { v[key] = $0 }
  END { flush() }'
"""

# pacman's lock is a file that exists; whoever made it keeps it open. Nobody has it open: an earlier run was cut off.
LOCK_FUNCTIONS = r"""
pc_holder() {
  [ -e "$pc_db/db.lck" ] || return 1
  pc_pid=$(find /proc/[0-9]*/fd -lname "$pc_db/db.lck" 2>/dev/null | sed -n '1s,^/proc/\([0-9]*\)/.*,\1,p')
  pc_comm=$(cat "/proc/${pc_pid:-none}/comm" 2>/dev/null)
  echo "$pc_db/db.lck ${pc_pid:-0} ${pc_comm:-nobody}"
}
"""
LOCK_COMMAND = DATABASE + LOCK_FUNCTIONS + r"""
pc_held=$(pc_holder) && case $pc_held in *" 0 nobody") ;; *) echo "pacman ${pc_held#* }" ;; esac
true
"""
"""Prints `pacman PID COMMAND` when another process holds the lock now."""

_AUDIT = DATABASE + LOCK_FUNCTIONS + r"""
pc_held=$(pc_holder) && case $pc_held in *" 0 nobody") echo "stale $pc_db/db.lck" ;; esac
for pc_dir in "$pc_db"/local/*/; do [ -s "$pc_dir/desc" ] || echo "no-desc ${pc_dir#"$pc_db"/local/}"; done
pacman -Dk --color never 2>&1 | sed 's/^/check /'
true
"""

_HOLDS = "pacman-conf IgnorePkg; pacman-conf IgnoreGroup | sed 's/^/group:/'"

_BOOT_FILES = linux.INIT_MAPS + r"""
pacman -Qo $(printf '%s\n' "$pc_maps" | cut -d' ' -f2- | sort -u) --color never 2>/dev/null |
  sed -n 's/^\(.*\) is owned by \([^ ]*\) [^ ]*$/own \2: \1/p'
"""

_UPDATERS = r"""
systemctl list-unit-files --state=enabled --no-legend --no-pager \
  packagekit.service pamac-daemon.service archlinux-autoupdate.timer arch-update.timer pacman-auto-update.timer \
  puppet.service salt-minion.service chef-client.service 2>/dev/null | awk '$2 == "enabled" { print $1 }'
true
"""

_ACTIVITY = DATABASE + 'stat -c %Y "$pc_db/local"'


def pending_command(refresh: str) -> str:
    """Return the text of pacman.pending. refresh: auto | never | always."""
    return (
        _prologue(refresh) + 'echo "@@ upgrades"; pc_pacman -Qu; echo "rc $?"\n'
        f'echo "@@ plan"; pc_plan=$(pc_pacman -Sup {_FORMAT})' + _DESCRIBE
    )


def resolve_command(changes: Sequence[Change], refresh: str = "auto") -> str:
    """Return a text that works out what installing just these needs, with the same databases as a scan."""
    words = " ".join(quote_sh(c.package) for c in changes)
    return (
        _prologue(refresh) + f'echo "@@ plan"; pc_plan=$(pc_pacman -Sp --needed {_FORMAT} -- {words})' + _DESCRIBE
        + 'echo "@@ have"; pacman -Q --color never\n' + _SIGNATURES
    )


def _prologue(refresh: str) -> str:
    return DATABASE + _AGE + _REFRESH.replace("MODE", refresh).replace("LIMIT", str(REFRESH_AFTER)) + _ASK


def scan_probes(refresh: str) -> tuple[Probe, ...]:
    """Return pacman's own probes of a scan."""
    lists = DATABASE + _AGE + 'echo "now $pc_now"; echo "checked $pc_old"\n'
    return (
        Probe("pacman.packages", _PACKAGES, when=IS_PACMAN, timeout=60, cap=16 * 1024 * 1024, pending=True),
        Probe("pacman.lists", lists, when=IS_PACMAN, timeout=20, volatile=True, pending=True),
        Probe("pacman.holds", _HOLDS, when=IS_PACMAN, timeout=10, pending=True),
        # Only root can refresh, even into a folder of his own.
        Probe("pacman.pending", pending_command(refresh), root=refresh != "never", when=IS_PACMAN, timeout=300,
              pending=True),
        Probe("pacman.audit", _AUDIT, root=True, when=IS_PACMAN, timeout=60),
        Probe("pacman.reboot", linux.MODULES, when=IS_PACMAN, timeout=10),
        Probe("pacman.boot-files", _BOOT_FILES, root=True, when=f"{IS_PACMAN} && [ -r /proc/self/maps ]", timeout=60),
        Probe("pacman.activity", _ACTIVITY, when=IS_PACMAN, timeout=10),
        Probe("pacman.updaters", _UPDATERS, when=IS_PACMAN, timeout=30),
    )  # fmt: skip
