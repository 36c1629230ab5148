"""Named points at which a test can kill this process: before and after each durable write and each start on a host.

Set PATCHCTL_FAILPOINT=NAME or NAME:COUNT and the process sends itself SIGKILL the COUNTth time (1 = first) it gets to
that point. Unset, `hit` does nothing. Nothing is cleaned up on purpose: that is what a power cut does.
"""

from __future__ import annotations

import itertools
import os
import signal

FAILPOINTS = frozenset({
    "plan.save.before",  # the plan is made, not yet in the store
    "plan.save.after",
    "journal.append.before",  # events are decided, not yet durable
    "journal.append.after",
    "job.submit.before",  # the intent is durable, no executor has the job yet
    "job.submit.after",
    "start.submit.before",  # the same two, for starts of a runner only
    "start.submit.after",
    "start.host.before",  # connected to the host, the start request is not sent yet
    "start.host.after",  # the host answered the start request, the controller has not recorded it
    "outcome.collect.after",  # an outcome came back, not yet recorded
    "snapshot.save.before",
    "snapshot.save.after",
    "report.write.before",
    "report.write.after",
})
"""Every name that `hit` takes; tests walk this list."""

_counter = itertools.count(1)


def hit(name: str) -> None:
    """Die here if the environment asks for it. Raise ValueError for a name that is not in FAILPOINTS."""
    if name not in FAILPOINTS:
        raise ValueError(f"unknown failpoint {name!r}")
    wanted = os.environ.get("PATCHCTL_FAILPOINT")
    if not wanted:
        return
    point, _, count = wanted.partition(":")
    # next() on a count is atomic in CPython: two host threads at one point never both see the same number.
    if point == name and next(_counter) == int(count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
