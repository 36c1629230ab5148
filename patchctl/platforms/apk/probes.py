"""What is asked of an Alpine host: apk 2 or 3. The texts need no more than busybox.

Indexes are refreshed, where asked, into a cache folder of their own, never into the host's. `apk.pending` and
`apk.resolve` print sections headed `@@ NAME`, each ended by `rc N`:

    refresh   only if refreshed: apk update's errors and warnings
    indexes   the number of repositories
    newer     (pending) apk version -l '<': what is newer, pinned ones too
    upgrade   apk --simulate upgrade: all, or just the packages asked about
    have      (resolve) `name|arch` of the installed packages
    files     (resolve, earlier) name|version|arch|sha256|size|address of what is taken, fetched and thrown away again
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms import linux

REFRESH_AFTER = 12 * 3600
"""Seconds after which `auto` refreshes."""
IS_APK = "command -v apk"

# name|version|arch|origin|flags; a line f: tells of files or scripts that apk could not put in place.
DATABASE = r"""
pc_db=/lib/apk/db/installed; [ -r "$pc_db" ] || pc_db=/usr/lib/apk/db/installed
"""
_PACKAGES = DATABASE + r"""
[ -r "$pc_db" ] && awk '
  function flush() { if (v["P"] != "") print v["P"] "|" v["V"] "|" v["A"] "|" v["o"] "|" v["f"]; split("", v) }
  /^[PVAof]:/ { k = substr($0, 1, 1); v[k] = substr($0, 3) }
  /^$/ { flush() }
  END { flush() }' "$pc_db"
"""
_AGE = r"""
pc_cache=/var/cache/apk; [ -d /etc/apk/cache ] && pc_cache=/etc/apk/cache
pc_now=$(date +%s) pc_old=0
for pc_file in "$pc_cache"/APKINDEX.*; do
  pc_at=$(stat -L -c %Z "$pc_file" 2>/dev/null) || continue
  [ "$pc_old" != 0 ] && [ "$pc_old" -le "$pc_at" ] || pc_old=$pc_at
done
"""
_PROLOGUE = _AGE + r"""
pc_base=$pc_cache
pc_folder() {
  # A run that was cut off may have left its folder: nobody else's, and not one that is in use.
  find /var/cache /run -maxdepth 1 -name 'patchctl-apk.??????' -user root -mtime +0 -exec rm -rf {} + 2>/dev/null
  pc_work=$(mktemp -d /var/cache/patchctl-apk.XXXXXX 2>/dev/null || mktemp -d /run/patchctl-apk.XXXXXX 2>/dev/null)
  [ -n "$pc_work" ] || return 1
  trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT
  trap 'rm -rf "$pc_work"' EXIT
}
pc_work=
if [ MODE = always ] || { [ MODE = auto ] && [ $((pc_now - pc_old)) -gt LIMIT ]; }; then
  echo "@@ refresh"
  if ! pc_folder; then
    echo "ERROR: no folder for indexes of our own can be made"; echo "rc 1"
  else
    apk --cache-dir "$pc_work" --no-progress update >"$pc_work/log" 2>&1; pc_rc=$?
    grep -E '^(ERROR|WARNING):' "$pc_work/log" | head -n 40
    echo "rc $pc_rc"
    pc_base=$pc_work
  fi
