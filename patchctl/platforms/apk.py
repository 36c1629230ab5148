"""Alpine Linux: what is pending under apk 2 and 3. Reading only: patchctl does not install with apk yet, and says so.

Indexes are refreshed, where asked, into a cache folder of their own, never into the host's. The texts need no more
than busybox. `apk.pending` prints sections headed `@@ NAME`: refresh, indexes, newer (apk version -l '<') and upgrade
(apk --simulate upgrade), each ended by `rc N`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from patchctl.model.evidence import Probe, Snapshot
from patchctl.model.facts import Artefact, HostFacts, OsRelease, Package, RebootNeed, Update
from patchctl.model.plan import Change
from patchctl.model.rollout import Signature
from patchctl.model.text import one_line, quote_sh, strip_control
from patchctl.model.units import format_duration
from patchctl.platforms import linux
from patchctl.platforms.contract import InstallRequest
from patchctl.platforms.sections import Sections, split_sections

MAX_AGE = 24 * 3600.0
"""Indexes older than this (seconds) say nothing about what is pending."""
REFRESH_AFTER = 12 * 3600
NOT_BUILT = "patchctl does not install with apk yet"
IS_APK = "command -v apk"

# name|version|arch|origin|flags; a line f: tells of files or scripts that apk could not put in place.
_DATABASE = r"""
pc_db=/lib/apk/db/installed; [ -r "$pc_db" ] || pc_db=/usr/lib/apk/db/installed
"""
_PACKAGES = _DATABASE + r"""
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
_PENDING = _AGE + r"""
pc_base=$pc_cache
if [ MODE = always ] || { [ MODE = auto ] && [ $((pc_now - pc_old)) -gt LIMIT ]; }; then
  echo "@@ refresh"
  pc_work=$(mktemp -d /var/cache/patchctl-apk.XXXXXX 2>/dev/null || mktemp -d /run/patchctl-apk.XXXXXX 2>/dev/null)
  if [ -z "$pc_work" ]; then
    echo "ERROR: no folder for indexes of our own can be made"; echo "rc 1"
  else
    trap 'rm -rf "$pc_work"; exit 143' TERM HUP INT
    trap 'rm -rf "$pc_work"' EXIT
    apk --cache-dir "$pc_work" --no-progress update >"$pc_work/log" 2>&1; pc_rc=$?
    grep -E '^(ERROR|WARNING):' "$pc_work/log" | head -n 40
    echo "rc $pc_rc"
    pc_base=$pc_work
  fi
fi
pc_apk() { apk --cache-dir "$pc_base" --no-network --no-progress "$@" 2>&1; }
echo "@@ indexes"; grep -cE '^[^#]*[^#[:space:]]' /etc/apk/repositories; echo "rc $?"
echo "@@ newer"; pc_apk version -l '<'; echo "rc $?"
echo "@@ upgrade"; pc_apk --simulate upgrade; echo "rc $?"
true
"""
_REBOOT = r"""
pc_running=$(uname -r)
if [ -d "/lib/modules/$pc_running" ]; then echo "modules $pc_running"; else echo "no-modules $pc_running"; fi
"""
_LOCK = r"""
for pc_lock in /lib/apk/db/lock /usr/lib/apk/db/lock /run/apk/db.lock; do
  pc_inode=$(stat -c %i "$pc_lock" 2>/dev/null) || continue
  pc_pid=$(awk -v i="$pc_inode" '$2 != "->" && $5 > 0 { n = split($6, w, ":"); if (w[n] == i) { print $5; exit } }' \
    /proc/locks)
  [ -z "$pc_pid" ] || echo "apk $pc_pid $(cat "/proc/$pc_pid/comm" 2>/dev/null || echo gone)"
done
true
"""
_CHANGE = re.compile(r"\(\d+/\d+\) (Upgrading|Installing|Purging|Downgrading|Replacing|Reinstalling) (\S+) \((.+)\)")
_NEWER = re.compile(r"(\S+)\s+<\s+(\S+)(?: .*)?")
_PIN = re.compile(r"[a-z0-9].*?(?=[<>=~@])")


