"""The texts that change a SUSE host: fetch files, install exactly them with zypper. Run by the host's runner."""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.text import quote_sh
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.install_text import QUIET, WAIT_FOR_LOCK, check_sums, choose_files, fetch_files
from patchctl.platforms.rpm_text import REMOVE_TWICE, TWICE
from patchctl.platforms.zypper.pending import REBOOT_MARK
from patchctl.platforms.zypper.probes import LOCK_FUNCTIONS

_CACHED = r"""find /var/cache/zypp/packages -type f -name "$2" 2>/dev/null | while IFS= read -r pc_file; do
    if pc_ok "$1" "$pc_file"; then cp -- "$pc_file" "$2.part"; break; fi
  done"""
ADJUSTMENTS = {
    "rpm-remove-duplicates": REMOVE_TWICE, "rpm-rebuilddb": "rpm --rebuilddb </dev/null || echo 'patchctl: failed'",
}
"""What may be done once before a new attempt, by the names that the failure signatures propose."""


def download_script(artefacts: Sequence[Artefact], directory: str) -> str:
    """Return a script that takes the files from the host's own package cache, else from its repositories.

    Prints `have SHA256` or `miss SHA256 reason` for each; whatever does not have the promised hash is thrown away.
    """
    return fetch_files(artefacts, directory, _CACHED)


def install_script(request: InstallRequest) -> str:
    """Return the runner's payload: install exactly the files in the spool, and nothing else.

    Prints `patchctl: step NAME`, and for people and the diagnosis `patchctl: conffile PATH` (a changed file was kept,
    the new one is beside it as .rpmnew), `patchctl: lock-held PATH PID COMMAND`, `patchctl: unplanned-removal NAME`,
    `patchctl: duplicate PACKAGE` (its newer version is there too), `patchctl: zypper-exit N`. Exits with 0 where zypper
    ended with 0 or 100 to 103 (a reboot or a restart of zypper is suggested), with 107 where a package's script failed,
    else as zypper did. Raise ValueError for an adjustment that is not known, or a change without its file.
    """
    chosen = choose_files(request)
    for name in request.adjustments:
        if name not in ADJUSTMENTS:
            raise ValueError(f"unknown adjustment {name!r}")
    adjust = "".join(f"echo 'patchctl: step adjust-{name}'\n{ADJUSTMENTS[name]}\n" for name in request.adjustments)
    words = " ".join(quote_sh(f"./{a.filename}") for a in chosen)
    none = "" if chosen else "true || "  # no files: only removals
    # "$@": what is to go, of that which is there; zypper reads !NAME so.
    gone = "set --\n" + "".join(
        f'! rpm -q -- {quote_sh(name)} >/dev/null 2>&1 || set -- "$@" {quote_sh(f"!{name}")}\n'
        for name in request.removals
    )
    planned = quote_sh(f" {' '.join(request.removals)} ")
    # The patch asks for the reboot, of which the package alone knows nothing: say so as zypper patch would.
    reboot = "[ \"$pc_rc\" != 0 ] || : >/run/reboot-needed\n" if any(
        REBOOT_MARK in change.origin for change in request.changes) else ""
    return f"""{QUIET}{LOCK_FUNCTIONS}{WAIT_FOR_LOCK}
cd {quote_sh(request.directory)} || exit 1
: >started
{adjust}echo 'patchctl: step lock'
pc_wait_for_lock {max(1, request.lock_timeout)} || exit 7
echo 'patchctl: step check'
if command -v transactional-update >/dev/null && awk '$2 == "/" {{ o = $4 }} END {{ exit o !~ /(^|,)ro(,|$)/ }}' \\
  /proc/mounts; then echo 'patchctl: transactional'; exit 1; fi
{none}sha256sum --quiet -c - <<'patchctl-sums' || {{ echo 'patchctl: hash-mismatch'; exit 1; }}
{check_sums(chosen)}patchctl-sums
{gone}
# Without any repository, zypper can take nothing but the files given; it verifies the signature of each by itself.
rm -rf alone; mkdir -p alone/repos alone/cache
export ZYPP_LOCK_TIMEOUT={max(1, request.lock_timeout)}
pc_zypper() {{ zypper -n --no-refresh --reposd-dir "$PWD/alone/repos" --cache-dir "$PWD/alone/cache" "$@" </dev/null; }}
for pc_name in $(pc_zypper -x install --oldpackage --no-recommends --dry-run -- {words} "$@" 2>/dev/null |
  sed -n '/<to-remove>/,/<\\/to-remove>/s/.*<solvable .*name="\\([^"]*\\)" edition.*/\\1/p'); do
  case {planned} in *" $pc_name "*) ;; *) echo "patchctl: unplanned-removal $pc_name"; exit 1 ;; esac
done
echo 'patchctl: step install'
{{ pc_zypper install --oldpackage --no-recommends -- {words} "$@"; echo $? >rc; }} 2>&1 | tee output
read -r pc_rc <rc || pc_rc=1
echo "patchctl: zypper-exit $pc_rc"
echo 'patchctl: step after'
rm -rf alone
[ "$pc_rc" = 0 ] || {TWICE} | sed 's/^/patchctl: duplicate /'
case $pc_rc in 100|101|102|103) pc_rc=0 ;; 7) pc_held=$(pc_holder) && echo "patchctl: lock-held $pc_held" ;; esac
# zypper ends with 0 as well where it gave up on a problem that it would have asked about.
grep -q '^Choose from above solutions' output && [ "$pc_rc" = 0 ] && pc_rc=4
grep -q 'scriptlet failed' output && [ "$pc_rc" = 0 ] && pc_rc=107
{reboot}find /etc -name '*.rpmnew' -cnewer started 2>/dev/null | sed -e 's/^/patchctl: conffile /' -e 's/\\.rpmnew$//'
exit "$pc_rc"
"""
