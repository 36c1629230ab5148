"""Facts: what is known of one host, by question. A question that was not answered is noted, never taken for a no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from patchctl.model.evidence import Probe

Ask = tuple[str, ...]
"""(source, what it is asked for ...): ("stat", "/etc/passwd")."""

PREFIX = "xccdf."
"""Ids of our probes: xccdf.SOURCE.HASH. Their outputs tell themselves what they answer."""

_NOTHING = object()


class Source(Protocol):
    """One kind of question that many objects share, and the few probes that answer all of them at once."""

    name: str

    def probes(self, asks: Sequence[Ask]) -> Sequence[Probe]:
        """Return the probes that answer the questions; ids are PREFIX + name + a hash of what is asked."""
        ...

    def read(self, output: str, answers: dict[Ask, Any]) -> None:
        """Add the answers in a probe's output. What is damaged is left out, so that it stays unanswered."""
        ...


class NotCollectedError(Exception):
    """Something cannot be told because it was not, or could not be, read; says why."""


class Unreadable(Struct, frozen=True):
    """An answer that is a refusal: the file is there, its content or details could not be read."""

    reason: str


class Facts(Struct):
    """Answers of one host, and what was asked for in vain so far."""

    answers: Mapping[Ask, Any] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Source -> why a probe of it gave nothing."""
    taken_at: float = 0.0
    missing: dict[Ask, None] = field(default_factory=dict)

    def get(self, *asks: Ask) -> list[Any]:
        """Return the answers. Raise NotCollectedError when one is missing; all missing ones are noted."""
        found = [self.answers.get(ask, _NOTHING) for ask in asks]
        lacking = [ask for ask, answer in zip(asks, found, strict=True) if answer is _NOTHING]
        if lacking:
            self.missing.update(dict.fromkeys(lacking))
            why = self.reasons.get(lacking[0][0], "not collected")
            raise NotCollectedError(f"{' '.join(lacking[0][:3])[:200]}: {why}")
        return found

    def one(self, *ask: str) -> Any:
        """Return the answer to one question; as `get`."""
        return self.get(ask)[0]
