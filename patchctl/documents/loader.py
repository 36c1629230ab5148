"""The one YAML loader: text in, a tree with places out, every oddity a Problem with its line and column.

libyaml's parser delivers events (its own stack is on the heap, so 100,000 opening brackets are just a depth that is
refused); the tree is built here, iteratively, under limits: bytes, depth, and the number of values *after* aliases
and merges are expanded, which is what a YAML bomb is made of.

Scalars stay what was written. Quoted ones are `str`, unquoted ones are `Plain` (a str), an empty one is None.
What a plain scalar means is decided where it is used: fields.py reads text, numbers and flags by the schema,
`plain_value` reads free data. So `22:22`, `1.10`, `007` and `2026-11-01` are never reinterpreted, and an unquoted
`no` is either a flag spelled wrongly or an error, never a silent False.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from msgspec import Struct
from yaml import events

from patchctl.documents.source import Findings, Source
from patchctl.model.errors import Problem

MAX_BYTES: Final = 16 * 1024 * 1024
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 2_000_000
"""Scalars, lists and mappings of one document with every alias counted as often as it is used."""

# yaml.CSafeLoader exists only where PyYAML was built with libyaml; the Python one gives the same events, slower.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAGS = ("tag:yaml.org,2002:str", "!unsafe", "!")
_VAULT_TAGS = ("!vault", "!vault-encrypted")


class Plain(str):
    """An unquoted scalar, exactly as written."""

    __slots__ = ()


class Vaulted(str):
    """An inline `!vault` value: the $ANSIBLE_VAULT text, never decrypted here."""

    __slots__ = ()


class Section(dict[str, Any]):
    """A mapping that knows where it and each of its keys and values stand."""

    __slots__ = ("mark", "places")

    def __init__(self, mark: Any) -> None:
        super().__init__()
        self.mark = mark
        self.places: dict[str, tuple[Any, Any]] = {}


class Items(list[Any]):
    """A list that knows where it and each of its items stand."""

    __slots__ = ("mark", "places")

    def __init__(self, mark: Any) -> None:
        super().__init__()
        self.mark = mark
        self.places: list[Any] = []


class Document(Struct, frozen=True):
    """A file read as YAML: its tree, and places for messages."""

    source: Source
    tree: Any

    def place(self, path: Sequence[Hashable], *, key: bool = False) -> tuple[int, int]:
        """Return (line, column) of the value at a path of keys and indexes (of its key if `key`).

        Where the path leads nowhere, the deepest place on it that exists is returned.
        """
        node, mark = self.tree, getattr(self.tree, "mark", None)
        for step in path:
            if isinstance(node, Section) and step in node:
                key_mark, value_mark = node.places[str(step)]
                mark, node = (key_mark if key else value_mark), node[str(step)]
            elif isinstance(node, Items):
                index = step if isinstance(step, int) else next((i for i, item in enumerate(node) if item == step), -1)
                if not 0 <= index < len(node):
                    break
                mark, node = node.places[index], node[index]
        return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)

    def problem(
        self, path: Sequence[Hashable], code: str, message: str, hint: str = "", *, key: bool = False
    ) -> Problem:
        line, column = self.place(path, key=key)
        return self.source.problem(line, column, code, message, hint)

    def origin(self, path: Sequence[Hashable]) -> str:
        """Return `file:line:column` of the key at a path."""
        return self.source.place(*self.place(path, key=True))


def read_source(path: Path, name: str, findings: Findings) -> Source | None:
    """Read a file as UTF-8 text within the size limit; add a Problem and return None when that cannot be done."""
    bare = Source(name)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        findings.add(bare.problem(0, 0, "unreadable-file", f"cannot be read: {error.strerror}"))
        return None
    if len(data) > MAX_BYTES:
        limit = MAX_BYTES // 1024 // 1024
        findings.add(bare.problem(0, 0, "too-large", f"larger than {limit} MiB", "split it into several files"))
        return None
    try:
        return Source(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = error.start - (before.rfind(b"\n") + 1) + 1
        findings.add(bare.problem(line, column, "not-utf8", "not UTF-8 text", "save the file as UTF-8"))
        return None


def parse_document(source: Source, findings: Findings) -> Document | None:
    """Given a file's text, return its tree; add every problem found and return None if there is no usable tree."""
    before = len(findings.problems)
    try:
        tree = _Builder(source, findings).build()
    except _Stop:
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        findings.add(source.problem(line, column, "yaml-syntax", message, _syntax_hint(source, line, message)))
        return None
    except yaml.reader.ReaderError as error:
        start = source.text[: error.position]
        line, column = start.count("\n") + 1, error.position - (start.rfind("\n") + 1) + 1
        findings.add(source.problem(line, column, "yaml-syntax", "a character that YAML does not allow",
                                    "remove control characters from the file"))
        return None
    return None if len(findings.problems) > before else Document(source, tree)


def load_document(path: Path, name: str, findings: Findings) -> Document | None:
    """Read and parse one YAML file; problems go to `findings`."""
    source = read_source(path, name, findings)
    return parse_document(source, findings) if source else None


class _Stop(Exception):  # noqa: N818 - not an error of its own: the problem is recorded already
    """Building cannot go on."""


