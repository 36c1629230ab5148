"""What is asked of a host with rpm and dnf or yum. Metadata are refreshed, where asked, in a copy: never in place.

`dnf.pending` asks dnf 4 and yum 3 through their own libraries (program.py, yum3.py), dnf 5 by its command line
(dnf5.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms import linux
from patchctl.platforms.dnf import dnf5
from patchctl.platforms.dnf.program import PROGRAM
from patchctl.platforms.dnf.yum3 import YUM_PROGRAM

IS_RPM = "command -v rpm && { command -v dnf || command -v yum; }"

IS_IMAGE = "[ -e /run/ostree-booted ]"
"""Whether the host was booted from an image (ostree, bootc): its files are not dnf's to change."""

# The working folder: where only root can write, or where the user can. Metadata that the host has are linked into it;
# what dnf changes in place is copied: repomd.xml (dnf 5: the primary list), whose time says when it was last checked.
WORK = r"""
pc_places="${TMPDIR:-/tmp} /var/tmp"; [ "$(id -u)" = 0 ] && pc_places="/var/cache /var/lib /run"
for pc_place in $pc_places; do
  find "$pc_place" -maxdepth 1 -name 'patchctl-dnf.??????' -user "$(id -u)" -mtime +0 -exec rm -rf {} + 2>/dev/null
  pc_work=$(mktemp -d "$pc_place/patchctl-dnf.XXXXXX" 2>/dev/null) && break
done
[ -n "$pc_work" ] || { echo "E: no working folder can be made in $pc_places"; exit 1; }
trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT PIPE
trap 'rm -rf "$pc_work"' EXIT
chmod 700 "$pc_work"
pc_tool=dnf; command -v dnf >/dev/null || pc_tool=yum
pc_python=$(sed -n '1s/^#! *\([^ ]*python[^ ]*\).*/\1/p' "$(command -v $pc_tool)" 2>/dev/null | tr -cd 'A-Za-z0-9/._-')
[ -n "$pc_python" ] || pc_tool=dnf5
pc_home=$(sed -n 's/^\(system_\)\{0,1\}cachedir *= *//p' /etc/dnf/dnf.conf 2>/dev/null | tail -n 1)
[ "$pc_tool" != yum ] || pc_home=/nonexistent  # its program makes the copy itself
case $pc_home in
  *'$'*) pc_home=/nonexistent ;;
  '') pc_home=/var/cache/dnf; [ "$pc_tool" != dnf5 ] || pc_home=/var/cache/libdnf5 ;;
esac
if [ -d "$pc_home" ]; then
  cp -al "$pc_home" "$pc_work/cache" 2>/dev/null ||
    { rm -rf "$pc_work/cache"; cp -a "$pc_home" "$pc_work/cache" 2>/dev/null; }
  rm -f "$pc_work/cache"/*_lock.pid "$pc_work/cache"/expired_repos.json "$pc_work/cache/packages.db"
  pc_own=; [ "$pc_tool" != dnf5 ] || pc_own='repodata/*primary.xml* attrs/* pubring/*'
  for pc_own in repodata/repomd.xml $pc_own; do
    for pc_file in "$pc_work/cache"/*/$pc_own; do
      [ -f "$pc_file" ] && cp -p "$pc_file" "$pc_file.own" && mv -f "$pc_file.own" "$pc_file"
    done
  done
fi
pc_dnf() {
  "$pc_python" -c "$pc_program" "$@" </dev/null 2>"$pc_work/err"
  pc_rc=$?
  [ "$pc_rc" = 0 ] || echo "E: $(tail -n 1 "$pc_work/err" | cut -c 1-300)" >>"$pc_work/said"
  return $pc_rc
}
"""

_SET_PROGRAM = (
    "if [ \"$pc_tool\" = yum ]; then\npc_program=$(cat <<'patchctl-program'\n" + YUM_PROGRAM + "patchctl-program\n)\n"
    "else\npc_program=$(cat <<'patchctl-program'\n" + PROGRAM + "patchctl-program\n)\nfi\n"
)

