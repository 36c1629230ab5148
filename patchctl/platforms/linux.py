"""What every Linux tells the same way: system, kernel, boot, clock, disks, failed units, deleted files still in use."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from msgspec.structs import replace

from patchctl.model.evidence import NOT_APPLICABLE, OK, UNKNOWN, Probe, Snapshot
from patchctl.model.facts import FileSystem, HostFacts, OsRelease, RebootNeed
from patchctl.model.text import one_line, strip_control
from patchctl.model.units import format_duration

MAX_AGE = 24 * 3600.0
"""Package lists older than this (seconds) say nothing about what is pending."""
_BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

FAMILIES = {
    "debian": "debian", "ubuntu": "debian", "rhel": "redhat", "centos": "redhat", "fedora": "redhat",
    "suse": "suse", "opensuse": "suse", "sles": "suse", "alpine": "alpine", "arch": "arch",
}  # fmt: skip

# Executable mappings of files that are gone, one `PID COMM UNIT PATH` a line. Files that are deleted on purpose
# (anonymous memory, temporary files, JIT caches) are left out; only mappings that can be executed count.
_DELETED = r"""
grep -s ' (deleted)$' /proc/[0-9]*/maps | awk '
  $2 !~ /x/ { next }
  { path = $0; sub(/^[^\/]*\/proc\/[0-9]+\/maps:/, "", path); if (!match(path, /\//)) next
    path = substr(path, RSTART); sub(/ \(deleted\)$/, "", path)
    if (path ~ /^\/(dev|tmp|var\/tmp|run|proc|SYSV|memfd|\[)/) next
    split($1, w, "/"); if (!seen[w[3] path]++) print w[3] " " path }' |
while read -r pid path; do
  comm=; read -r comm <"/proc/$pid/comm" || continue
  unit=$(sed -n -e '/^1:name=systemd:/{s///p;q;}' -e '/^0::\/./{s/^0:://p;q;}' "/proc/$pid/cgroup")
  printf '%s %s %s %s\n' "$pid" "$(printf %s "$comm" | tr ' \t' '__')" "${unit:--}" "$path"
done
"""

# Files that processes run which only a reboot restarts (see unrestartable): `map COMMAND[PID] PATH`. Platforms add
# `own PACKAGE: PATH` lines; $pc_maps has the same without `map`.
INIT_MAPS = r"""
cat /proc/1/maps >/dev/null || exit 1
pc_maps=$({ echo 1; grep -lsxE 'dbus-daemon|dbus-broker' /proc/[0-9]*/comm | cut -d/ -f3; } | while read -r pid; do
  read -r comm <"/proc/$pid/comm" || continue
  awk -v who="$(printf %s "$comm" | tr -c 'A-Za-z0-9._-' '_')[$pid]" '$2 ~ /x/ && (at = index($0, "/")) {
    path = substr($0, at); sub(/ \(deleted\)$/, "", path); print who " " path }' "/proc/$pid/maps"
done | sort -u)
printf '%s\n' "$pc_maps" | sed 's/^/map /'
"""

# Where no second kernel of a kind is kept: once it is replaced, the modules of the running one are gone.
MODULES = r"""
pc_running=$(uname -r)
if [ -d "/usr/lib/modules/$pc_running" ] || [ -d "/lib/modules/$pc_running" ]; then echo "modules $pc_running"
else echo "no-modules $pc_running"; fi
"""

OS_RELEASE = Probe(
    "linux.os-release", "cat /etc/os-release || cat /usr/lib/os-release", timeout=10, cap=65536, pending=True, tidy=True
)
_OS_PART = "@@ os-release\n"

PROBES: tuple[Probe, ...] = (
    Probe("linux.clock", "date +%s", timeout=10, volatile=True, tidy=True),
    OS_RELEASE,
    Probe("linux.uname", "uname -s; uname -r; uname -m", timeout=10),
    Probe("linux.boot-id", "cat /proc/sys/kernel/random/boot_id", timeout=10),
    Probe("linux.user", "id -un; id -u", timeout=10),
    Probe("linux.container", "systemd-detect-virt -c || tr '\\0' '\\n' </proc/1/environ | sed -n 's/^container=//p'",
          timeout=10),
    Probe("linux.kernels", "for f in /boot/vmlinu[xz]-*; do [ -e \"$f\" ] && echo \"${f#/boot/vmlinu?-}\"; done; true",
          timeout=10),
    Probe("linux.disks", "df -P -k -l || df -P -k", timeout=20, volatile=True),
    Probe("linux.failed-units", "systemctl list-units --state=failed --no-legend --plain --no-pager",
          when="[ -d /run/systemd/system ]", timeout=20),
    Probe("linux.deleted-files", _DELETED, root=True, when="[ -r /proc/self/maps ]", timeout=60, volatile=True),
)  # fmt: skip

_PSEUDO = frozenset({"tmpfs", "devtmpfs", "udev", "none", "shm", "proc", "sysfs", "run", "efivarfs", "cgroup"})


def telling_os(command: str) -> str:
    """Return a probe's text that tells linux.os-release first, which saves a host the processes of a second probe.

    What it prints itself starts with a line `@@ NAME`.
    """
    return f'echo "{_OS_PART.strip()}"; {{ {OS_RELEASE.command}; }} 2>/dev/null; echo; {command}'


def read_os(snapshot: Snapshot) -> OsRelease:
    """Return what /etc/os-release says; an empty OsRelease when it could not be read."""
    told = snapshot.output("linux.os-release")
    if told is None:
        parts = (e.output for e in snapshot.evidence.values() if e.status == OK and e.output.startswith(_OS_PART))
        told = next(parts, "").partition("\n@@ ")[0]
    return _parse_os_release(told)


@lru_cache(maxsize=128)  # a fleet has few different ones
def _parse_os_release(text: str) -> OsRelease:
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, sep, value = line.partition("=")
        if sep and re.fullmatch(r"[A-Z_0-9]+", key):
            fields[key] = one_line(re.sub(r"\\(.)", r"\1", value.strip().strip("'\"")), 100)
    name = fields.get("ID", "")
    words = [name, *fields.get("ID_LIKE", "").split()]
    family = next((FAMILIES[w] for w in words if w in FAMILIES), "")
    return OsRelease(
        name, fields.get("VERSION_ID", ""), family, fields.get("VERSION_CODENAME", ""), fields.get("PRETTY_NAME", "")
    )


def why_no_os(snapshot: Snapshot) -> str:
    """Return why a snapshot does not tell the operating system; "" when it does."""
    reason = snapshot.reason("linux.os-release")
    found = snapshot.evidence.get("linux.os-release")
    if found is None or found.status != NOT_APPLICABLE:
        return reason
    if read_os(snapshot).id:
        return ""
    return next((e.reason for e in snapshot.evidence.values() if e.status == UNKNOWN), reason)  # see telling_os


def read_common(snapshot: Snapshot) -> HostFacts:
    """Return the facts that do not depend on the package manager; the reason for each that is missing."""
    facts: dict[str, Any] = {"os": read_os(snapshot)}
    unknown: list[tuple[str, str]] = []

    def lines(probe: str, field: str) -> list[str] | None:
        found = snapshot.evidence.get(probe)
        if found is not None and found.status == OK and found.rc == 0:
            return found.output.splitlines()
        reason = snapshot.reason(probe) or f"exit code {found.rc if found else None} from {probe}"
        unknown.append((field, reason))
        return None

    uname = lines("linux.uname", "kernel")
    if uname is not None and len(uname) == 3:
        facts |= {"kernel": one_line(uname[1], 100), "arch": one_line(uname[2], 40)}
    boot = lines("linux.boot-id", "boot_id")
    if boot and _BOOT_ID.fullmatch(boot[0]):
        facts["boot_id"] = boot[0]
    clock = lines("linux.clock", "clock_skew")
    if clock and clock[0].isdigit():
        facts["clock_skew"] = round(float(clock[0]) - snapshot.taken_at, 1)
    disks = lines("linux.disks", "file_systems")
    if disks is not None:
        facts["file_systems"] = tuple(_file_systems(disks))
    failed = lines("linux.failed-units", "failed_units")
    if failed is not None:
        facts["failed_units"] = tuple(one_line(x.split()[0], 200) for x in failed if x.split())
    deleted = lines("linux.deleted-files", "restarts")
    if deleted is not None:
        units = {u for u in (_unit(row[1], row[2]) for row in deleted_files(deleted)) if u}
        facts["restarts"] = tuple(sorted(units))
    return HostFacts(**facts, unknown=tuple(unknown))


def read_lists_age(facts: HostFacts, output: str | None) -> HostFacts:
    """Return the facts with the age of the package lists, given the lines `now N` and `checked N` (Unix times)."""
    ages = dict(x.partition(" ")[::2] for x in (output or "").splitlines())
    checked, now = ages.get("checked", "0"), ages.get("now", "0")
    if checked.isdigit() and now.isdigit() and int(checked) > 0:
        return replace(facts, metadata_age=max(0.0, float(int(now) - int(checked))))
    return facts


def why_stale(age: float | None, lists: str) -> str:
    """Return why package lists of that age (seconds; None = unknown) tell nothing, "" if they do. lists: their name."""
    if age is None:
        return f"the age of {lists} is unknown"
    return f"{lists} are {format_duration(age)} old (limit 24h): use --refresh always" if age > MAX_AGE else ""


def read_number(snapshot: Snapshot, probe: str) -> float | None:
    """Return the one whole number that a probe printed; None if it did not."""
    text = (snapshot.output(probe) or "").strip()
    return float(text) if text.isdigit() else None


def read_surroundings(facts: HostFacts, snapshot: Snapshot, platform: str, unknown: dict[str, str]) -> HostFacts:
    """Return the facts with what PLATFORM.boot-files, .updaters and .activity tell, and with all that is unknown."""
    used = read_init_files(snapshot.output(f"{platform}.boot-files") or "")
    if not used:
        why = snapshot.reason(f"{platform}.boot-files") or "no package owns a file that init runs"
        unknown = {**unknown, "reboot_packages": why}
    updaters = snapshot.output(f"{platform}.updaters")
    if updaters is None:
        unknown = {**unknown, "other_updaters": snapshot.reason(f"{platform}.updaters")}
    return replace(
        facts, reboot_packages=used or None, last_activity=read_number(snapshot, f"{platform}.activity"),
        other_updaters=None if updaters is None else tuple(one_line(x, 80) for x in updaters.splitlines() if x.strip()),
        unknown=tuple(unknown.items()),
    )  # fmt: skip


def deleted_files(lines: list[str]) -> Iterator[tuple[int, str, str, str]]:
    """Given lines of linux.deleted-files, yield (pid, command, cgroup path, deleted file)."""
    for line in lines:
        words = line.split(" ", 3)
        if len(words) == 4 and words[0].isdigit():
            yield int(words[0]), one_line(words[1], 40), words[2], one_line(words[3], 200)


def unrestartable(lines: list[str]) -> tuple[str, ...]:
    """Return why only a reboot helps: init or the message bus still run deleted files."""
    reasons: dict[str, str] = {}
    for pid, command, _, path in deleted_files(lines):
        if pid == 1 or command in ("dbus-daemon", "dbus-broker"):
            reasons.setdefault(command, f"{command}[{pid}] still runs the deleted {path}")
    return tuple(reasons.values())


def read_module_reboot(snapshot: Snapshot, probe: str) -> tuple[RebootNeed, str]:
    """Say whether a reboot is needed, and why; (unknown, reason) where a sign could not be read and none says yes.

    `probe` is the one that asked MODULES.
    """
    reasons: list[str] = []
    modules = snapshot.output(probe) or ""
    if modules.startswith("no-modules ") and not is_container(snapshot):
        running = one_line(modules.split(" ", 1)[1], 80)
        reasons.append(f"the kernel was replaced: the modules of {running}, which runs, are gone")
    return judge_reboot(reasons, snapshot, (probe, "linux.container"))


def judge_reboot(reasons: Sequence[str], snapshot: Snapshot, probes: Sequence[str]) -> tuple[RebootNeed, str]:
    """Return whether a reboot is needed, given the reasons of a platform and the probes that it has asked for them.

    Deleted files that init still runs are a reason on every Linux. (unknown, why) where a sign could not be read and
    none says yes.
    """
    deleted = snapshot.output("linux.deleted-files")
    found = (*reasons, *(unrestartable(deleted.splitlines()) if deleted is not None else ()))
    if found:
        return RebootNeed(True, found), ""
    for name in (*probes, "linux.deleted-files"):
        if snapshot.output(name) is None:
            return RebootNeed(None), f"{name}: {snapshot.reason(name)}"
    return RebootNeed(False), ""


def read_init_files(text: str) -> tuple[tuple[str, str], ...]:
    """Given INIT_MAPS with the owners, return (package, process) for what only a reboot takes into use."""
    users: dict[str, list[str]] = {}
    found: dict[tuple[str, str], None] = {}
    for line in strip_control(text).splitlines():
        word, _, rest = line.partition(" ")
        if word == "map":
            process, _, path = rest.partition(" ")
            users.setdefault(path, []).append(one_line(process, 40))
        elif word == "own" and not rest.startswith("diversion by "):
            packages, _, path = rest.partition(": ")
            for name in packages.split(", "):
                short = one_line(name.partition(":")[0], 200)
                found |= {(short, user): None for user in (*users.get(path, ()), *users.get(f"/usr{path}", ()))}
    return tuple(sorted(found))


def is_container(snapshot: Snapshot) -> bool:
    """Say whether the host shares somebody else's kernel, which then is not its own to update."""
    found = (snapshot.output("linux.container") or "").strip()
    return found not in ("", "none")


def _unit(command: str, cgroup: str) -> str:
    """Return the unit to restart for a process: its service, or the user session it belongs to; "" for init itself."""
    for part in reversed(cgroup.split("/")):
        part = one_line(part, 200)
        if part.endswith((".service", ".socket", ".timer")) and not part.startswith("user@"):
            return part
    session = posixpath.basename(cgroup)
    if session == "init.scope" or command in ("systemd", "init"):
        return ""
    if session.endswith(".scope"):
        return f"{one_line(session, 100)} ({command})"
    return f"(no unit) {command}"


def _file_systems(lines: list[str]) -> Iterator[FileSystem]:
    """Given `df -P -k` output, yield real file systems: pseudo ones and what /run shows of others are left out."""
    for line in lines[1:]:
        found = re.fullmatch(r"(\S.*?)\s+(\d+)\s+(\d+)\s+(-?\d+)\s+(?:\d+%|-)\s+(/.*)", line)
        if found is None or found[1] in _PSEUDO or int(found[2]) == 0 or found[5].startswith("/run/"):
            continue
        yield FileSystem(one_line(found[5], 300), int(found[2]) * 1024, max(0, int(found[4])) * 1024)
