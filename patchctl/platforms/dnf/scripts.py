"""The texts that change a host with dnf 4, dnf 5 or yum 3: fetch files, install exactly them, by the host's runner."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.model.versions import rpm
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.dnf.dnf5 import FETCH, FIVE
from patchctl.platforms.dnf.probes import IS_IMAGE, python_prologue
from patchctl.platforms.install_text import QUIET, WAIT_FOR_LOCK, check_sums, choose_files
from patchctl.platforms.rpm_text import REMOVE_TWICE, TWICE

# dnf locks with files that hold its process id, rpm with an fcntl lock that /proc/locks shows by inode.
_LOCKS = r"""
pc_holder() {
  for pc_lock in /var/lib/dnf/rpmdb_lock.pid /var/run/yum.pid; do
    pc_pid=; { read -r pc_pid <"$pc_lock"; } 2>/dev/null
    case $pc_pid in ''|*[!0-9]*) continue ;; esac
    [ -d "/proc/$pc_pid" ] || continue
    echo "$pc_lock $pc_pid $(tr ' ' _ <"/proc/$pc_pid/comm" 2>/dev/null || echo gone)"
    return 0
  done
  for pc_lock in "$(rpm --eval '%_dbpath' 2>/dev/null)/.rpm.lock" /var/lib/rpm/.rpm.lock \
    /run/dnf/rpmtransaction.lock /var/lib/dnf/system-repo.lock; do
    pc_inode=$(stat -c %i "$pc_lock" 2>/dev/null) || continue
    pc_pid=$(awk -v i="$pc_inode" '
      $2 != "->" && $5 > 0 { n = split($6, w, ":"); if (w[n] == i) { print $5; exit } }' /proc/locks)
    [ -n "$pc_pid" ] || continue
    echo "$pc_lock $pc_pid $(tr ' ' _ <"/proc/$pc_pid/comm" 2>/dev/null || echo gone)"
    return 0
  done
  return 1
}
"""

LOCK_COMMAND = f"""{_LOCKS}
if pc_held=$(pc_holder); then echo "rpm ${{pc_held#* }}"; fi"""
"""Prints `rpm PID COMMAND` when another process holds dnf's, yum's or rpm's lock now."""

OPTIONS = (
    "--setopt=localpkg_gpgcheck=1 --setopt=gpgcheck=1 --setopt=install_weak_deps=0 "
    "--setopt=clean_requirements_on_remove=0 --setopt=exit_on_lock=1"
)
"""Of every install: signatures verified, nothing besides, no waiting for a lock that we have waited for already."""

YUM_OPTIONS = (
    "--setopt=localpkg_gpgcheck=1 --setopt=gpgcheck=1 --setopt=clean_requirements_on_remove=0 --setopt=exit_on_lock=1"
)
"""The same for yum 3, which knows no weak dependencies."""

ADJUSTMENTS = {
    "rpm-remove-duplicates": (
        f"{REMOVE_TWICE}\nrm -f /var/lib/yum/transaction-all.* /var/lib/yum/transaction-done.*"
    ),
    "rpm-rebuilddb": "rm -f /var/lib/rpm/__db.*; rpm --rebuilddb </dev/null || echo 'patchctl: failed'",
    "dnf-clean": (
        "{ if command -v dnf >/dev/null; then dnf -q clean packages; else yum -q clean packages; fi; } </dev/null || "
        "echo 'patchctl: failed'"
    ),
}
"""What may be done once before a new attempt, by the names that the failure signatures propose."""


def download_script(artefacts: Sequence[Artefact], directory: str) -> str:
    """Return a script that fetches the artefacts with the host's own dnf or yum (its proxies, keys and credentials).

    Prints `have SHA256` or `miss SHA256 reason` for each; whatever does not have the promised hash is thrown away.
    """
    words = " ".join(
        f"{a.sha256} {quote_sh(a.filename)} {quote_sh(f'{a.package}-{a.version}.{a.arch}')}" for a in artefacts
    )
    told = "".join(f"pc_tell {a.sha256} {quote_sh(a.filename)}\n" for a in artefacts)
    return f"""{QUIET}
mkdir -p {quote_sh(directory)} && cd {quote_sh(directory)} || exit 1
pc_here=$PWD
{python_prologue()}{FIVE}{FETCH}
pc_tell() {{
  if [ -f "$2" ] && [ "$(sha256sum <"$2" | cut -d ' ' -f 1)" = "$1" ]; then echo "have $1"; return; fi
  rm -f "$2" "$2.part"
  pc_why=$(sed -n -e "s/^miss $1 //p" "$pc_work/got" 2>/dev/null | head -n 1 | cut -c 1-200)
  pc_all=$(sed -n -e 's/^E: //p' "$pc_work/got" "$pc_work/said" 2>/dev/null | head -n 1 | cut -c 1-200)
  echo "miss $1 ${{pc_why:-${{pc_all:-no source of this host gave it}}}}"
}}
case $pc_tool in
dnf5) pc_fetch5 "$pc_here" {words} >"$pc_work/got" ;;
*) pc_dnf download "$pc_here" "$pc_work" {words} >"$pc_work/got" ;;
esac
{told}exit 0
"""


