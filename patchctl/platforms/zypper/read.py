"""Reads a snapshot of a SUSE host into HostFacts. What is missing stays None, with its reason."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts, Package, RebootNeed
from patchctl.model.text import one_line, strip_control
from patchctl.model.versions import rpm
from patchctl.platforms import linux
from patchctl.platforms.sections import split_sections
from patchctl.platforms.zypper.pending import describe_refresh, message, read_locks, read_pending, why_no_locks


def read_host(snapshot: Snapshot) -> HostFacts:
    """Return everything that the snapshot shows."""
    facts = linux.read_common(snapshot)
    unknown = dict(facts.unknown)
    listed = snapshot.output("zypper.packages")
    if not listed:
        # An empty list means that rpm looked into the wrong database, never that nothing is installed.
        unknown["packages"] = snapshot.reason("zypper.packages") or "rpm lists no packages"
    else:
        facts = replace(facts, packages=tuple(read_packages(listed)))
    output = snapshot.output("zypper.pending")
    sections = split_sections(output or "")
    if why := snapshot.reason("zypper.pending") if output is None else why_no_locks(sections):
        unknown["held"] = why
    else:
        facts = replace(facts, held=tuple(map(str, read_locks(sections))))
    audit = snapshot.output("zypper.audit")
    if audit is None:
        unknown["broken"] = snapshot.reason("zypper.audit")
    else:
        found = read_audit(audit)
        if found is not None and facts.packages is not None:
            found = (*found, *read_twice(facts.packages))
        facts = replace(facts, broken=found)
        if found is None:
            unknown["broken"] = message(audit) or "zypper could not verify the dependencies of what is installed"
    facts, reason = _with_updates(facts, snapshot)
    if reason:
        unknown["updates"] = reason
    if facts.metadata_age is None:
        unknown["metadata_age"] = snapshot.reason("zypper.lists") or "no repository was ever refreshed"
    reboot, reason = _reboot(facts, snapshot)
    if reason:
        unknown["reboot"] = reason
    return linux.read_surroundings(replace(facts, reboot=reboot), snapshot, "zypper", unknown)


def read_packages(text: str) -> list[Package]:
    """Given zypper.packages, return what rpm has installed; its signing keys are no packages."""
    found = []
    for line in strip_control(text).splitlines():
        parts = line.split("|")
        if len(parts) == 4 and parts[0] != "gpg-pubkey":
            found.append(Package(parts[0], parts[1].removeprefix("0:"), parts[2], parts[3]))
    return found


def read_audit(text: str) -> tuple[str, ...] | None:
    """Return what is broken, () when nothing is; None when zypper could not say (its lock is held ...)."""
    sections = split_sections("@@ audit\n" + text)
    rc = next((int(x[3:]) for x in sections.lines("audit") if re.fullmatch(r"rc \d+", x)), None)
    problems = re.findall(r'<message type="error">(.*?)</message>', text, re.DOTALL)
    problems += re.findall(r"<problem>\s*(.*?)\s*</problem>", text, re.DOTALL)
    found = [one_line(message(x)) for x in problems]
    if rc in (0, 100, 101, 102, 103) or (found and rc in (4, None)):
        summary = re.search(r'packages-to-change="(\d+)"', text)
        if not found and summary and summary[1] != "0":
            found.append(f"dependencies are not met: zypper verify would change {summary[1]} packages")
        return tuple(found)
    return None


def read_twice(packages: Sequence[Package]) -> tuple[str, ...]:
    """Return the packages that an install which was cut off has left in two versions. Kernels are kept side by side."""
    count = Counter((p.name, p.arch) for p in packages if not p.name.startswith("kernel-"))
    twice = sorted(name for (name, _), number in count.items() if number > 1)
    return tuple(f"{one_line(name, 100)} is installed in two versions: an install was cut off" for name in twice)


def _with_updates(facts: HostFacts, snapshot: Snapshot) -> tuple[HostFacts, str]:
    """Return the facts with updates and the age of the lists, and why updates are unknown ("" = known)."""
    facts = linux.read_lists_age(facts, snapshot.output("zypper.lists"))
    output = snapshot.output("zypper.pending")
    if output is None:
        return facts, snapshot.reason("zypper.pending")
    sections = split_sections(output)
    problem = describe_refresh(sections)
    if problem == "":
        facts = replace(facts, metadata_age=0.0)
    elif problem:
        return facts, f"refreshing the repositories failed: {problem}"
    states = sections.lines("indexes")
    if not any(x.startswith("present ") for x in states) and not any(x.startswith("missing ") for x in states):
        return facts, "no repository is enabled"
    if missing := [x[8:] for x in states if x.startswith("missing ")]:
        return facts, f"repository {one_line(missing[0], 80)} was never refreshed"
    if why := linux.why_stale(facts.metadata_age, "the repositories' lists"):
        return facts, why
    for part in ("updates", "all", "patches"):
        if sections.rc(part) not in (0, 100, 101):
            return facts, message("\n".join(sections.lines(part))) or f"zypper could not list {part}"
    if facts.packages is None:
        return facts, "the installed packages are unknown"
    transactional = (snapshot.output("zypper.transactional") or "").startswith("read-only-root")
    if snapshot.output("zypper.transactional") is None:
        return facts, f"zypper.transactional: {snapshot.reason('zypper.transactional')}"
    found = read_pending(sections, transactional=transactional)
    return replace(facts, updates=found.updates, artefacts=found.artefacts, removals=found.removals), ""


def _reboot(facts: HostFacts, snapshot: Snapshot) -> tuple[RebootNeed, str]:
    """Say whether a reboot is needed, and why; (unknown, reason) where a sign could not be read and none says yes."""
    reasons: list[str] = []
    lines = (snapshot.output("zypper.reboot") or "").splitlines()
    answer = next((x.removeprefix("needs-rebooting ") for x in lines if x.startswith("needs-rebooting ")), "")
    if answer == "102":
        reasons.append("asked for by what was installed (zypper needs-rebooting)")
    reasons += [f"{one_line(x[5:], 80)} is there" for x in lines if x.startswith("file ") and answer != "102"]
    newest = newest_kernel(facts.kernel, [one_line(x[7:], 100) for x in lines if x.startswith("kernel ")])
    if newest and newest != facts.kernel and not linux.is_container(snapshot):
        reasons.append(f"kernel {newest} is installed, {facts.kernel} runs")
    need, why = linux.judge_reboot(reasons, snapshot, ("zypper.reboot", "linux.uname", "linux.container"))
    if need.required is False and answer != "0":
        return RebootNeed(None), "this zypper does not know needs-rebooting"
    return need, why


def newest_kernel(running: str, installed: list[str]) -> str:
    """Return the newest installed kernel of the running one's flavour (default, preempt ...); "" where none is seen."""
    flavour = running.rpartition("-")[2]
    same = [name for name in installed if name.rpartition("-")[2] == flavour]
    return max(same, key=rpm.sort_key) if same else ""
