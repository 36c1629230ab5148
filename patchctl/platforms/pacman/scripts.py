"""The texts that change an Arch host: fetch files, install exactly them with `pacman -U`. Run by the host's runner."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.text import quote_sh
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.install_text import QUIET, check_sums, choose_files, fetch_files
from patchctl.platforms.pacman.probes import DATABASE, LOCK_FUNCTIONS

_WAIT = LOCK_FUNCTIONS + r"""
pc_wait_for_lock() {
  pc_waited=0
  while pc_held=$(pc_holder); do
    case $pc_held in *" 0 nobody") echo "patchctl: lock-stale ${pc_held%% *}"; return 1 ;; esac
    if [ "$pc_waited" -ge "$1" ]; then echo "patchctl: lock-held $pc_held"; return 1; fi
    [ "$pc_waited" -gt 0 ] || echo "patchctl: waiting for lock $pc_held"
    sleep 1; pc_waited=$((pc_waited + 1))
  done
}
"""

_UNLOCK = r"""
pc_held=$(pc_holder) && case $pc_held in
*" 0 nobody") rm -f "$pc_db/db.lck" && echo "patchctl: removed a stale lock" ;;
esac
# What was cut off while its files were unpacked is not in the database, but its files are there already.
for pc_name in NAMES; do
  pacman -Q --color never -- "$pc_name" >/dev/null 2>&1 || pc_more="--overwrite *"
done
"""
ADJUSTMENTS = ("pacman-unlock",)
"""What may be done once before a new attempt, by the names that the failure signatures propose."""

_CACHED = r"""pacman-conf CacheDir | while read -r pc_dir; do
    if [ -f "$pc_dir/$2" ] && pc_ok "$1" "$pc_dir/$2"; then cp -- "$pc_dir/$2" "$2.part"; break; fi
  done"""

# The host's own settings, but no repository: nothing but the given files can be taken. A file must carry a signature
# that the host trusts whenever its repositories demand one.
_CONFIG = r"""
pc_level=PackageOptional
for pc_repo in $(pacman-conf --repo-list); do
  pacman-conf --repo "$pc_repo" SigLevel | grep -qx PackageRequired && pc_level=PackageRequired