def install_script(request: InstallRequest) -> str:
    """Return the runner's payload: install exactly the files in the spool, their signatures verified, nothing else.

    Prints `patchctl: step NAME`, and for people and the diagnosis `patchctl: conffile PATH` (a changed configuration
    file was kept), `patchctl: lock-held PATH PID COMMAND`, `patchctl: unplanned ...`, `patchctl: scriptlet NAME`,
    `patchctl: duplicate NAME`, `patchctl: transaction COMMAND` (which shows it in the package manager's history). Exits
    as dnf did, but with 1 where dnf calls a failed %post a success.
    Raise ValueError for an adjustment that is not known, or a change without its artefact.
    """
    chosen = choose_files(request)
    for name in request.adjustments:
        if name not in ADJUSTMENTS:
            raise ValueError(f"unknown adjustment {name!r}")
    adjust = "".join(f"echo 'patchctl: step adjust-{name}'\n{ADJUSTMENTS[name]}\n" for name in request.adjustments)
    words = " ".join(quote_sh(f"./{a.filename}") for a in chosen)
    plain = " ".join(quote_sh(a.filename) for a in chosen)
    planned = " ".join(quote_sh(f"{c.package}|{c.arch}|{c.to_version}") for c in request.changes)
    removals = " ".join(quote_sh(name) for name in request.removals)
    verb = "downgrade" if request.changes and all(_is_downgrade(c) for c in request.changes) else "install"
    wait = max(1, request.lock_timeout)
    return f"""{QUIET}{_LOCKS}{WAIT_FOR_LOCK}
cd {quote_sh(request.directory)} || exit 1
pc_here=$PWD
: >started
{adjust}echo 'patchctl: step lock'
pc_wait_for_lock {wait} || exit 200
echo 'patchctl: step check'
if {IS_IMAGE}; then echo 'patchctl: image'; exit 1; fi
{python_prologue()}{FIVE}
pc_manager() {{
  case $pc_tool in
  yum) yum -y --disablerepo='*' {YUM_OPTIONS} "$@" </dev/null 2>&1 ;;
  *) dnf -y --disablerepo='*' {OPTIONS} "$@" </dev/null 2>&1 ;;
  esac
}}
pc_last() {{  # the number of the latest transaction in the package manager's own history
  case $pc_tool in yum) yum history list ;; *) dnf history list ;; esac </dev/null 2>/dev/null |
    awk '$1 ~ /^[0-9]+$/ {{ print $1; exit }}'
}}
pc_before=$(pc_last)
pc_rc=0
if [ -n {quote_sh(words)} ]; then  # else there are only removals
sha256sum --quiet -c - <<'patchctl-sums' || {{ echo 'patchctl: hash-mismatch'; exit 1; }}
{check_sums(chosen)}patchctl-sums
# rpm itself must vouch for every file: a signature, by a key that this host trusts. A fresh host may trust none yet:
# dnf imports those of its repositories when somebody first says yes.
pc_keys() {{
  sed -n 's/^ *gpgkey *= *//p' /etc/yum.repos.d/*.repo 2>/dev/null | tr -s ', ' '\\n\\n' | sed -n 's,^file://,,p' |
    sort -u | head -n 4 | tr '\\n' ' '
}}
for pc_file in {words}; do
  pc_said=$(rpm -Kv "$pc_file" 2>&1)
  case $pc_said in
  *BAD*|*NOT\\ OK*) echo "patchctl: bad-signature $pc_file"; printf '%s\\n' "$pc_said"; exit 1 ;;
  *ignature*NOKEY*|*'MISSING KEYS'*)
    echo "patchctl: unknown-key $pc_file $(pc_keys)"; printf '%s\\n' "$pc_said"; exit 1 ;;
  *[Ss]ignature*OK*) ;;
  *) echo "patchctl: unsigned $pc_file"; exit 1 ;;
  esac
done
case $pc_tool in
dnf5)
  ( pc_transaction --disablerepo='*' {OPTIONS} {verb} {words} ) >"$pc_work/would"
  ! grep -q '^E: ' "$pc_work/would" ;;
*) pc_dnf check "$pc_here" "$pc_work" {plain} >"$pc_work/would" ;;
esac || {{
  sed -n 's/^E: /Error: /p' "$pc_work/would" "$pc_work/said"; echo 'patchctl: check-failed'; exit 1
}}
pc_strange=$(awk -F'|' '
  BEGIN {{ for (i = 1; i < ARGC; i++) if (ARGV[i] != "-") {{
    if (index(ARGV[i], "|")) want[ARGV[i]] = 1; else gone[ARGV[i]] = 1; ARGV[i] = "" }} }}
  ($1 == "change" || $1 == "row") && !($3 "|" $4 "|" $6 in want) {{ print "change " $3 "-" $6 "." $4 }}
  $1 == "removed" && $5 != "installonly" && !($2 in gone) {{ print "removal " $2 }}
' {planned} {removals} - <"$pc_work/would" | head -n 5 | tr '\\n' ' ')
[ -z "$pc_strange" ] || {{ echo "patchctl: unplanned $pc_strange"; exit 1; }}
echo 'patchctl: step install'
if [ "$pc_tool" = yum ] && ! grep -q '^change|' "$pc_work/would"; then
  echo 'all of it is installed already'; echo 0 >"$pc_work/rc"  # which yum calls a failure
else
  {{ pc_manager {verb} {words}; echo $? >"$pc_work/rc"; }} | tee "$pc_work/output"
fi
pc_rc=1; {{ read -r pc_rc <"$pc_work/rc"; }} 2>/dev/null
fi
# What is still there of what is to go (the way back of a package that was new). rpm says whether nothing needs it; then
# the package manager takes it away, so that its history knows.
set --
for pc_name in {removals}; do ! rpm -q -- "$pc_name" >/dev/null 2>&1 || set -- "$@" "$pc_name"; done
if [ "$pc_rc" = 0 ] && [ $# -gt 0 ]; then
  echo "patchctl: step remove"
  pc_rc=1
  if rpm -e --test -- "$@" </dev/null 2>&1; then pc_manager remove "$@"; pc_rc=$?; fi
fi
echo 'patchctl: step after'
pc_after=$(pc_last)
pc_number=${{pc_before:-0}}
while [ "$pc_number" -lt "${{pc_after:-0}}" ]; do
  pc_number=$((pc_number + 1))
  echo "patchctl: transaction ${{pc_tool%5}} history info $pc_number"
done
[ "$pc_rc" != 200 ] || {{ pc_held=$(pc_holder) && echo "patchctl: lock-held $pc_held"; }}
pc_bad=$(sed -n -e 's/^.*%\\(pre\\|post\\|prein\\|postin\\|posttrans\\)(\\([^)]*\\)) scriptlet failed.*/\\1 \\2/p' \\
  -e 's/^.*Error in \\([A-Za-z]*\\) scriptlet in rpm package \\([^ ]*\\).*/\\1 \\2/p' \\
  -e 's/^.*Non-fatal \\([A-Za-z]*\\) scriptlet failure in rpm package \\([^ ]*\\).*/\\1 \\2/p' \\
  "$pc_work/output" 2>/dev/null | sort -u)
[ -z "$pc_bad" ] || {{ printf '%s\\n' "$pc_bad" | sed 's/^/patchctl: scriptlet /'; [ "$pc_rc" != 0 ] || pc_rc=1; }}
{TWICE} | sed 's/^/patchctl: duplicate /'
find /etc -name '*.rpmnew' -cnewer started 2>/dev/null | sed -e 's/^/patchctl: conffile /' -e 's/\\.rpmnew$//'
exit "$pc_rc"
"""


def _is_downgrade(change: Change) -> bool:
    return bool(change.from_version) and rpm.compare(change.from_version, change.to_version) > 0