fi
# With --no-network a package counts as not available until its file is in the cache: everything would look kept back.
# So the network stays allowed, and the age keeps apk from refreshing these indexes by the way.
pc_apk() { apk --cache-dir "$pc_base" --cache-max-age 99999999 --no-progress "$@" 2>&1; }
"""
_LISTS = r"""
echo "@@ indexes"; grep -cE '^[^#]*[^#[:space:]]' /etc/apk/repositories; echo "rc $?"
echo "@@ newer"; pc_apk version -l '<'; echo "rc $?"
echo "@@ upgrade"; pc_apk --simulate upgrade; echo "rc $?"
true
"""
# The index knows no SHA-256 of a file, only a SHA-1 that apk verifies when it fetches: so each file is fetched, its
# hash is taken, and it is thrown away. pc_fetch NAME VERSION [OPTION...], pc_show NAME VERSION FILE ADDRESS.
FETCH = r"""
echo "@@ files"
[ -n "$pc_work" ] || pc_folder || exit 0
mkdir -p "$pc_work/files"
pc_show() {
  pc_arch=$(tar -xzOf "$3" .PKGINFO 2>/dev/null | sed -n 's/^arch = //p' | head -n 1)
  echo "$1|$2|$pc_arch|$(sha256sum <"$3" | cut -d ' ' -f 1)|$(stat -c %s "$3")|$4"
}
pc_fetch() {
  pc_name=$1 pc_version=$2; shift 2
  # Of a file that is there already apk shows no address.
  pc_uri=$(pc_apk "$@" fetch --output "$pc_work/files" --simulate --url "$pc_name" </dev/null |
    grep -F "/$pc_name-$pc_version.apk")
  pc_said=$(pc_apk "$@" fetch --quiet --output "$pc_work/files" "$pc_name" </dev/null)
  pc_file=$pc_work/files/$pc_name-$pc_version.apk
  if [ -f "$pc_file" ]; then pc_show "$pc_name" "$pc_version" "$pc_file" "$pc_uri"
  else printf '%s\n' "$pc_said" | grep -E '^(ERROR|WARNING):' | head -n 3; fi
  rm -f "$pc_work"/files/*
}
"""
_FILES = r"""
printf '%s\nrc %s\n' "$pc_plan" "$pc_rc"
""" + FETCH + r"""
printf '%s\n' "$pc_plan" | sed -n \
  -e 's/^([0-9]*\/[0-9]*) Installing \([^ @]*\)[^ ]* (\([^ ]*\))$/\1 \2/p' \
  -e 's/^([0-9]*\/[0-9]*) Upgrading \([^ @]*\)[^ ]* ([^ ]* -> \([^ ]*\))$/\1 \2/p' |
while read -r pc_new pc_to; do pc_fetch "$pc_new" "$pc_to"; done
echo "rc 0"
"""
LOCK_FUNCTIONS = r"""
pc_holder() {
for pc_lock in /lib/apk/db/lock /usr/lib/apk/db/lock /run/apk/db.lock; do
  pc_inode=$(stat -c %i "$pc_lock" 2>/dev/null) || continue
  pc_pid=$(awk -v i="$pc_inode" '$2 != "->" && $5 > 0 { n = split($6, w, ":"); if (w[n] == i) { print $5; exit } }' \
    /proc/locks)
  [ -n "$pc_pid" ] || continue
  echo "$pc_lock $pc_pid $(cat "/proc/$pc_pid/comm" 2>/dev/null || echo gone)"; return 0
done
return 1
}
"""
LOCK_COMMAND = LOCK_FUNCTIONS + 'if pc_held=$(pc_holder); then echo "apk ${pc_held#* }"; fi\n'
"""Prints `apk PID COMMAND` when another process holds apk's database now."""

_BOOT_FILES = linux.INIT_MAPS + r"""
printf '%s\n' "$pc_maps" | cut -d' ' -f2- | sort -u | while IFS= read -r pc_file; do
  apk info --who-owns "$pc_file" 2>/dev/null
done | sed -n 's/^\(.*\) is owned by \(.*\)-[0-9][^-]*-r[0-9]*$/own \2: \1/p'
true
"""

# Alpine has no service of its own that updates it; what admins put into cron does.
_UPDATERS = r"""
grep -lsE '(^|[^[:alnum:]])apk([[:space:]]+-[^[:space:]]+)*[[:space:]]+upgrade' /etc/periodic/*/* /etc/crontabs/* \
  /etc/cron.d/* /etc/local.d/*.start
true
"""


def pending_command(refresh: str) -> str:
    """Return the text of apk.pending. refresh: auto | never | always."""
    return prologue(refresh) + _LISTS


def resolve_command(changes: Sequence[Change], refresh: str = "auto") -> str:
    """Return a text that works out what upgrading just these changes, with the same indexes as a scan."""
    words = " ".join(quote_sh(c.package) for c in changes)
    have = f'echo "@@ have"; {_PACKAGES.strip()} | cut -d "|" -f 1,3\n'
    plan = f'echo "@@ upgrade"; pc_plan=$(pc_apk --simulate upgrade -- {words}); pc_rc=$?\n'
    return prologue(refresh) + have + plan + _FILES


def fingerprint_command(packages: Sequence[str]) -> str:
    """Return a text that prints `package:arch version` of those of the packages that are installed."""
    names = quote_sh(" ".join(sorted(set(packages))))
    chosen = "'index(names, \" \" $1 \" \") { print $1 \":\" $3 \" \" $2 }' | sort"
    return f"set -- {names}\n{_PACKAGES.strip()} | awk -F'|' -v names=\" $1 \" {chosen}"


def prologue(refresh: str) -> str:
    """Return the text that readies the indexes, in place or refreshed apart, and pc_apk for what comes after it."""
    return _PROLOGUE.replace("MODE", refresh).replace("LIMIT", str(REFRESH_AFTER))


def scan_probes(refresh: str) -> tuple[Probe, ...]:
    """Return apk's own probes of a scan."""
    ages = _AGE + 'echo "now $pc_now"; echo "checked $pc_old"\n'
    return (
        Probe("apk.packages", _PACKAGES, when=IS_APK, timeout=60, cap=16 * 1024 * 1024, pending=True),
        Probe("apk.world", "cat /etc/apk/world", when=IS_APK, timeout=10, pending=True),
        Probe("apk.lists", ages, when=IS_APK, timeout=20, volatile=True, pending=True),
        Probe("apk.pending", pending_command(refresh), root=True, when=IS_APK, timeout=300, pending=True),
        Probe("apk.reboot", linux.MODULES, when=IS_APK, timeout=10),
        Probe("apk.boot-files", _BOOT_FILES, root=True, when=f"{IS_APK} && [ -r /proc/self/maps ]", timeout=60),
        Probe("apk.activity", DATABASE + 'stat -c %Y "$pc_db"', when=IS_APK, timeout=10),
        Probe("apk.updaters", _UPDATERS, root=True, when=IS_APK, timeout=10),
    )
