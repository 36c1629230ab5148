"""Reads a snapshot of a host with rpm and dnf or yum into HostFacts. What is missing stays None, with its reason."""

from __future__ import annotations

import re

from msgspec.structs import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts, Package, RebootNeed
from patchctl.model.memo import Memo
from patchctl.model.text import one_line, strip_control
from patchctl.model.versions import rpm
from patchctl.platforms import linux
from patchctl.platforms.dnf.pending import read_packages, read_pending

_KERNELS = re.compile(r"kernel(\d[\d.]*)?((-[a-z0-9]+)*-core|(-(uek|rt|lt|ml|debug))?)")
"""Packages that bring a kernel; Amazon Linux 2023 has its version in the name (kernel6.12)."""


def read_host(snapshot: Snapshot, memo: Memo | None = None) -> HostFacts:
    """Return everything that the snapshot shows. `memo` remembers texts that many hosts share."""
    memo = memo or Memo()
    facts = linux.read_common(snapshot)
    unknown = dict(facts.unknown)
    listed = snapshot.output("dnf.packages")
    packages: tuple[Package, ...] = ()
    if listed:
        packages, twice, latest = memo.once(("rpm", listed), lambda: read_packages(listed))
        facts = replace(facts, packages=packages, last_activity=latest)
        checked = snapshot.output("dnf.check")
        if checked is None:
            unknown["broken"] = snapshot.reason("dnf.check")
        else:
            facts = replace(facts, broken=(*twice, *read_check(checked)))
    else:
        # An empty list means that rpm looked into the wrong or a damaged database, never that nothing is installed.
        reason = snapshot.reason("dnf.packages") or "rpm lists no packages: its database is damaged or elsewhere"
        unknown |= {"packages": reason, "broken": reason, "last_activity": reason}
    if facts.last_activity is None:
        unknown.setdefault("last_activity", "rpm tells no time")
    facts, reasons = _with_updates(facts, snapshot, packages, memo)
    unknown |= reasons
    holds = snapshot.output("dnf.holds")
    if holds is None:
        unknown["held"] = snapshot.reason("dnf.holds")
    elif closed := [one_line(x.partition(" ")[2], 200) for x in holds.splitlines() if x.startswith("unreadable ")]:
        unknown["held"] = f"{', '.join(closed)} cannot be read by the user who scans: let it be root's scan (become)"
    else:
        facts = replace(facts, held=read_holds(holds))
    reboot, why = _reboot(facts, snapshot, packages)
    if why:
        unknown["reboot"] = why
    mapped = snapshot.output("dnf.boot-files") or ""
    used = memo.once(("boot-files", mapped), lambda: linux.read_init_files(mapped))
    if not used:
        unknown["reboot_packages"] = snapshot.reason("dnf.boot-files") or "rpm knows none of the files that init runs"
    updaters = snapshot.output("dnf.updaters")
    if updaters is None:
        unknown["other_updaters"] = snapshot.reason("dnf.updaters")
    return replace(
        facts, reboot=reboot, reboot_packages=used or None,
        other_updaters=None if updaters is None else read_updaters(updaters), unknown=tuple(unknown.items()),
    )  # fmt: skip


def read_check(text: str) -> tuple[str, ...]:
    """Given dnf.check, return unmet dependencies and what rpm says of its own database."""
    found: list[str] = []
    owner = ""
    for line in strip_control(text).splitlines():
        if match := re.match(r"Unsatisfied dependencies for (\S+?):?\s*$", line):
            owner = match[1]
        elif owner and line[:1].isspace() and " is needed by " in line:
            found.append(one_line(line.strip(), 200))
        elif line.startswith("unfinished "):
            found.append(one_line(f"yum did not finish a transaction: {line.partition(' ')[2]}", 200))
        elif line.startswith(("error: ", "rpmdb: ")):
            found.append(one_line(line, 200))
    return tuple(found)


def read_holds(text: str) -> tuple[str, ...]:
    """Given dnf.holds, return versionlock entries and exclude lines, each with where it is from where that matters."""
    found: list[str] = []
    for line in strip_control(text).splitlines():
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word == "lock" and rest and rest[0] not in "#":
            found.append(one_line(rest, 200))
        elif word == "lock5" and rest:
            found.append(one_line(rest.strip("\"'"), 200))
        elif word == "exclude":
            path, _, value = rest.partition(":")
            specs = value.partition("=")[2].replace(",", " ").split()
            found += [one_line(f"{spec} (excluded in {path})", 200) for spec in specs]
    return tuple(dict.fromkeys(found))


