"""Reads a snapshot of a Debian or Ubuntu host into HostFacts. What is missing stays None, with its reason."""

from __future__ import annotations

import re

from msgspec.structs import replace

from patchctl.model.evidence import OK, Snapshot
from patchctl.model.facts import HostFacts, Package, RebootNeed
from patchctl.model.memo import Memo
from patchctl.model.text import one_line, strip_control
from patchctl.model.versions import deb
from patchctl.platforms import linux
from patchctl.platforms.apt.pending import missing_lists, read_resolution, refresh_problem, split_sections

_STATUS = {
    "n": "not-installed", "c": "config-files", "H": "half-installed", "U": "unpacked", "F": "half-configured",
    "W": "triggers-awaited", "t": "triggers-pending", "i": "installed",
}  # fmt: skip


def read_host(snapshot: Snapshot, memo: Memo | None = None) -> HostFacts:
    """Return everything that the snapshot shows. `memo` remembers texts that many hosts share."""
    memo = memo or Memo()
    snapshot = tell_apart(snapshot)
    facts = linux.read_common(snapshot)
    unknown = dict(facts.unknown)
    listed = snapshot.output("apt.packages")
    if listed is None or not listed:
        reason = snapshot.reason("apt.packages") or "dpkg lists no packages"
        unknown |= {"packages": reason, "held": reason, "broken": reason}
        packages: tuple[Package, ...] = ()
    else:
        packages, held, broken = memo.once(("packages", listed), lambda: read_packages(listed))
        facts = replace(facts, packages=packages, held=held, broken=broken + read_audit(snapshot))
        if snapshot.output("apt.audit") is None:
            facts = replace(facts, broken=None)
            unknown["broken"] = snapshot.reason("apt.audit")
    facts, reason = _with_updates(facts, snapshot, packages, memo)
    if reason:
        unknown["updates"] = reason
    if facts.metadata_age is None:
        unknown["metadata_age"] = snapshot.reason("apt.lists") or "no package lists"
    reboot, reason = _reboot(facts, snapshot, packages)
    if reason:
        unknown["reboot"] = reason
    mapped = snapshot.output("apt.boot-files") or ""
    used = memo.once(("boot-files", mapped), lambda: linux.read_init_files(mapped))
    if not used:
        unknown["reboot_packages"] = snapshot.reason("apt.boot-files") or "dpkg knows none of the files that init runs"
    updaters = snapshot.output("apt.updaters")
    if updaters is None:
        unknown["other_updaters"] = snapshot.reason("apt.updaters")
    return replace(
        facts, reboot=reboot, last_activity=linux.read_number(snapshot, "apt.activity"), reboot_packages=used or None,
        other_updaters=None if updaters is None else read_updaters(updaters), unknown=tuple(unknown.items()),
    )  # fmt: skip