class _Builder:
    """Builds the tree of one document from parser events. Each frame: node, pending key, its mark, merges, anchor."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.values = 0

    def build(self) -> Any:
        root: Any = None
        stack: list[_Frame] = []
        documents = 0
        parser = _PARSER(self.source.text)
        while True:
            event = parser.get_event()
            kind = type(event)
            if kind is events.ScalarEvent:
                node = self.scalar(event)
                if event.anchor:
                    self.anchors[event.anchor] = (node, 1)
                self.count(1, event)
            elif kind is events.MappingStartEvent or kind is events.SequenceStartEvent:
                if len(stack) >= MAX_DEPTH:
                    self.stop(event, "too-deep", f"nested deeper than {MAX_DEPTH} levels")
                self.check_tag(event)
                fresh: Any = Section(event.start_mark) if kind is events.MappingStartEvent else Items(event.start_mark)
                stack.append(_Frame(fresh, event.anchor, self.values))
                self.anchors.pop(event.anchor, None)
                self.count(1, event)
                continue
            elif kind is events.MappingEndEvent or kind is events.SequenceEndEvent:
                frame = stack.pop()
                node = self.close(frame)
                event = frame
            elif kind is events.AliasEvent:
                node = self.alias(event, stack)
            elif kind is events.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self.stop(event, "several-documents", "a second document begins here (---)",
                              "keep one document per file")
                continue
            elif kind is events.StreamEndEvent:
                return root
            else:
                continue
            if stack:
                self.add(stack[-1], node, event)
            else:
                root = node

    def scalar(self, event: Any) -> Any:
        text, tag = event.value, event.tag
        if tag is not None:
            if tag in _VAULT_TAGS:
                return Vaulted(text)
            self.check_tag(event)
            return text
        if event.style:
            return text
        return None if text in ("", "~", "null", "Null", "NULL") else Plain(text)

    def check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self.problem(event.start_mark, "unknown-tag", f"the tag {event.tag!r} is not known here",
                         "only !vault and !unsafe are; write the value without a tag")

    def alias(self, event: Any, stack: Sequence[_Frame]) -> Any:
        if any(frame.anchor == event.anchor for frame in stack):
            self.stop(event, "recursive-alias", f"*{event.anchor} stands inside what it refers to")
        if event.anchor not in self.anchors:
            self.stop(event, "unknown-alias", f"no anchor &{event.anchor} before this place")
        node, size = self.anchors[event.anchor]
        self.count(size, event)
        return node

    def add(self, frame: _Frame, node: Any, event: Any) -> None:
        mark = event.start_mark
        target = frame.node
        if isinstance(target, Items):
            target.append(node)
            target.places.append(mark)
        elif frame.key_mark is None:
            frame.key_mark = mark
            if isinstance(node, (Section, Items)):
                self.problem(mark, "unexpected-type", "a key must be text, not a list or mapping",
                             "quote values that begin with { or ["
                             )
                frame.key = None
            else:
                frame.key = "" if node is None else str.__str__(node)
                frame.merging = frame.key == "<<" and type(node) is Plain
        else:
            key, key_mark, frame.key_mark = frame.key, frame.key_mark, None
            if frame.merging:
                frame.merges.append((node, mark))
            elif key in target:
                first = target.places[key][0]
                self.problem(key_mark, "duplicate-key", f"{key!r} is already set on line {first.line + 1}",
                             "remove one of the two")
            elif key is not None:
                target[key] = node
                target.places[key] = (key_mark, mark)

    def close(self, frame: _Frame) -> Any:
        for node, mark in frame.merges:
            for part in node if isinstance(node, Items) else [node]:
                if not isinstance(part, Section):
                    self.problem(mark, "unexpected-type", "<< needs a mapping or a list of mappings")
                    continue
                for key, value in part.items():
                    if key not in frame.node:
                        frame.node[key] = value
                        frame.node.places[key] = part.places[key]
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.node, self.values - frame.values)
        return frame.node

    def count(self, more: int, event: Any) -> None:
        self.values += more
        if self.values > MAX_VALUES:
            self.stop(event, "too-large", f"more than {MAX_VALUES:,} values once aliases are expanded")

    def problem(self, mark: Any, code: str, message: str, hint: str = "") -> None:
        self.findings.add(self.source.problem(mark.line + 1, mark.column + 1, code, message, hint))

    def stop(self, event: Any, code: str, message: str, hint: str = "") -> None:
        self.problem(event.start_mark, code, message, hint)
        raise _Stop


class _Frame:
    """A list or mapping that is still open."""

    __slots__ = ("anchor", "key", "key_mark", "merges", "merging", "node", "values")

    def __init__(self, node: Any, anchor: str | None, values: int) -> None:
        self.node = node
        self.anchor = anchor
        self.values = values
        self.key: str | None = None
        self.key_mark: Any = None
        self.merging = False
        self.merges: list[tuple[Any, Any]] = []

    @property
    def start_mark(self) -> Any:
        return self.node.mark


def _syntax_hint(source: Source, line: int, message: str) -> str:
    text = source.lines[line - 1] if 1 <= line <= len(source.lines) else ""
    if "cannot start any token" in message and "\t" in text:
        return "indent with spaces: YAML allows no tab here"
    if "cannot start any token" in message and ("@" in text or "`" in text or "%" in text):
        return "put the value in quotes"
    if "mapping values are not allowed" in message:
        return "quote a value that contains ': ', or check the indentation"
    if "end of stream" in message and "quoted" in message:
        return "a closing quote is missing"
    return ""