done
pacman-conf | awk -v level="$pc_level" '
  /^\[/ { on = $0 == "[options]" }
  on && /^(LocalFileSigLevel|CleanMethod|VerbosePkgLists) / { next }
  on && /^SigLevel = Package(Never|TrustAll)$/ { next }
  on { print }
  $0 == "[options]" { print "LocalFileSigLevel = " level; print "LocalFileSigLevel = PackageTrustedOnly" }
' >pacman.conf
"""

# pacman asks before it removes what is in conflict, and takes silence for no. `--ask 4` turns that answer round, for
# every conflict alike; so what it would remove is first seen in a copy of its database, where no file is touched.
_TRIAL = r"""
rm -rf trial; mkdir trial; cp -a "$pc_db/local" trial/ || exit 1
pacman --config pacman.conf --dbpath "$PWD/trial" --logfile /dev/null --dbonly -U --needed --noconfirm --noprogressbar \
  --ask 4 --color never -- FILES </dev/null >output 2>&1 || { cat output; exit 1; }
pacman -Qq --color never >before; pacman -Qq --color never --dbpath "$PWD/trial" >after
rm -rf trial
printf '%s\n' GOING >going
pc_extra=$(grep -vxF -f after before | grep -vxF -f going | head -n 1)
if [ -n "$pc_extra" ]; then echo "patchctl: unplanned-removal $pc_extra"; exit 1; fi
"""


def download_script(artefacts: Sequence[Artefact], directory: str) -> str:
    """Return a script that takes the files from the host's own package cache, else from its mirrors.

    Prints `have SHA256` or `miss SHA256 reason` for each; whatever does not have the promised hash is thrown away.
    """
    return fetch_files(artefacts, directory, _CACHED)


def _remove(names: Sequence[str]) -> str:
    """Return what removes planned packages once the rest is in place; pacman refuses what others still need."""
    if not names:
        return ""
    words = " ".join(quote_sh(name) for name in names)
    return f"""pc_go=
for pc_name in {words}; do pacman -Q --color never -- "$pc_name" >/dev/null 2>&1 && pc_go="$pc_go $pc_name"; done
if [ "$pc_rc" = 0 ] && [ -n "$pc_go" ]; then
  set -f
  {{ pacman --config pacman.conf -R --noconfirm --noprogressbar --color never -- $pc_go </dev/null
    echo $? >rc; }} 2>&1 | tee -a output
  set +f
  read -r pc_rc <rc || pc_rc=1
fi
"""


def install_script(request: InstallRequest) -> str:
    """Return the runner's payload: install exactly the files in the spool, and nothing else.

    Prints `patchctl: step NAME`, and for people and the diagnosis `patchctl: conffile PATH` (a new version was put
    beside it as .pacnew), `patchctl: lock-held PATH PID COMMAND`, `patchctl: lock-stale PATH`,
    `patchctl: scriptlet-failed PACKAGE`, `patchctl: unplanned-removal NAME`. Exits as pacman did; with 1 too where an
    install script failed, which pacman itself passes over. Raise ValueError for an adjustment that is not known, or a
    change without its file.
    """
    chosen = choose_files(request)
    if unknown := [name for name in request.adjustments if name not in ADJUSTMENTS]:
        raise ValueError(f"unknown adjustment {unknown[0]!r}")
    old = " ".join(quote_sh(c.package) for c in request.changes if c.from_version)
    adjust = ""
    if request.adjustments:
        adjust = "echo 'patchctl: step adjust-pacman-unlock'\n" + _UNLOCK.replace("NAMES", old or "''")
    words = " ".join(quote_sh(f"./{a.filename}") for a in chosen)
    signatures = "".join(
        f"printf %s {quote_sh(a.signature)} | base64 -d >{quote_sh(f'{a.filename}.sig')} || exit 1\n"
        for a in chosen if a.signature
    )
    new = " ".join(quote_sh(c.package) for c in request.changes if not c.from_version and c.pulled)
    as_needed = f"[ \"$pc_rc\" != 0 ] || pacman -D --asdeps --color never -- {new} >/dev/null 2>&1\n" if new else ""
    trial, ask = "", ""
    if words and request.removals:
        trial = _TRIAL.replace("FILES", words).replace("GOING", " ".join(map(quote_sh, request.removals)))
        ask = "--ask 4 "
    install = (
        f"pacman --config pacman.conf -U --needed --noconfirm --noprogressbar --color never {ask}$pc_more -- {words}")
    install, none = (install, "") if words else ("true", "true || ")  # no files: only removals
    return f"""{QUIET}{DATABASE}{_WAIT}
cd {quote_sh(request.directory)} || exit 1
: >started
pc_more=
{adjust}echo 'patchctl: step lock'
pc_wait_for_lock {max(1, request.lock_timeout)} || exit 1
echo 'patchctl: step check'
{none}sha256sum --quiet -c - <<'patchctl-sums' || {{ echo 'patchctl: hash-mismatch'; exit 1; }}
{check_sums(chosen)}patchctl-sums
{signatures}{_CONFIG}{trial}echo 'patchctl: step install'
set -f
{{ {install} </dev/null
  echo $? >rc; }} 2>&1 | tee output
set +f
read -r pc_rc <rc || pc_rc=1
echo 'patchctl: step after'
[ "$pc_rc" = 0 ] || {{ pc_held=$(pc_holder) && echo "patchctl: lock-held $pc_held"; }}
{as_needed}{_remove(request.removals)}\
pc_bad=$(awk '/^(installing|upgrading|reinstalling|downgrading) / {{ sub(/\\.\\.\\.$/, "", $2); name = $2 }}
  /^error: command (failed to execute correctly|terminated by signal)/ {{
    print "patchctl: scriptlet-failed " name }}' output)
if [ -n "$pc_bad" ]; then echo "$pc_bad"; [ "$pc_rc" != 0 ] || pc_rc=1; fi
find /etc -name '*.pacnew' -cnewer started 2>/dev/null | sed -e 's/^/patchctl: conffile /' -e 's/\\.pacnew$//'
exit "$pc_rc"
"""
