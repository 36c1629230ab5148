"""What is asked of a SUSE host. Repositories are refreshed in a copy of zypp's cache, never in place.

`zypper.pending` is one probe because its steps share that copy. It prints sections headed `@@ NAME`:

    refresh   only if refreshed: what went wrong, and `rc N`
    repos     zypper -x repos: aliases, addresses
    indexes   `present UNIXTIME ALIAS` or `missing ALIAS` of each enabled repository
    locks     zypper -x locks
    patches   zypper -x list-patches: needed ones with category, severity, CVEs, whether they ask for a reboot
    members   zypper info of these patches: which packages each is about
    updates   zypper -x list-updates: what is newer; `all` with --all: also what a lock or a dependency keeps back
    plan      zypper -x update --dry-run: what the full upgrade would change, add and remove
    files     from the repositories' own lists: name|version|arch|sha256|size|location|alias
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms import linux

REFRESH_AFTER = 12 * 3600
"""Seconds after which `auto` refreshes."""

IS_ZYPPER = "command -v rpm && command -v zypper"

# zypper touches repomd.xml whenever it has looked for a newer one; /etc/zypp/zypp.conf may move the cache.
_AGE = r"""
pc_conf() { sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" /etc/zypp/zypp.conf 2>/dev/null | tail -n 1; }
pc_cache=$(pc_conf cachedir); pc_cache=${pc_cache:-/var/cache/zypp}
pc_now=$(date +%s) pc_old=0
# The oldest index of those that are there; a repository without one is told by `indexes`.
for pc_file in "$pc_cache"/raw/*/repodata/repomd.xml; do
  pc_at=$(stat -L -c %Y "$pc_file" 2>/dev/null) || continue
  [ "$pc_old" != 0 ] && [ "$pc_old" -le "$pc_at" ] || pc_old=$pc_at
done
"""

_REFRESH = r"""
pc_base=$pc_cache
if [ MODE = always ] || { [ MODE = auto ] && [ $((pc_now - pc_old)) -gt LIMIT ]; }; then
  echo "@@ refresh"
  for pc_place in /var/cache /var/lib /run; do
    # A run that was cut off may have left its folder: nobody else's, and not one that is in use.
    find "$pc_place" -maxdepth 1 -name 'patchctl-zypp.??????' -user 0 -mtime +0 -exec rm -rf {} + 2>/dev/null
    pc_work=$(mktemp -d "$pc_place/patchctl-zypp.XXXXXX" 2>/dev/null) && break
  done
  if [ -z "$pc_work" ]; then
    echo "error: no folder for a cache of our own can be made"; echo "rc 1"
  else
    trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT
    trap 'rm -rf "$pc_work"' EXIT
    mkdir "$pc_work/zypp"
    for pc_part in raw solv; do
      [ -d "$pc_cache/$pc_part" ] && cp -a "$pc_cache/$pc_part" "$pc_work/zypp/" 2>/dev/null
    done
    zypper -n --cache-dir "$pc_work/zypp" refresh </dev/null >"$pc_work/log" 2>&1; pc_rc=$?
    [ "$pc_rc" = 0 ] || tail -n 30 "$pc_work/log"
    echo "rc $pc_rc"
    pc_base=$pc_work/zypp
  fi
fi
"""

_ASK = r"""
pc_zypper() { zypper -x -n --no-refresh --cache-dir "$pc_base" "$@" </dev/null 2>&1; }
echo "@@ repos"
pc_repos=$(pc_zypper repos); printf '%s\n' "$pc_repos"
echo "@@ indexes"
printf '%s\n' "$pc_repos" | sed -n 's/^<repo alias="\([^"]*\)".* enabled="1".*/\1/p' | while IFS= read -r pc_alias; do
  pc_at=$(stat -L -c %Y "$pc_base/raw/$pc_alias/repodata/repomd.xml" 2>/dev/null) &&
    echo "present $pc_at $pc_alias" || echo "missing $pc_alias"
done
"""

_LISTS = r"""
echo "@@ locks"; pc_zypper locks; echo "rc $?"
echo "@@ patches"; pc_patches=$(pc_zypper list-patches --with-optional); pc_rc=$?
printf '%s\nrc %s\n' "$pc_patches" "$pc_rc"
echo "@@ members"
set -f
pc_names=$(printf '%s\n' "$pc_patches" | grep -o '<update [^>]*kind="patch"[^>]*>' |
  sed -n 's/.* name="\([^"]*\)".*/\1/p')
[ -z "$pc_names" ] || zypper -n -q --no-refresh --cache-dir "$pc_base" info -t patch -- $pc_names </dev/null 2>&1
set +f
echo "@@ updates"; pc_zypper list-updates; echo "rc $?"
echo "@@ all"; pc_zypper list-updates --all; echo "rc $?"
echo "@@ plan"
"""

# The lists name every file with its SHA-256; zypper itself shows none. awk: one package a record.
_FILES = r"""
pc_rc=$?
printf '%s\nrc %s\n' "$pc_plan" "$pc_rc"
echo "@@ files"
pc_wanted=$(printf '%s\n' "$pc_plan" | grep -o '<solvable [^>]*' |
  sed -n 's/.* name="\([^"]*\)".* edition="\([^"]*\)".* arch="\([^"]*\)".*/\1|\2|\3/p')
"""
LOOK_UP = r"""
pc_read() {
  case $1 in
  *.gz) gzip -dc "$1" ;; *.xz) xz -dc "$1" ;; *.zst) zstd -dc "$1" ;; *.bz2) bzip2 -dc "$1" ;; *) cat "$1" ;;
  esac
}
for pc_list in "$pc_base"/raw/*/repodata/*primary.xml*; do
  [ -e "$pc_list" ] || continue
  pc_alias=${pc_list%/repodata/*}; pc_alias=${pc_alias##*/}
  pc_read "$pc_list" 2>/dev/null | awk -v alias="$pc_alias" -v wanted="$pc_wanted" '
    function get(tag, key,   t) {
      if (!match($0, "<" tag "[ >][^<]*")) return ""
      t = substr($0, RSTART, RLENGTH)
      if (key == "") { sub(/^[^>]*>/, "", t); return t }
      if (!match(t, " " key "=\"[^\"]*\"")) return ""
      t = substr(t, RSTART + length(key) + 3); sub(/".*/, "", t); return t
    }
    BEGIN { RS = "</package>"; n = split(wanted, w, "\n"); for (i = 1; i <= n; i++) want[w[i]] = 1 }
    {
      version = get("version", "ver") "-" get("version", "rel")
      epoch = get("version", "epoch"); name = get("name", ""); arch = get("arch", "")
      shown = (epoch == "" || epoch == "0") ? version : epoch ":" version
      if ((name "|" shown "|" arch) in want && get("checksum", "type") == "sha256")
        print name "|" shown "|" arch "|" get("checksum", "") "|" \
          get("size", "package") "|" get("location", "href") "|" alias
    }'
done
true
"""

_PACKAGES = "rpm -qa --qf '%{NAME}|%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}|%{ARCH}|%{SOURCERPM}\\n'"

LOCK_FUNCTIONS = r"""
pc_holder() {
  for pc_lock in /run/zypp.pid /var/run/zypp.pid; do
    read -r pc_pid <"$pc_lock" || continue
    case $pc_pid in ''|*[!0-9]*) continue ;; esac
    [ -d "/proc/$pc_pid" ] || continue
    pc_comm=$(cat "/proc/$pc_pid/comm" 2>/dev/null)
    echo "$pc_lock $pc_pid ${pc_comm:-gone}"; return 0
  done 2>/dev/null
  return 1
}
"""
LOCK_COMMAND = LOCK_FUNCTIONS + 'if pc_held=$(pc_holder); then echo "zypp ${pc_held#* }"; fi\n'
"""Prints `zypp PID COMMAND` when another process holds zypp's lock now."""

