"""The texts that change an Alpine host: fetch files, change to exactly them. Run by the host's runner, under busybox.

`apk add ./file.apk` would pin each package in /etc/apk/world for good, and so would `apk add name=version`. So the
files become a repository of their own, the only one that apk is given, and the installed packages are upgraded from it;
world stays as it is. To lower versions apk goes with `--available` only: it then takes what the repository has,
whatever is installed, and removes what it does not list. So all that stays gets listed there, from apk's database.
"""

from __future__ import annotations

from collections.abc import Sequence

from patchctl.model.facts import Artefact
from patchctl.model.plan import Change
from patchctl.model.text import quote_sh
from patchctl.model.versions import apk
from patchctl.platforms.apk.probes import DATABASE, LOCK_FUNCTIONS
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.install_text import CURL, QUIET, WAIT_FOR_LOCK, check_sums, choose_files, fetch_files

_LOAD = f"""if command -v curl >/dev/null; then
    {CURL}
  else wget -q -T 60 -O "$1" "$2" 2>&1; fi"""

_CACHED = r"""for pc_file in /etc/apk/cache/"${2%.apk}".*.apk; do
    if [ -f "$pc_file" ] && pc_ok "$1" "$pc_file"; then cp -- "$pc_file" "$2.part"; break; fi
  done"""

# A pin to a repository's tag in world needs a repository with that tag, or apk refuses to work at all.
_REPOSITORY = r"""
pc_arch=$(apk --print-arch) || exit 1
rm -rf alone alone-* cache repos; mkdir -p "alone/$pc_arch" cache
pc_pack() {
  apk verify "./$1" || { echo "patchctl: bad-signature $1"; exit 1; }
  cp -- "./$1" "alone/$pc_arch/$1" || exit 1
}
PACKS
( cd "alone/$pc_arch" && apk index --no-warnings --rewrite-arch "$pc_arch" -o APKINDEX.tar.gz ./*.apk ) || exit 1
STAYINGecho "$PWD/alone" >repos
for pc_tag in $(cat /etc/apk/repositories /etc/apk/repositories.d/* 2>/dev/null |
  sed -n 's/^[[:space:]]*@\([A-Za-z0-9_.-]*\)[[:space:]].*/\1/p' | sort -u); do
  cp -r alone "alone-$pc_tag" && echo "@$pc_tag $PWD/alone-$pc_tag" >>repos
done
# Only the index made just now is without a signature: each file was verified above.
pc_apk() {
  apk --repositories-file "$PWD/repos" --cache-dir "$PWD/cache" --allow-untrusted --no-network --no-progress \
    --wait LOCK_TIMEOUT "$@" </dev/null
}
"""

# $pc_going: what is changed or goes. An index has the same lines as the database, without those about files.
_STAYING = DATABASE + r"""
( cd "alone/$pc_arch" && tar -xzf APKINDEX.tar.gz && awk -v going=" $pc_going " '
  function flush() { if (name != "" && !index(going, " " name " ")) print text; text = name = "" }
  /^[CPVASITUotmkcDpiL]:/ { text = text $0 "\n"; if (/^P:/) name = substr($0, 3) }
  /^$/ { flush() }
  END { flush() }' "$pc_db" >>APKINDEX && tar -czf APKINDEX.tar.gz APKINDEX && rm -f APKINDEX ) || exit 1
"""


def _goes_back(changes: Sequence[Change]) -> bool:
    """Say whether a version is to be lower afterwards."""
    return any(c.from_version and apk.compare(c.to_version, c.from_version) < 0 for c in changes)


def download_script(artefacts: Sequence[Artefact], directory: str) -> str:
    """Return a script that takes the files from the host's own package cache, else from its repositories.

    Prints `have SHA256` or `miss SHA256 reason` for each; whatever does not have the promised hash is thrown away.
    """
    return fetch_files(artefacts, directory, _CACHED, _LOAD)