class Apk:
    """platforms/contract.py for apk, as far as reading goes."""

    name = "apk"
    shell = "sh"
    signatures: ClassVar[Sequence[Signature]] = (
        Signature("apk-lock-held", "package-manager", r"Unable to lock database", "another apk holds its database",
                  transient=True, remedy="wait-for-lock"),
        Signature("repository-down", "repository",
                  r"(?:fetch(?:ing)?|opening) (?P<uri>https?://\S+?):? (?:temporary error|network error|could not con)",
                  "a repository does not answer: {uri}", transient=True),
        Signature("bad-signature", "repository", r"(?P<what>\S+): (?:UNTRUSTED|BAD) signature",
                  "{what}: its signature is not trusted"),
        Signature("no-space", "disk", r"No space left on device", "no space left"),
    )  # fmt: skip
    adjustments: tuple[str, ...] = ()

    def matches(self, os: OsRelease) -> bool:
        return os.family == "alpine"

    def probes(self, refresh: str) -> Sequence[Probe]:
        pending = _PENDING.replace("MODE", refresh).replace("LIMIT", str(REFRESH_AFTER))
        ages = _AGE + 'echo "now $pc_now"; echo "checked $pc_old"\n'
        return (
            *linux.PROBES,
            Probe("apk.packages", _PACKAGES, when=IS_APK, timeout=60, cap=16 * 1024 * 1024, pending=True),
            Probe("apk.world", "cat /etc/apk/world", when=IS_APK, timeout=10, pending=True),
            Probe("apk.lists", ages, when=IS_APK, timeout=20, volatile=True, pending=True),
            Probe("apk.pending", pending, root=True, when=IS_APK, timeout=300, pending=True),
            Probe("apk.reboot", _REBOOT, when=IS_APK, timeout=10),
            Probe("apk.activity", _DATABASE + 'stat -c %Y "$pc_db"', when=IS_APK, timeout=10),
        )  # fmt: skip

    def read(self, snapshot: Snapshot) -> HostFacts:
        facts = linux.read_common(snapshot)
        unknown = dict(facts.unknown)
        listed = snapshot.output("apk.packages")
        if not listed:
            unknown |= dict.fromkeys(("packages", "broken"), snapshot.reason("apk.packages") or "apk lists no packages")
        else:
            packages, broken = read_packages(listed)
            facts = replace(facts, packages=packages, broken=broken)
        world = snapshot.output("apk.world")
        if world is None:
            unknown["held"] = snapshot.reason("apk.world")
        else:
            facts = replace(facts, held=tuple(read_pins(world)))
        facts, reason = _with_updates(facts, snapshot)
        if reason:
            unknown["updates"] = reason
        if facts.metadata_age is None:
            unknown["metadata_age"] = snapshot.reason("apk.lists") or "no index was ever fetched"
        reboot, reason = _reboot(snapshot)
        if reason:
            unknown["reboot"] = reason
        unknown |= dict.fromkeys(("reboot_packages", "other_updaters"), "not collected on this platform yet")
        activity = (snapshot.output("apk.activity") or "").strip()
        return replace(facts, reboot=reboot, last_activity=float(activity) if activity.isdigit() else None,
                       unknown=tuple(unknown.items()))

    def resolve_probe(self, changes: Sequence[Change], refresh: str = "auto") -> Probe:
        return Probe("apk.resolve", f"echo {quote_sh(f'ERROR: {NOT_BUILT}')}", when=IS_APK, timeout=10)

    def read_resolution(self, output: str) -> HostFacts:
        return HostFacts(unknown=(("updates", NOT_BUILT),))

    def fingerprint_probe(self, packages: Sequence[str]) -> Probe:
        names = quote_sh(" ".join(sorted(set(packages))))
        chosen = "'index(names, \" \" $1 \" \") { print $1 \":\" $3 \" \" $2 }' | sort"
        text = f"set -- {names}\n{_PACKAGES.strip()} | awk -F'|' -v names=\" $1 \" {chosen}"
        return Probe("apk.fingerprint", text if packages else "true", when=IS_APK, timeout=30)

    def lock_probe(self) -> Probe | None:
        return Probe("apk.lock", _LOCK, root=True, when=IS_APK, timeout=10)

    def download_script(self, artefacts: Sequence[Artefact], directory: str) -> str:
        return "".join(f"echo 'miss {a.sha256} {NOT_BUILT}'\n" for a in artefacts) or "true\n"

    def install_script(self, request: InstallRequest) -> str:
        return f"echo 'patchctl: step refused'; echo '{NOT_BUILT}'; exit 1\n"


def read_packages(text: str) -> tuple[tuple[Package, ...], tuple[str, ...]]:
    """Given apk.packages, return (what is installed, what apk could not put in place whole)."""
    found, broken = [], []
    for line in strip_control(text).splitlines():
        parts = line.split("|")
        if len(parts) == 5 and parts[0] and parts[1]:
            found.append(Package(parts[0], parts[1], parts[2], parts[3]))
            if parts[4]:
                broken.append(f"{one_line(parts[0], 100)} (broken files or scripts: {one_line(parts[4], 20)})")
    return tuple(found), tuple(broken)


