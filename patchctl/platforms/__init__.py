"""Platforms: what to ask a host about its packages, how to read the answers, how to install. All pure."""

from __future__ import annotations

from dataclasses import replace

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts

_NULLABLE = (
    "packages", "updates", "held", "broken", "restarts", "file_systems", "clock_skew", "metadata_age", "last_activity",
    "other_updaters", "failed_units", "reboot_packages",
)  # fmt: skip


def read_facts(snapshot: Snapshot) -> HostFacts:
    """Return what a snapshot shows of its host; what is missing is None, with its reason in `unknown`."""
    from patchctl.platforms import linux, registry

    platform = registry.platform_for(snapshot)
    if platform is not None:
        return _with_reasons(platform.read(snapshot), "not collected")
    facts = linux.read_common(snapshot)
    return _with_reasons(
        facts, snapshot.reason("linux.os-release") or f"no platform reads {facts.os.id or 'this system'!r}"
    )


def _with_reasons(facts: HostFacts, reason: str) -> HostFacts:
    """Give every unknown fact a reason that has none yet."""
    known = {field for field, _ in facts.unknown}
    missing = [field for field in _NULLABLE if getattr(facts, field) is None and field not in known]
    if facts.reboot.required is None and "reboot" not in known:
        missing.append("reboot")
    return replace(facts, unknown=(*facts.unknown, *((field, reason) for field in missing))) if missing else facts