def install_script(request: InstallRequest) -> str:
    """Return the runner's payload: change to exactly the files in the spool, and nothing else.

    Prints `patchctl: step NAME`, and for people and the diagnosis `patchctl: conffile PATH` (a changed file was kept,
    the new one is beside it as .apk-new), `patchctl: lock-held PATH PID COMMAND`, `patchctl: unplanned CHANGE`,
    `patchctl: bad-signature FILE`. Exits as apk did. Raise ValueError for an adjustment, of which there are none, or a
    change without its file.
    """
    chosen = choose_files(request)
    if request.adjustments:
        raise ValueError(f"unknown adjustment {request.adjustments[0]!r}")
    packs = "".join(f"pc_pack {quote_sh(a.filename)}\n" for a in chosen)
    back = _goes_back(request.changes)
    going = quote_sh(" ".join([*(c.package for c in request.changes), *request.removals]))
    repository = _REPOSITORY.replace("PACKS\n", packs).replace("LOCK_TIMEOUT", str(max(1, request.lock_timeout)))
    repository = repository.replace("STAYING", f"pc_going={going}\n{_STAYING}" if back else "")
    upgrade = f"upgrade --no-self-upgrade{' --available' if back else ''}"
    lines = [f"{c.package} {c.to_version}" for c in request.changes] + [f"{name} -" for name in request.removals]
    planned = " ".join(quote_sh(line) for line in lines)
    # What the plan pulled in comes along by itself: named here, apk would take it for wanted by hand.
    old = " ".join(quote_sh(c.package) for c in request.changes if c.from_version)
    # With --available apk forgets which packages world takes from a file only.
    keep, restore = ("cp -- /etc/apk/world world || exit 1\n",
                     "cmp -s world /etc/apk/world || cp -- world /etc/apk/world\n") if back else ("", "")
    return f"""{QUIET}{LOCK_FUNCTIONS}{WAIT_FOR_LOCK}
cd {quote_sh(request.directory)} || exit 1
: >started
echo 'patchctl: step lock'
pc_wait_for_lock {max(1, request.lock_timeout)} || exit 1
echo 'patchctl: step check'
sha256sum -c - >sums 2>&1 <<'patchctl-sums' || {{ cat sums; echo 'patchctl: hash-mismatch'; exit 1; }}
{check_sums(chosen)}patchctl-sums
printf '%s\\n' {planned} >planned
{repository}pc_apk --simulate {upgrade} -- {old} >output 2>&1 || {{ cat output; exit 1; }}
pc_extra=$(sed -n \\
  -e 's/^([0-9]*\\/[0-9]*) Purging \\([^ @]*\\)[^ ]* (.*)$/\\1 -/p' \\
  -e 's/^([0-9]*\\/[0-9]*) Installing \\([^ @]*\\)[^ ]* (\\([^ ]*\\))$/\\1 \\2/p' \\
  -e 's/^([0-9]*\\/[0-9]*) [A-Z][a-z]*grading \\([^ @]*\\)[^ ]* ([^ ]* -> \\([^ ]*\\))$/\\1 \\2/p' output |
  grep -vxF -f planned | head -n 1)
if [ -n "$pc_extra" ]; then echo "patchctl: unplanned $pc_extra"; exit 1; fi
{keep}echo 'patchctl: step install'
{{ pc_apk {upgrade} -- {old}; echo $? >rc; }} 2>&1 | tee output
read -r pc_rc <rc || pc_rc=1
echo 'patchctl: step after'
{restore}[ "$pc_rc" -lt 128 ] || echo 'patchctl: apk-interrupted'
[ "$pc_rc" = 0 ] || {{ pc_held=$(pc_holder) && echo "patchctl: lock-held $pc_held"; }}
sed -n 's/^ *Installing file to \\(.*\\)\\.apk-new$/patchctl: conffile \\/\\1/p' output
rm -rf alone alone-* cache
exit "$pc_rc"
"""
