"""Finds recorded snapshots to judge again: the latest, those of a day, of a run, or with a tag."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from patchctl.model.errors import UsageError
from patchctl.model.evidence import Snapshot
from patchctl.store.assessments import Assessments

LATEST = "latest"


def recorded_snapshots(assessments: Assessments, hosts: Sequence[str], which: str) -> dict[str, Snapshot]:
    """Return host -> snapshot. `which`: latest, a day (YYYY-MM-DD) or moment (local time), a run's id, or a tag.

    Of a day the last snapshot at its end counts. Hosts that have none are left out. Raise UsageError when `which` is
    none of these.
    """
    if which == LATEST:
        return assessments.snapshots(hosts)
    before = end_of(which)
    if before is not None:
        return assessments.snapshots(hosts, before=before)
    wanted = set(hosts)
    numbers = {row.host: row.snapshot for row in assessments.of_run(which) if row.snapshot is not None}
    numbers = numbers or dict(assessments.tagged(which))
    if not numbers:
        runs = ", ".join(run.run for run in assessments.runs(3)) or "there is none yet"
        tags = ", ".join(tag["tag"] for tag in assessments.tags()) or "there is none"
        raise UsageError("no-such-run", f"{which!r} is no day, run or tag", f"latest runs: {runs}; tags: {tags}")
    found = assessments.snapshots_of([number for host, number in numbers.items() if host in wanted])
    return {snapshot.host: snapshot for snapshot in found.values()}


def end_of(text: str) -> float | None:
    """Return the Unix time at which a day ends, or of a moment (local time unless it has an offset); None = neither."""
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if len(text) == 10:
        moment = moment.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return moment.astimezone().timestamp()
