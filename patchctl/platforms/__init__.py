"""Platforms: what to ask a host about its packages, how to read the answers, how to install. All pure."""

from __future__ import annotations

from patchctl.model.evidence import Snapshot
from patchctl.model.facts import HostFacts


def read_facts(snapshot: Snapshot) -> HostFacts:
    """Return what a snapshot shows of its host; what is missing is None, with its reason in `unknown`."""
    from patchctl.platforms import linux, registry

    platform = registry.platform_for(snapshot)
    if platform is not None:
        return platform.read(snapshot)
    facts = linux.read_common(snapshot)
    reason = snapshot.reason("linux.os-release") or f"no platform reads {facts.os.id or 'this system'!r}"
    fields = ("packages", "updates", "held", "broken", "metadata_age")
    return HostFacts(
        os=facts.os, kernel=facts.kernel, boot_id=facts.boot_id, arch=facts.arch, restarts=facts.restarts,
        file_systems=facts.file_systems, clock_skew=facts.clock_skew, failed_units=facts.failed_units,
        unknown=(*facts.unknown, *((field, reason) for field in (*fields, "reboot"))),
    )  # fmt: skip
