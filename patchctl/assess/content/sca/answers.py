"""What a host answered to the questions of SCA rules, read back from the evidence of the batched probes.

A batch prints, for each of its questions (N counts from 0 within the batch):

    +N          question N starts
     text       one line of what was read, each behind a blank
    -text       more of the same line
    =STATUS     question N is over

so that no text can pass for a frame. Only what lies between + and = counts; a batch that broke off answers what it had
finished, the rest stays without an answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from patchctl.model.evidence import NOT_APPLICABLE, OK, Probe, Snapshot
from patchctl.model.text import one_line

ABSENT, OTHER, READ, REFUSED, LARGE, BROKEN = "absent", "other", "read", "refused", "large", "broken"
STARTED, NOT_STARTED, LATE = "started", "not started", "late"

Key = tuple[str, ...]
"""What is asked: ("c", word, ...) a command, ("f", path) a file, ("e", path) whether there is one, ("d", path) a
directory's tree, ("p",) the processes, ("r", key) a registry key."""


class Batch(Struct, frozen=True):
    """A probe and the questions it asks, in the order of their numbers."""

    probe: Probe
    keys: tuple[Key, ...]


class Answer(Struct, frozen=True):
    """What came back for one question. `status` is one of the words above; lines only with READ and STARTED."""

    status: str
    lines: tuple[str, ...] = ()


class Answers(Struct, frozen=True):
    """All answers of a snapshot, and why others are missing."""

    found: Mapping[Key, Answer] = field(default_factory=dict)
    missing: Mapping[Key, str] = field(default_factory=dict)

    def reason(self, key: Key) -> str:
        """Return why a question has no answer."""
        return self.missing.get(key, "not collected")


def read_answers(
    batches: Sequence[Batch], snapshot: Snapshot, status_of: Callable[[Key, str, Sequence[str]], Answer]
) -> Answers:
    """Return the answers of a snapshot. `status_of` makes an Answer of (question, status word, lines)."""
    found: dict[Key, Answer] = {}
    missing: dict[Key, str] = {}
    for batch in batches:
        evidence = snapshot.evidence.get(batch.probe.id)
        usable = evidence is not None and (evidence.status == OK or evidence.truncated)
        frames = _frames(evidence.output) if evidence is not None and usable else {}
        for number, key in enumerate(batch.keys):
            if number in frames:
                found[key] = status_of(key, *frames[number])
                missing.pop(key, None)
            elif key not in found:
                why = snapshot.reason(batch.probe.id) or "the host sent no answer to it"
                if evidence is not None and evidence.status == NOT_APPLICABLE:
                    why = evidence.reason or "does not apply to this host"
                missing[key] = one_line(why)
    return Answers(found, missing)


def _frames(output: str) -> dict[int, tuple[str, list[str]]]:
    """Return (status word, lines) of each finished question."""
    frames: dict[int, tuple[str, list[str]]] = {}
    number: int | None = None
    lines: list[str] = []
    for line in output.split("\n"):
        kind, rest = line[:1], line[1:].removesuffix("\r")
        if kind == "+":
            number, lines = (int(rest) if re.fullmatch(r"\d{1,6}", rest) else None), []
        elif kind == "=" and number is not None:
            frames[number] = (rest, lines)
            number = None
        elif kind == "-" and lines:
            lines[-1] += rest
        elif kind == " ":
            lines.append(rest)
    return frames
