"""What is asked of a host with rpm and dnf or yum. Metadata are refreshed, where asked, in a copy: never in place.

`dnf.pending` asks dnf 4 through its own library (program.py). Where dnf is no Python program (dnf 5) or there is only
yum, their command lines are asked instead: `list|...` and `advisory ...` lines, without files and hashes.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.evidence import Probe
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.platforms import linux
from patchctl.platforms.dnf.program import PROGRAM

IS_RPM = "command -v rpm && { command -v dnf || command -v yum; }"

# The working folder: where only root can write, or where the user can. Metadata that the host has are linked into it;
# repomd.xml, whose time says when it was last checked, is copied: dnf sets that time anew.
WORK = r"""
pc_places="${TMPDIR:-/tmp} /var/tmp"; [ "$(id -u)" = 0 ] && pc_places="/var/cache /var/lib /run"
for pc_place in $pc_places; do
  find "$pc_place" -maxdepth 1 -name 'patchctl-dnf.??????' -user "$(id -u)" -mtime +0 -exec rm -rf {} + 2>/dev/null
  pc_work=$(mktemp -d "$pc_place/patchctl-dnf.XXXXXX" 2>/dev/null) && break
done
[ -n "$pc_work" ] || { echo "E: no working folder can be made in $pc_places"; exit 1; }
trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT
trap 'rm -rf "$pc_work"' EXIT
chmod 700 "$pc_work"
pc_home=$(sed -n 's/^cachedir *= *//p' /etc/dnf/dnf.conf 2>/dev/null | tail -n 1); pc_home=${pc_home:-/var/cache/dnf}
case $pc_home in *'$'*) pc_home=/nonexistent ;; esac
if [ -d "$pc_home" ]; then
  cp -al "$pc_home" "$pc_work/cache" 2>/dev/null ||
    { rm -rf "$pc_work/cache"; cp -a "$pc_home" "$pc_work/cache" 2>/dev/null; }
  rm -f "$pc_work/cache"/*_lock.pid "$pc_work/cache"/expired_repos.json "$pc_work/cache/packages.db"
  for pc_file in "$pc_work/cache"/*/repodata/repomd.xml; do
    [ -e "$pc_file" ] && cp -p "$pc_file" "$pc_file.own" && mv -f "$pc_file.own" "$pc_file"
  done
fi
pc_python=$(sed -n '1s/^#! *\([^ ]*python[^ ]*\).*/\1/p' "$(command -v dnf)" 2>/dev/null | tr -cd 'A-Za-z0-9/._-')
pc_dnf() {
  "$pc_python" -c "$pc_program" "$@" </dev/null 2>"$pc_work/err"
  pc_rc=$?
  [ "$pc_rc" = 0 ] || echo "E: $(tail -n 1 "$pc_work/err" | cut -c 1-300)" >>"$pc_work/said"
  return $pc_rc
}
"""

_SET_PROGRAM = "pc_program=$(cat <<'patchctl-program'\n" + PROGRAM + "patchctl-program\n)\n"

# dnf 5 and yum by their command lines, from their own caches: nothing of theirs is refreshed.
_PLAIN = r"""
  pc_tool=dnf; command -v dnf >/dev/null || pc_tool=yum
  echo "tool $pc_tool"
  LC_ALL=C $pc_tool -q -C check-update >"$pc_work/list" 2>"$pc_work/err"; pc_rc=$?
  sed 's/^/list /' "$pc_work/list"
  [ "$pc_rc" = 0 ] || [ "$pc_rc" = 100 ] || echo "E: $(tail -n 1 "$pc_work/err" | cut -c 1-300)"
  echo "rc $pc_rc"
  if [ "$pc_tool" = dnf ]; then LC_ALL=C dnf -q -C advisory list --updates 2>/dev/null
  else LC_ALL=C yum -q -C updateinfo list updates 2>/dev/null; fi | sed 's/^/advisory /'
  pc_now=$(date +%s)
  find /var/cache/libdnf5 /var/cache/dnf /var/cache/yum -name repomd.xml 2>/dev/null | while read -r pc_file; do
    echo "age $((pc_now - $(stat -c %Y "$pc_file")))"
  done
"""

_EVR = "%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}"
_PACKAGES = (
    f"rpm -qa --qf '%{{NAME}}|{_EVR}|%{{ARCH}}|%{{SOURCERPM}}|%{{INSTALLTIME}}|[%{{PROVIDENAME}},]\\n' | "
    "awk -F'|' '{ m = $6 ~ /installonlypkg\\(|multiversion\\(kernel/; sub(/^0:/, \"\", $2); "
    "print $1 \"|\" $2 \"|\" $3 \"|\" $4 \"|\" $5 \"|\" (m ? \"multiple\" : \"\") }'"
)

# Whether what is installed fits together, by rpm itself; and whether its database answers at all.
_CHECK = (
    "rpm -Va --nofiles --nodigest --nosignature --noscripts 2>&1 | head -n 60; "
    "ls -d /var/lib/rpm/__db.* 2>/dev/null | sed 's/^/journal /'; true"
)

_HOLDS = (
    "for f in /etc/dnf/plugins/versionlock.list /etc/yum/pluginconf.d/versionlock.list; do "
    "[ -r \"$f\" ] && sed 's/^/lock /' \"$f\"; done; "
    "[ -r /etc/dnf/versionlock.toml ] && sed -n 's/^ *name *= */lock5 /p' /etc/dnf/versionlock.toml; "
    "grep -H -s -E '^ *(exclude|excludepkgs) *=' /etc/dnf/dnf.conf /etc/yum.conf /etc/yum.repos.d/*.repo | "
    "sed 's/^/exclude /'; true"
)

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
    ask = f'  pc_dnf pending {refresh} "$pc_work"; cat "$pc_work/said" 2>/dev/null\n'
    return f"{WORK}{_SET_PROGRAM}if [ -n \"$pc_python\" ]; then\n{ask}else{_PLAIN}fi\ntrue\n"


def nevra(change: Change) -> str:
    """Return how dnf names the version a change leads to."""
    return f"{change.package}-{change.to_version}.{change.arch}"


def resolve_command(changes: Sequence[Change], refresh: str = "auto") -> str:
    """Return a text that simulates installing just these changes, with metadata as fresh as a scan's."""
    words = " ".join(quote_sh(nevra(c)) for c in changes)
    return (
        f'{WORK}{_SET_PROGRAM}[ -n "$pc_python" ] || {{ echo "E: only dnf 4 can be asked what a change pulls in"; '
        f'exit 0; }}\npc_dnf resolve {refresh} "$pc_work" {words}; cat "$pc_work/said" 2>/dev/null\ntrue\n'
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
        "{ sub(/^0:/, \"\", $3) } /installonlypkg\\(|multiversion\\(kernel/ { last[$2] = $3; next } "
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