def tell_apart(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot with apt.packages and apt.lists beside apt.pending, where one probe gave all three."""
    whole = snapshot.evidence.get("apt.pending")
    if whole is None or whole.status != OK or "apt.packages" in snapshot.evidence:
        return snapshot
    pending, packages, rest = whole.output.partition("\n@@ packages\n")
    listed, lists, ages = rest.rpartition("@@ lists\n")
    if not packages or not lists:
        return snapshot
    parts = {"apt.pending": pending + "\n", "apt.packages": listed, "apt.lists": ages}
    return replace(snapshot, evidence={
        **snapshot.evidence, **{name: replace(whole, probe=name, output=text) for name, text in parts.items()}
    })  # fmt: skip


def read_packages(text: str) -> tuple[tuple[Package, ...], tuple[str, ...], tuple[str, ...]]:
    """Given apt.packages, return (packages on the system, held names, broken ones as `name (status)`)."""
    packages: list[Package] = []
    held: list[str] = []
    broken: list[str] = []
    for line in strip_control(text).splitlines():
        parts = line.split("|")
        if len(parts) != 6 or len(parts[0]) < 2:
            continue
        abbrev, name, arch, version, source, source_version = parts
        status = abbrev[1]
        if status in "nc":
            continue
        word = "reinstall-required" if abbrev[2:3] == "R" else _STATUS.get(status, "unknown")
        packages.append(Package(name, version, arch, source, source_version, word))
        if abbrev[0] == "h":
            held.append(name)
        if word != "installed":
            broken.append(f"{name} ({word})")
    return tuple(packages), tuple(held), tuple(broken)


def read_audit(snapshot: Snapshot) -> tuple[str, ...]:
    """Return that dpkg was interrupted (its journal is left), or what else its audit says of the database itself."""
    text = snapshot.output("apt.audit") or ""
    found = ["dpkg was interrupted (its journal is left)"] if re.search(r"^journal ", text, re.MULTILINE) else []
    found += [one_line(x) for x in text.splitlines() if x.startswith(("dpkg: ", "E: "))]
    return tuple(found)


def read_updaters(text: str) -> tuple[str, ...]:
    """Return who else installs updates on this host, in words."""
    units = {x.removeprefix("unit ") for x in text.splitlines() if x.startswith("unit ")}
    config = dict(x.removeprefix("config ").partition(" ")[::2] for x in text.splitlines() if x.startswith("config "))
    on = config.get("APT::Periodic::Unattended-Upgrade", "0").strip('"') not in ("", "0")
    found = ["unattended-upgrades"] if on and "apt-daily-upgrade.timer" in units else []
    quiet = {"apt-daily-upgrade.timer", "unattended-upgrades.service"}  # both only act through the setting above
    found += sorted(one_line(u.removesuffix(".service"), 80) for u in units - quiet)
    return tuple(found + (["cron-apt"] if "package cron-apt" in text.splitlines() and "cron-apt" not in found else []))


def _with_updates(
    facts: HostFacts, snapshot: Snapshot, packages: tuple[Package, ...], memo: Memo
) -> tuple[HostFacts, str]:
    """Return the facts with updates and the age of the lists, and the reason why updates are unknown ("" = known)."""
    facts = linux.read_lists_age(facts, snapshot.output("apt.lists"))
    output = snapshot.output("apt.pending")
    if output is None:
        return facts, snapshot.reason("apt.pending")
    sections = memo.once(("sections", output), lambda: split_sections(output))
    problem = refresh_problem(sections)
    if problem == "":
        facts = replace(facts, metadata_age=0.0)
    elif problem:
        return facts, f"refreshing the package lists failed: {problem}"
    if not any(x.startswith("present ") for x in sections.lines("targets")):
        return facts, "no package lists: no source is configured, or none was ever refreshed"
    if missing := missing_lists(sections):
        return facts, f"a source has no package list: {one_line(missing[0], 120)}"
    if why := linux.why_stale(facts.metadata_age, "the package lists"):
        return facts, why
    if sections.rc("upgrade") != 0:
        return facts, sections.error("upgrade") or "apt could not work out an upgrade"
    if facts.packages is None:
        return facts, "the installed packages are unknown"
    key = ("pending", output, snapshot.output("apt.packages"))
    found = memo.once(key, lambda: read_resolution(sections, packages, facts.held or ()))
    return replace(facts, updates=found.updates, artefacts=found.artefacts, removals=found.removals), ""


def _reboot(facts: HostFacts, snapshot: Snapshot, packages: tuple[Package, ...]) -> tuple[RebootNeed, str]:
    """Say whether a reboot is needed, and why; (unknown, reason) where a sign could not be read and none says yes."""
    reasons: list[str] = []
    asked = snapshot.output("apt.reboot")
    if asked and asked.startswith("file"):
        names = ", ".join(one_line(x, 60) for x in asked.splitlines()[1:6])
        reasons.append(f"asked for by {names}" if names else "/run/reboot-required is there")
    newest = newest_kernel(facts.kernel, snapshot, packages)
    if newest and newest != facts.kernel:
        reasons.append(f"kernel {newest} is installed, {facts.kernel} runs")
    return linux.judge_reboot(reasons, snapshot, ("apt.reboot", "linux.uname", "linux.kernels"))


def newest_kernel(running: str, snapshot: Snapshot, packages: tuple[Package, ...]) -> str:
    """Return the newest bootable kernel of the running one's flavour; "" in a container or where none is seen."""
    if linux.is_container(snapshot) or not running:
        return ""
    flavour = running.rpartition("-")[2]
    seen = [one_line(x, 100) for x in (snapshot.output("linux.kernels") or "").splitlines()]
    if not any(k != running and k.rpartition("-")[2] == flavour for k in seen):
        return running if running in seen else ""
    installed = {p.name.removeprefix("linux-image-") for p in packages if p.name.startswith("linux-image-")}
    same = [k for k in seen if k.rpartition("-")[2] == flavour and (not installed or k in installed or k == running)]
    return max(same, key=deb.sort_key, default="")
