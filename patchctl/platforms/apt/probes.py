"""What is asked of a Debian or Ubuntu host. Lists are refreshed, where asked, in a folder of their own, never in place.

`apt.pending` is one probe because its steps share that folder. It prints sections headed `@@ NAME`:

    refresh   only if refreshed: what went wrong, and `rc N`
    targets   the lists that the configured sources should have given, `present|missing FILE|LABEL|SUITE|VERSION|INDEX`
    upgrade   apt-get --print-uris -V upgrade: what would change, versions, kept back, phased; URIs with SHA-256
    versions  apt-cache policy of the packages concerned
    pinned    ... of packages that a preference keeps from their newest version
    why NAME  what installing a kept-back package alone would need
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms import linux

REFRESH_AFTER = 12 * 3600
"""Seconds after which `auto` refreshes: apt-daily.timer checks twice a day, so healthy hosts need none of ours."""

IS_APT = "command -v dpkg-query && command -v apt-get"

# Every program of apt reads all its settings and lists first, and every process counts where hundreds of hosts share
# the cores they run on. Where no file mentions a setting, it is at its default. apt takes upper and lower case alike.
# Preferences are read along: a word too many only costs the slower way.
_SAYS = r"""
pc_set=$(exec grep -hoisE 'dir|architecture|periodic|#include|^[[:space:]]*pin:' /etc/apt/apt.conf \
  /etc/apt/apt.conf.d/* /etc/apt/preferences /etc/apt/preferences.d/*)
pc_says() { case $APT_CONFIG:$pc_set in :*$1* | :*\#* | [!:]*) return 0 ;; *) return 1 ;; esac; }
"""

# Oldest successful check: apt replaces or touches a source's InRelease (its ctime) on success only; its mtime is the
# server's. Copies of a file tree have new ctimes, but keep the mtime of lists/partial, which every update moves on.
# A process's folder in /proc is as old as the process: the one that looks tells what time it is.
_CHECKED = r"""
pc_lists=/var/lib/apt/lists pc_conf=/dev/null pc_now=0 pc_old=0 pc_partial=0
pc_says '[Dd][Ii][Rr]' && eval "$(apt-config shell pc_lists Dir::State::Lists/d)"
pc_lists=${pc_lists%/}
set -- $(exec stat -L -c '%Z %Y %f' "$pc_lists"/*Release /var/lib/apt/lists/partial /proc/self 2>/dev/null)
while [ $# -ge 3 ]; do
  case $3 in
    4*) pc_partial=$pc_now pc_now=$2 ;;  # the two folders, in this order
    *) if [ "$pc_old" = 0 ] || [ "$1" -lt "$pc_old" ]; then pc_old=$1; fi ;;
  esac
  shift 3
done
[ -e /proc/self/stat ] || { pc_partial=$pc_now; pc_now=$(date +%s); }
if [ "$pc_partial" -gt 0 ] && [ "$pc_partial" -lt "$pc_old" ]; then pc_old=$pc_partial; fi
"""

_AGE = 'echo "now $pc_now"; echo "checked $pc_old"\n'

_REFRESH = r"""
if [ MODE = always ] || { [ MODE = auto ] && [ $((pc_now - pc_old)) -gt LIMIT ]; }; then
  echo "@@ refresh"
  pc_places="${TMPDIR:-/tmp} /var/tmp /dev/shm"
  [ "$(id -u)" = 0 ] && pc_places="/var/cache /var/lib /run"  # folders that only root can write to
  for pc_place in $pc_places; do
    # A run that was cut off may have left its folder: nobody else's, and not one that is in use.
    find "$pc_place" -maxdepth 1 -name 'patchctl-lists.??????' -user "$(id -u)" -mtime +0 -exec rm -rf {} + 2>/dev/null
    pc_work=$(mktemp -d "$pc_place/patchctl-lists.XXXXXX" 2>/dev/null) && break
  done
  if [ -z "$pc_work" ]; then
    echo "E: no folder for lists of our own can be made in $pc_places"; echo "rc 1"
  else
    trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT PIPE
    trap 'rm -rf "$pc_work"' EXIT
    mkdir -p "$pc_work/lists/partial" "$pc_work/cache/archives/partial" && chmod 755 "$pc_work" "$pc_work/lists"
    chown _apt "$pc_work/lists/partial" 2>/dev/null
    mkdir -m 1777 "$pc_work/tmp" && export TMPDIR="$pc_work/tmp"  # signatures are checked there; /tmp may be full
    for pc_file in "$pc_lists"/*_*; do [ -f "$pc_file" ] && ln -s "$pc_file" "$pc_work/lists/"; done
    # Hooks and further indexes of other programs are not ours to trigger. A file given with -c is read last.
    printf '%s\n' '#clear APT::Update;' '#clear Acquire::IndexTargets::deb;' '#clear Acquire::IndexTargets::deb-src;' \
      'Acquire::IndexTargets::deb::Packages { MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages";' \
      '  flatMetaKey "Packages"; ShortDescription "Packages"; Description "$(RELEASE)/$(COMPONENT) Packages"; };' \
      'Acquire::Languages "none"; Acquire::http::Timeout "30"; Acquire::https::Timeout "30";' \
      "Dir::State::Lists \"$pc_work/lists\"; Dir::Cache \"$pc_work/cache\";" >"$pc_work/conf"
    pc_conf=$pc_work/conf
    apt-get -q -c "$pc_conf" update >"$pc_work/log" 2>&1; pc_rc=$?
    grep -E '^(E:|W:|Err:|Ign:)' "$pc_work/log" | head -n 40
    echo "rc $pc_rc"
    pc_lists=$pc_work/lists
  fi
fi
"""

# apt asks dpkg for the foreign architectures each time, which takes longer than all else that it does at its start.
# dpkg keeps them in a file, which is not there where there never was one.
_ASK = r"""
pc_arch=
if ! pc_says '[Aa][Rr][Cc][Hh]'; then
  pc_any=$(exec dpkg --print-architecture)
  [ ! -e /var/lib/dpkg/arch ] || pc_any="$pc_any $(exec dpkg --print-foreign-architectures)"
  for pc_any in $pc_any; do
    pc_arch="$pc_arch -o APT::Architectures::=$pc_any"
  done
fi
pc_apt() {
  apt-get -q -c "$pc_conf" $pc_arch -o Debug::NoLocking=1 -o APT::Get::Show-User-Simulation-Note=0 "$@" 2>&1
}
pc_policy() { apt-cache -c "$pc_conf" $pc_arch policy "$@" 2>&1; }
echo "@@ targets"
pc_up=$(exec apt-get -c "$pc_conf" $pc_arch indextargets --format \
  '$(FILENAME)|$(LABEL)|$(SUITE)|$(VERSION)|$(DESCRIPTION)' 'Created-By: Packages' 2>&1)
set -f
IFS='
'
for pc_line in $pc_up; do
  set +f
  pc_file=${pc_line%%"|"*} pc_state=missing
  for pc_any in "$pc_file" "$pc_file".*; do [ -e "$pc_any" ] && pc_state=present; done
  printf '%s %s\n' "$pc_state" "${pc_line##"${pc_file%/*}"/}"
done
unset IFS
set +f
"""

# Sorts out apt's listing by its headings: all names in it, and those that are kept back. Pure shell, as for processes.
_VERSIONS = r"""
pc_rc=$?
printf '%s\nrc %s\n' "$pc_up" "$pc_rc"
pc_names='' pc_kept='' pc_on='' IFS='
'
set -f
for pc_line in $pc_up; do
  case $pc_line in
    'The following packages have been kept back:'*) pc_on=1 ;;
    '   '*)
      pc_any=${pc_line#   }
      pc_any=${pc_any%% *}
      case $pc_line in *' ('*')') pc_names="$pc_names $pc_any" ;; esac
      [ -z "$pc_on" ] || pc_kept="$pc_kept $pc_any" ;;
    *) pc_on= ;;
  esac
done
unset IFS
echo "@@ versions"
[ -z "$pc_names" ] || pc_policy $pc_names
set +f
"""

# apt starts the method of each source, only to ask what it can do: `copy` answers the same and starts in half the time.
_URIS = (
    "pc_apt --print-uris -V -o Acquire::ForceHash=SHA256 -o Dir::Cache::archives=/nonexistent "
    "-o Dir::Bin::methods::http=copy -o Dir::Bin::methods::https=copy"
)

_UPGRADE = f'echo "@@ upgrade"; pc_up=$({_URIS} --with-new-pkgs upgrade)'

_KEPT = r"""
if pc_says '[Pp][Ii][Nn]:'; then
  echo "@@ pinned"
  pc_policy $(dpkg-query -W -f '${binary:Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p') | awk '
    function flush() { if (installed && installed == candidate && newer) printf "%s", block; block = ""; newer = 0 }
    /^[^ ].*:$/ { flush(); installed = candidate = "" }
    { block = block $0 "\n" }
    /^  Installed:/ { installed = $2 }
    /^  Candidate:/ { candidate = $2; table = 0 }
    /^  Version table:/ { table = 1; next }
    table == 1 && /^(     | \*\*\* )[^ ]/ { v = $1 == "***" ? $2 : $1; if (v != installed) newer = 1; table = 2 }
    END { flush() }'
fi
if [ -n "$pc_kept" ]; then
  pc_held=" $(apt-mark showhold | tr '\n' ' ') "
  pc_count=0
  for pc_name in $pc_kept; do
    case $pc_held in *" $pc_name "*) continue ;; esac
    pc_count=$((pc_count + 1)); [ $pc_count -le 10 ] || break
    echo "@@ why $pc_name"
    pc_apt --print-uris -V install "$pc_name" | grep -v -E "^('|Reading|Building)"
  done
fi
true
"""

_PACKAGES = (
    "dpkg-query -W -f "
    "'${db:Status-Abbrev}|${Package}|${Architecture}|${Version}|${source:Package}|${source:Version}\\n'"
)

# Who else changes packages here: a timer or service that is enabled, and apt's own periodic settings.
_UPDATERS = r"""
systemctl list-unit-files --state=enabled --no-legend --no-pager \
  apt-daily-upgrade.timer unattended-upgrades.service packagekit.service snapd.service cron-apt.service \
  landscape-client.service puppet.service salt-minion.service chef-client.service amazon-ssm-agent.service \
  2>/dev/null | awk '$2 == "enabled" { print "unit " $1 }'
dpkg-query -W -f '${db:Status-Status} ${Package}\n' unattended-upgrades cron-apt 2>/dev/null |
  sed -n 's/^installed /package /p'
pc_says '[Pp][Ee][Rr][Ii][Oo][Dd][Ii][Cc]' && apt-config dump --format '%f %v%n' APT::Periodic | sed 's/^/config /'
true
"""

_REBOOT = r"""
[ -e /run/reboot-required ] && echo file; [ -r /run/reboot-required.pkgs ] && sort -u /run/reboot-required.pkgs; true
"""

# Whose the files of linux.INIT_MAPS are: `own PACKAGE: PATH`. Where /lib is a link to /usr/lib, dpkg may know a file by
# either name. (Its lists read by grep: dpkg -S takes twice as long.)
_BOOT_FILES = linux.INIT_MAPS + r"""
printf '%s\n' "$pc_maps" | cut -d' ' -f2- | sed -n 'p;s,^/usr/,/,p' | sort -u |
  grep -xFH -f - /var/lib/dpkg/info/*.list | sed 's,^.*/info/\([^/]*\)\.list:/,own \1: /,'
"""

_ACTIVITY = r"""
if [ -s /var/log/dpkg.log ]; then stat -c %Y /var/log/dpkg.log; else stat -c %Y /var/lib/dpkg/status; fi
"""


def pending_command(refresh: str) -> str:
    """Return the text of apt.pending. refresh: auto | never | always."""
    return prologue(refresh) + _UPGRADE + _VERSIONS + _KEPT


def pending_alone(refresh: str) -> Probe:
    """Return one probe for all that pending updates are read from; they are told apart by read.tell_apart."""
    ask = linux.telling_os(pending_command(refresh)) + f'\necho "@@ packages"; {_PACKAGES}; echo "@@ lists"; {_AGE}'
    return Probe("apt.pending", ask, when=IS_APT, timeout=300, cap=16 * 1024 * 1024, volatile=True, tidy=True)


def resolve_command(changes: Sequence[Change], refresh: str = "auto") -> str:
    """Return a text that simulates installing just these changes, with the same isolated lists as a scan."""
    words = " ".join(quote_sh(f"{c.package}{_suffix(c)}={c.to_version}") for c in changes)
    return prologue(refresh) + f'echo "@@ upgrade"; pc_up=$({_URIS} install {words})' + _VERSIONS


def _suffix(change: Change) -> str:
    return f":{change.arch}" if change.arch and change.arch != "all" else ""


def prologue(refresh: str) -> str:
    """Return the text that readies the lists, in place or refreshed apart, for what comes after it."""
    text = _REFRESH.replace("MODE", refresh).replace("LIMIT", str(REFRESH_AFTER))
    return _SAYS + _CHECKED + text + _ASK


def scan_probes(refresh: str) -> tuple[Probe, ...]:
    """Return apt's own probes of a scan."""
    return (
        Probe("apt.packages", _PACKAGES, when=IS_APT, timeout=60, cap=16 * 1024 * 1024),
        Probe("apt.lists", _SAYS + _CHECKED + _AGE, when=IS_APT, timeout=20, volatile=True),
        Probe("apt.audit", "dpkg --audit; ls /var/lib/dpkg/updates | sed 's/^/journal /'", when=IS_APT, timeout=60),
        Probe("apt.pending", pending_command(refresh), when=IS_APT, timeout=300),
        Probe("apt.reboot", _REBOOT, when=IS_APT, timeout=10),
        Probe("apt.boot-files", _BOOT_FILES, root=True, when=f"{IS_APT} && [ -r /proc/self/maps ]", timeout=60),
        Probe("apt.activity", _ACTIVITY, when=IS_APT, timeout=10),
        Probe("apt.updaters", _SAYS + _UPDATERS, when=IS_APT, timeout=30),
    )  # fmt: skip