_EVR = "%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}"
_PACKAGES = (
    f"rpm -qa --qf '%{{NAME}}|{_EVR}|%{{ARCH}}|%{{SOURCERPM}}|%{{INSTALLTIME}}|[%{{PROVIDENAME}},]\\n' | "
    "awk -F'|' '{ m = $6 ~ /installonlypkg\\(|multiversion\\(kernel/; sub(/^0:/, \"\", $2); "
    "print $1 \"|\" $2 \"|\" $3 \"|\" $4 \"|\" $5 \"|\" (m ? \"multiple\" : \"\") }'"
)

# Whether what is installed fits together, by rpm itself; and whether its database answers at all.
_CHECK = (
    "rpm -Va --nofiles --nodigest --nosignature --noscripts 2>&1 | head -n 60; "
    "ls -d /var/lib/rpm/__db.* 2>/dev/null | sed 's/^/journal /'; "
    "ls -d /var/lib/yum/transaction-all.* 2>/dev/null | sed 's/^/unfinished /'; true"
)

# Locks and excludes. A list that cannot be read is told as such: it must not pass for one without locks.
_HOLDS = r"""
pc_readable() {
  [ ! -d "${1%/*}" ] || [ -x "${1%/*}" ] || { echo "unreadable ${1%/*}"; return 1; }
  [ -e "$1" ] || return 1
  [ -r "$1" ] || { echo "unreadable $1"; return 1; }
}
for pc_conf in /etc/dnf/plugins/versionlock.conf /etc/yum/pluginconf.d/versionlock.conf; do
  pc_list=${pc_conf%.conf}.list
  if pc_readable "$pc_conf"; then
    ! grep -q -i -E '^ *enabled *= *(0|no|false|off) *$' "$pc_conf" || continue
    pc_own=$(sed -n 's/^ *locklist *= *//p' "$pc_conf" | tail -n 1)
    case $pc_own in /*) pc_list=$pc_own ;; esac
  fi
  if pc_readable "$pc_list"; then sed 's/^/lock /' "$pc_list"; fi
done
if pc_readable /etc/dnf/versionlock.toml; then LOCKED; fi
for pc_conf in /etc/dnf/dnf.conf /etc/yum.conf /etc/dnf/libdnf5.conf.d/*.conf /etc/yum.repos.d/*.repo \
  /etc/dnf/repos.override.d/*.repo; do
  [ "$pc_conf" != /etc/yum.conf ] || [ ! -L "$pc_conf" ] || continue
  if pc_readable "$pc_conf"; then
    grep -E '^ *(exclude|excludepkgs) *=' "$pc_conf" | sed "s|^|exclude $pc_conf:|"
  fi
done
true
""".replace("LOCKED", dnf5.LOCKED.replace("WORD", "lock5"))

# The command is a plugin of dnf, or yum-utils' own, or not there: its words count, a missing one also ends with 1.
_RESTART = r"""
export LC_ALL=C
pc_said=$(dnf -q -C needs-restarting -r 2>&1)
case $pc_said in *[Rr]eboot\ *) ;; *) pc_said=$(needs-restarting -r 2>&1) ;; esac
case $pc_said in
*'eboot is required'*) printf '%s\n' "$pc_said"; echo 'rc 1' ;;
*'eboot should not'*|*'eboot is probably not'*|*'eboot is not'*) echo 'rc 0' ;;
*) echo absent; echo 'rc 0' ;;
esac
"""

_UPDATERS = r"""
systemctl list-unit-files --state=enabled --no-legend --no-pager dnf-automatic.timer dnf-automatic-install.timer \
  dnf5-automatic.timer yum-cron.service packagekit.service packagekit-offline-update.service insights-client.timer \
  puppet.service salt-minion.service chef-client.service amazon-ssm-agent.service 2>/dev/null |
  awk '$2 == "enabled" { print "unit " $1 }'
for f in /etc/dnf/automatic.conf /etc/yum/yum-cron.conf; do
  [ -r "$f" ] && sed -n "s,^ *apply_updates *= *,config $f ,p" "$f"
done
true
"""

