"""Platforms: what to ask a host about its packages, how to read the answers, how to install. All pure."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts

_NULLABLE = (
    "packages", "updates", "held", "broken", "restarts", "file_systems", "clock_skew", "metadata_age", "last_activity",
    "other_updaters", "failed_units", "reboot_packages",
)  # fmt: skip


def read_facts(snapshot: Snapshot) -> HostFacts:
    """Return what a snapshot shows of its host; what is missing is None, with its reason in `unknown`."""
    return make_reader()(snapshot)


def make_reader() -> Callable[[Snapshot], HostFacts]:
    """Return a read_facts for one pass over many hosts: texts that several of them gave are read once."""
    from patchctl.platforms import linux, registry

    readers: dict[str, Callable[[Snapshot], HostFacts]] = {}

    def read(snapshot: Snapshot) -> HostFacts:
        platform = registry.platform_for(snapshot)
        if platform is None:
            reason = linux.why_no_os(snapshot)
            facts = linux.read_common(snapshot)
            return _with_reasons(facts, reason or f"no platform reads {facts.os.id or 'this system'!r}")
        if platform.name not in readers:
            reader = getattr(platform, "reader", None)  # contract.py, FleetReader: not every platform has it
            readers[platform.name] = reader() if reader else platform.read
        return _with_reasons(readers[platform.name](snapshot), "not collected")

    return read


def _with_reasons(facts: HostFacts, reason: str) -> HostFacts:
    """Give every unknown fact a reason that has none yet."""
    known = {field for field, _ in facts.unknown}
    missing = [field for field in _NULLABLE if getattr(facts, field) is None and field not in known]
    if facts.reboot.required is None and "reboot" not in known:
        missing.append("reboot")
    return replace(facts, unknown=(*facts.unknown, *((field, reason) for field in missing))) if missing else facts