_AUDIT = 'zypper -x -n --no-refresh verify --dry-run </dev/null 2>&1; echo "rc $?"'

# 102 = yes, 0 = no; older zyppers do not know the command and say 1 or 2.
_REBOOT = r"""
zypper -q needs-rebooting </dev/null >/dev/null 2>&1; echo "needs-rebooting $?"
[ -e /run/reboot-needed ] && echo "file /run/reboot-needed"
for pc_file in /usr/lib/modules/*/vmlinu[xz]* /lib/modules/*/vmlinu[xz]*; do
  [ -e "$pc_file" ] && pc_file=${pc_file%/*} && echo "kernel ${pc_file##*/}"
done
true
"""

_BOOT_FILES = linux.INIT_MAPS + r"""
printf '%s\n' "$pc_maps" | cut -d' ' -f2- | sort -u | while IFS= read -r pc_file; do
  pc_name=$(rpm -qf --qf '%{NAME}\n' -- "$pc_file" 2>/dev/null) && printf '%s\n' "$pc_name" | sed "s,\$,: $pc_file," |
    sed 's/^/own /'
done
true
"""

_UPDATERS = r"""
systemctl list-unit-files --state=enabled --no-legend --no-pager \
  transactional-update.timer os-update.timer packagekit.service packagekit-background.timer \
  yast2-online-update.timer puppet.service salt-minion.service venv-salt-minion.service chef-client.service \
  2>/dev/null | awk '$2 == "enabled" { print $1 }'
[ -e /etc/cron.daily/opensuse.org-online_update ] && echo opensuse.org-online_update
true
"""