# Whose the files of linux.INIT_MAPS are: `own PACKAGE: PATH`.
_BOOT_FILES = linux.INIT_MAPS + r"""
printf '%s\n' "$pc_maps" | cut -d' ' -f2- | sort -u | while read -r path; do
  rpm -qf --qf '%{NAME}\n' -- "$path" 2>/dev/null | grep -v ' ' | sort -u | sed "s|\$|: $path|; s|^|own |"
done
"""


def pending_command(refresh: str) -> str:
    """Return the text of dnf.pending. refresh: auto | never | always."""
    ask = f'pc_dnf pending {refresh} "$pc_work"; cat "$pc_work/said" 2>/dev/null'
    asked = f"case $pc_tool in\ndnf5)\n{dnf5.pending_text(refresh)};;\n*) {ask} ;;\nesac"
    return f"{WORK}{_SET_PROGRAM}{asked}\n! {IS_IMAGE} || echo image\ntrue\n"


def nevra(change: Change) -> str:
    """Return how dnf names the version a change leads to."""
    return f"{change.package}-{change.to_version}.{change.arch}"


def resolve_command(changes: Sequence[Change], refresh: str = "auto") -> str:
    """Return a text that simulates installing just these changes, with metadata as fresh as a scan's."""
    words = " ".join(quote_sh(nevra(c)) for c in changes)
    return (
        f'{WORK}{_SET_PROGRAM}case $pc_tool in\n'
        f"dnf5)\n{dnf5.resolve_text(words, refresh)};;\n"
        f'*) pc_dnf resolve {refresh} "$pc_work" {words}; cat "$pc_work/said" 2>/dev/null ;;\nesac\ntrue\n'
    )


def python_prologue() -> str:
    """Return the text after which a script may call `pc_dnf TASK ...` with "$pc_work"."""
    return WORK + _SET_PROGRAM


def fingerprint_command(packages: Sequence[str]) -> str:
    """Return a text listing `name:arch version`. Of packages that may be there in several versions (kernels) only
    the one installed last counts: the others stay beside it.
    """
    names = " ".join(quote_sh(name) for name in sorted(set(packages)))
    return (
        f"rpm -q --qf '%{{INSTALLTIME}}|%{{NAME}}:%{{ARCH}}|{_EVR}|[%{{PROVIDENAME}},]\\n'"
        f" -- {names} 2>/dev/null | grep '^[0-9]*|' | sort -t '|' -k1,1n | awk -F'|' '"
        "{ sub(/^0:/, \"\", $3) } "
        "/installonlypkg\\(|multiversion\\(kernel/ || $2 ~ /^kernel[0-9.]*(-(core|modules.*|devel|uek.*|rt.*))?:/ "
        "{ last[$2] = $3; next } "
        "{ print $2 \" \" $3 } END { for (n in last) print n \" \" last[n] }' | sort"
    )


def scan_probes(refresh: str) -> tuple[Probe, ...]:
    """Return the probes of a scan."""
    return (
        Probe("dnf.packages", _PACKAGES, when=IS_RPM, timeout=120, cap=16 * 1024 * 1024, pending=True),
        Probe("dnf.pending", pending_command(refresh), when=IS_RPM, timeout=300, pending=True),
        Probe("dnf.check", _CHECK, when=IS_RPM, timeout=120),
        Probe("dnf.holds", _HOLDS, when=IS_RPM, timeout=10),
        Probe("dnf.restart", _RESTART, root=True, when=IS_RPM, timeout=60),
        Probe("dnf.boot-files", _BOOT_FILES, root=True, when=f"{IS_RPM} && [ -r /proc/self/maps ]", timeout=60),
        Probe("dnf.updaters", _UPDATERS, when=IS_RPM, timeout=30),
    )