def read_updaters(text: str) -> tuple[str, ...]:
    """Return who else installs updates on this host, in words."""
    units = {x.removeprefix("unit ").strip() for x in text.splitlines() if x.startswith("unit ")}
    config = [x.split() for x in text.splitlines() if x.startswith("config ")]
    applies = {words[1] for words in config if len(words) == 3 and words[2].lower() in ("yes", "true", "1", "on")}
    found = []
    for unit in sorted(units):
        if unit in ("dnf-automatic.timer", "dnf5-automatic.timer") and "/etc/dnf/automatic.conf" not in applies:
            continue  # it only downloads or tells
        if unit == "yum-cron.service" and "/etc/yum/yum-cron.conf" not in applies:
            continue
        found.append(one_line(re.sub(r"\.(service|timer)$", "", unit), 80))
    return tuple(found)


def _with_updates(
    facts: HostFacts, snapshot: Snapshot, packages: tuple[Package, ...], memo: Memo
) -> tuple[HostFacts, dict[str, str]]:
    """Return the facts with updates and the age of the metadata, and the reasons of what is unknown."""
    output = snapshot.output("dnf.pending")
    if output is None:
        return facts, dict.fromkeys(("updates", "metadata_age"), snapshot.reason("dnf.pending"))
    found = memo.once(("dnf", output), lambda: read_pending(output))
    reasons: dict[str, str] = {}
    if found.age is None:
        reasons["metadata_age"] = found.error or "the age of the metadata is unknown"
    else:
        facts = replace(facts, metadata_age=0.0 if found.refreshed else found.age)
    if not packages:
        why = snapshot.reason("dnf.packages") or "rpm lists none: its database is damaged or elsewhere"
        reasons["updates"] = f"the installed packages are unknown: {why}"
    elif found.error:
        reasons["updates"] = found.error
    elif why := linux.why_stale(facts.metadata_age, "the metadata"):
        reasons["updates"] = why
    else:
        facts = replace(facts, updates=found.updates, artefacts=found.artefacts, removals=found.removals)
    return facts, reasons


def _reboot(facts: HostFacts, snapshot: Snapshot, packages: tuple[Package, ...]) -> tuple[RebootNeed, str]:
    """Say whether a reboot is needed, and why; (unknown, reason) where a sign could not be read and none says yes."""
    reasons: list[str] = []
    asked = snapshot.output("dnf.restart")
    lines = (asked or "").splitlines()
    if "rc 1" in lines:
        told = (re.match(r"  (?:\* )?(\S+)(?: ->.*)?$", x) for x in lines)  # yum-utils: `  kernel -> 3.10.0-1160.el7`
        names = [one_line(x[1], 80) for x in told if x]
        updated = dict.fromkeys(f"updated since the boot: {name}" for name in names)
        reasons += updated or ["needs-restarting asks for it"]
    newest = newest_kernel(facts.kernel, snapshot, packages)
    if newest and newest != facts.kernel:
        reasons.append(f"kernel {newest} is installed, {facts.kernel} runs")
    need, why = linux.judge_reboot(reasons, snapshot, ("dnf.restart", "linux.uname", "dnf.packages"))
    if need.required is False and not packages:
        return RebootNeed(None), "rpm lists no packages"
    if need.required is False and "rc 0" not in lines:
        return RebootNeed(None), "needs-restarting could not tell"
    return need, why


def newest_kernel(running: str, snapshot: Snapshot, packages: tuple[Package, ...]) -> str:
    """Return the newest installed kernel of the running one's package, as uname names it; "" in a container or where
    no package has the running kernel.
    """
    if linux.is_container(snapshot) or not running:
        return ""
    kernels = [p for p in packages if _KERNELS.fullmatch(p.name)]
    names = {p.name for p in kernels if _uname(p) == running}
    if not names:
        return ""
    name = next((n for n in sorted(names) if n.endswith("-core")), min(names))
    newest = max((p for p in kernels if p.name == name), key=lambda p: rpm.sort_key(p.version))
    return _uname(newest)


def _uname(package: Package) -> str:
    return f"{package.version.rpartition(':')[2]}.{package.arch}"