_TRANSACTIONAL = r"""
command -v transactional-update >/dev/null &&
  awk '$2 == "/" { o = $4 } END { exit o !~ /(^|,)ro(,|$)/ }' /proc/mounts && echo read-only-root
true
"""

_ACTIVITY = "stat -c %Y /var/log/zypp/history 2>/dev/null || rpm -qa --qf '%{INSTALLTIME}\\n' | sort -n | tail -n 1"


def pending_command(refresh: str) -> str:
    """Return the text of zypper.pending. refresh: auto | never | always."""
    # Without --with-interactive zypper leaves out, without a word, what asks for a reboot.
    return prologue(refresh) + _LISTS + "pc_plan=$(pc_zypper update --with-interactive --dry-run)" + _FILES + LOOK_UP


def resolve_command(changes: Sequence[Change], refresh: str = "auto") -> str:
    """Return a text that works out what installing just these versions changes, with the same cache as a scan."""
    words = " ".join(quote_sh(f"{c.package}.{c.arch}={edition(c.to_version)}") for c in changes)
    text = f'echo "@@ plan"; pc_plan=$(pc_zypper install --oldpackage --no-recommends --dry-run -- {words})'
    return prologue(refresh) + text + _FILES + LOOK_UP


def edition(version: str) -> str:
    """Return a version as zypper writes it: without an epoch that is 0."""
    return version.removeprefix("0:")


def prologue(refresh: str) -> str:
    """Return the text that readies the repositories, in place or refreshed apart, for what comes after it."""
    return _AGE + _REFRESH.replace("MODE", refresh).replace("LIMIT", str(REFRESH_AFTER)) + _ASK


def scan_probes(refresh: str) -> tuple[Probe, ...]:
    """Return zypper's own probes of a scan."""
    lists = _AGE + 'echo "now $pc_now"; echo "checked $pc_old"\n'
    return (
        Probe("zypper.packages", _PACKAGES, when=IS_ZYPPER, timeout=120, cap=16 * 1024 * 1024, pending=True),
        Probe("zypper.lists", lists, when=IS_ZYPPER, timeout=20, volatile=True, pending=True),
        Probe("zypper.transactional", _TRANSACTIONAL, when=IS_ZYPPER, timeout=10, pending=True),
        # zypper refuses to build a cache, even one of our own, for anybody but root.
        Probe("zypper.pending", pending_command(refresh), root=True, when=IS_ZYPPER, timeout=300, pending=True),
        Probe("zypper.audit", _AUDIT, root=True, when=IS_ZYPPER, timeout=120),
        Probe("zypper.reboot", _REBOOT, root=True, when=IS_ZYPPER, timeout=60),
        Probe("zypper.boot-files", _BOOT_FILES, root=True, when=f"{IS_ZYPPER} && [ -r /proc/self/maps ]", timeout=60),
        Probe("zypper.activity", _ACTIVITY, when=IS_ZYPPER, timeout=30),
        Probe("zypper.updaters", _UPDATERS, when=IS_ZYPPER, timeout=30),
    )  # fmt: skip