def read_pins(world: str) -> list[str]:
    """Given /etc/apk/world, return the packages that it holds at a version or takes from a tagged repository."""
    found = (_PIN.match(line.strip()) for line in strip_control(world).splitlines())
    return [one_line(match[0], 100) for match in found if match]


def read_pending(
    sections: Sections, packages: Sequence[Package], pins: Sequence[str]
) -> tuple[list[Update], list[str]]:
    """Return (updates, removals). Whether one is about security apk does not know: unknown."""
    whole: Mapping[str, Package] = {f"{p.name}-{p.version}": p for p in packages}
    arches = {p.name: p.arch for p in packages}
    updates: dict[str, Update] = {}
    removals: list[str] = []
    for line in sections.lines("upgrade"):
        match = _CHANGE.fullmatch(line.strip())
        if match is None:
            continue
        verb, name, versions = match[1], match[2].partition("@")[0], match[3]
        old, arrow, new = versions.partition(" -> ")
        if verb == "Purging":
            removals.append(name)
        elif verb == "Installing":
            updates[name] = Update(name, "", "", versions, state="new")
        elif arrow and old != new:
            updates[name] = Update(name, arches.get(name, ""), old, new)
    for line in sections.lines("newer"):
        match = _NEWER.fullmatch(line.strip())
        package = whole.get(match[1]) if match else None
        if match is None or package is None or package.name in updates:
            continue
        state, reason = "kept-back", "apk upgrade leaves it at its version"
        if package.name in pins:
            state, reason = "held", "pinned in /etc/apk/world"
        updates[package.name] = Update(
            package.name, package.arch, package.version, match[2], "", None, state, reason)
    return sorted(updates.values(), key=lambda u: u.package), removals


def _with_updates(facts: HostFacts, snapshot: Snapshot) -> tuple[HostFacts, str]:
    ages = dict(x.partition(" ")[::2] for x in (snapshot.output("apk.lists") or "").splitlines())
    checked, now = ages.get("checked", "0"), ages.get("now", "0")
    if checked.isdigit() and now.isdigit() and int(checked) > 0:
        facts = replace(facts, metadata_age=max(0.0, float(int(now) - int(checked))))
    output = snapshot.output("apk.pending")
    if output is None:
        return facts, snapshot.reason("apk.pending")
    sections = split_sections(output)
    if "refresh" in sections.by_name:
        # apk update goes on with the other repositories when one is down, and says so in a warning.
        said = [x for x in sections.lines("refresh") if x.startswith(("ERROR:", "WARNING:"))]
        if said or sections.rc("refresh") != 0:
            why = one_line(said[0]) if said else f"apk update ended with {sections.rc('refresh')}"
            return facts, f"refreshing the indexes failed: {why}"
        facts = replace(facts, metadata_age=0.0)
    if facts.metadata_age is None:
        return facts, "no index was ever fetched: use --refresh always"
    if facts.metadata_age > MAX_AGE:
        return facts, f"the indexes are {format_duration(facts.metadata_age)} old (limit 24h): use --refresh always"
    for part in ("newer", "upgrade"):
        if sections.rc(part) != 0:
            return facts, sections.error(part) or f"apk could not list {part}"
    if facts.packages is None or facts.held is None:
        return facts, "the installed packages or /etc/apk/world are unknown"
    updates, removals = read_pending(sections, facts.packages, facts.held)
    return replace(facts, updates=tuple(updates), removals=tuple(removals)), ""


def _reboot(snapshot: Snapshot) -> tuple[RebootNeed, str]:
    reasons: list[str] = []
    modules = snapshot.output("apk.reboot") or ""
    if modules.startswith("no-modules ") and not linux.is_container(snapshot):
        reasons.append(f"the kernel was replaced: the modules of {one_line(modules[11:], 80)}, which runs, are gone")
    deleted = snapshot.output("linux.deleted-files")
    if deleted is not None:
        reasons += linux.unrestartable(deleted.splitlines())
    if reasons:
        return RebootNeed(True, tuple(reasons)), ""
    for probe in ("apk.reboot", "linux.deleted-files", "linux.container"):
        if snapshot.output(probe) is None:
            return RebootNeed(None), f"{probe}: {snapshot.reason(probe)}"
    return RebootNeed(False), ""


PLATFORM = Apk()
