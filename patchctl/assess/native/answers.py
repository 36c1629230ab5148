"""Answers of one snapshot: finds what a question came to in whichever probe of its batch carried it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from patchctl.assess.asking.frames import read_frames
from patchctl.assess.checks.contract import Answer, Batch, Question, Unreadable
from patchctl.model.evidence import OK, Evidence, Probe, Snapshot

PREFIX = "check"


def probe_of(batch: Batch, texts: Iterable[str]) -> Probe:
    """Return the one probe that asks all these questions; its id is made from what it asks."""
    command = batch.script(sorted(set(texts)))
    digest = hashlib.sha256(f"{batch.root}{batch.when}\0{command}".encode()).hexdigest()[:12]
    return Probe(f"{PREFIX}.{batch.name}.{digest}", command, batch.root, batch.when, batch.timeout, batch.cap,
                 batch.volatile)


def probes_of(questions: Iterable[Question]) -> tuple[Probe, ...]:
    """Return one probe for each batch that is asked something (or for each question of it), ordered by batch."""
    batches: dict[str, tuple[Batch, set[str]]] = {}
    for question in questions:
        batches.setdefault(question.batch.name, (question.batch, set()))[1].add(question.text)
    return tuple(
        probe_of(batch, part)
        for _, (batch, texts) in sorted(batches.items())
        for part in ([[text] for text in sorted(texts)] if batch.apart else [sorted(texts)])
    )


class SnapshotAnswers:
    """Implements Answers over a snapshot; frames are read once per batch."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._probes: dict[str, list[Evidence]] = {}
        for name, evidence in snapshot.evidence.items():
            words = name.split(".")
            if len(words) == 3 and words[0] == PREFIX:
                self._probes.setdefault(words[1], []).append(evidence)
        self._known: dict[str, Mapping[str, Answer | str]] = {}

    def get(self, batch: Batch, text: str = "all") -> Answer:
        """Return the answer. Raise Unreadable with the reason."""
        known = self._known.get(batch.name)
        if known is None:
            known = self._known[batch.name] = self._read(batch.name)
        found = known.get(text)
        if isinstance(found, Answer):
            return found
        raise Unreadable(f"{_called(batch, text)}: {found or self._why(batch, text)}")

    def has(self, question: Question) -> bool:
        """Say whether a question was put at all: answered, or asked in a probe that failed."""
        name = question.batch.name
        if name not in self._known:
            self._known[name] = self._read(name)
        known = self._known[name]
        return question.text in known or f"glob:{question.text}" in known

    def _read(self, batch: str) -> Mapping[str, Answer | str]:
        merged: dict[str, Answer | str] = {}
        for evidence in self._probes.get(batch, ()):
            if evidence.status == OK:
                for question, answer in read_frames(evidence.output, not evidence.truncated).items():
                    if not isinstance(merged.get(question), Answer):
                        merged[question] = answer
        return merged

    def _why(self, batch: Batch, text: str) -> str:
        """Return why a question of a batch has no answer."""
        if self.snapshot.failure is not None:
            return self.snapshot.failure.message
        own = self.snapshot.evidence.get(probe_of(batch, [text]).id) if batch.apart else None
        if own is not None and own.status != OK:
            return own.reason or own.status
        failed = [e for e in self._probes.get(batch.name, ()) if e.status != OK]
        if failed:
            return failed[0].reason or f"{failed[0].status}"
        if any(e.truncated for e in self._probes.get(batch.name, ())):
            return "the output was cut before it"
        return "not collected"


class CaseAnswers:
    """Implements Answers over the evidence of a test: batch -> question -> text; None = it is not there."""

    def __init__(self, host: Mapping[str, Mapping[str, str | None]]) -> None:
        self.host = host

    def get(self, batch: Batch, text: str = "all") -> Answer:
        """Return the answer. Raise Unreadable where the case says nothing, or says `!REASON`."""
        answers = self.host.get(batch.name, {})
        if text not in answers:
            raise Unreadable(f"{_called(batch, text)}: not in this case")
        found = answers[text]
        return read_case(found, _called(batch, text))


def read_case(text: str | None, called: str = "") -> Answer:
    """Return the Answer that a case's text stands for.

    None = missing; "!REASON" = it could not be read; a last line "exit N" after a line "---" gives the exit code.
    """
    if text is None:
        return Answer("no such thing", missing=True)
    if text.startswith("!"):
        raise Unreadable(f"{called}: {text[1:].strip()}")
    body, mark, last = text.rpartition("---\nexit ")
    if mark and last.strip().isdigit():
        return Answer(body, int(last))
    return Answer(text if not text or text.endswith("\n") else f"{text}\n", 0)


def write_case(answer: Answer) -> str | None:
    """Return the text by which a case stands for an answer: what read_case reads."""
    if answer.missing:
        return None
    return f"{answer.text}---\nexit {answer.rc}\n" if answer.rc else answer.text


def _called(batch: Batch, text: str) -> str:
    return batch.name if text == "all" else f"{batch.name} {text}"
