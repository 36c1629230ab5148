"""Reads a Wazuh SCA policy file: bytes in, checks with their places out, every error with line and column.

The YAML is read from parser events, iteratively and under limits, so that no file can exhaust stack or memory. Scalars
stay text. Wazuh's own files hold duplicate keys now and then: the first one counts, as in Wazuh, and the check says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct, field
from msgspec.structs import replace
from yaml import events

from patchctl.model.errors import DocumentsError, Problem
from patchctl.model.text import one_line

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 20
MAX_NODES = 1_000_000
MAX_PROBLEMS = 50
MAX_REFERENCES = 200
"""References kept of one check."""

# yaml.CSafeLoader exists only where PyYAML was built with libyaml; the Python one gives the same events, slower.
_PARSER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CONDITIONS = ("all", "any", "none")


class Node(Struct):
    """A scalar, list or mapping and where it stands (line and column from 1)."""

    line: int
    column: int
    text: str | None = None
    items: list[Node] | None = None
    fields: dict[str, Node] | None = None
    twice: list[str] = field(default_factory=list)
    """Keys of a mapping that were set a second time; the first value was kept."""


class Check(Struct, frozen=True):
    """One check of a policy, or its requirements (id ""), as written."""

    id: str
    title: str
    condition: str
    rules: tuple[str, ...]
    description: str = ""
    rationale: str = ""
    remediation: str = ""
    regex_type: str = ""
    references: tuple[tuple[str, str], ...] = ()
    line: int = 0
    notes: tuple[str, ...] = ()


class Policy(Struct, frozen=True):
    """A policy file."""

    id: str
    name: str
    description: str
    dialect: int
    """4 or 5: whose semantics hold. Checks with `title` are v4, checks with `name` are v5."""
    regex_type: str
    variables: tuple[tuple[str, str], ...]
    requirements: Check | None
    checks: tuple[Check, ...]


def read_policy(data: bytes, source: str) -> Policy:
    """Given a file's bytes and its name for messages, return the policy. Raise DocumentsError with every problem."""
    return _Reader(source).policy(data)


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []

    def problem(self, line: int, column: int, code: str, message: str, hint: str = "") -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(self.source, line, column, code, message, hint))

    def stop(self, line: int, column: int, code: str, message: str, hint: str = "") -> DocumentsError:
        self.problem(line, column, code, message, hint)
        return DocumentsError(tuple(self.problems))

    def policy(self, data: bytes) -> Policy:
        root = self.tree(data)
        if root.fields is None:
            raise self.stop(root.line, root.column, "not-a-policy", "an SCA policy is a mapping with policy and checks")
        head, listed = root.fields.get("policy"), root.fields.get("checks")
        if head is None or head.fields is None:
            raise self.stop(root.line, root.column, "not-a-policy", "there is no mapping `policy`")
        if listed is None or listed.items is None:
            place = listed or root
            raise self.stop(place.line, place.column, "not-a-policy", "there is no list `checks`")
        dialect = self.dialect(root, listed.items)
        required = root.fields.get("requirements")
        policy = Policy(
            self.text(head, "id"), self.text(head, "name"), self.text(head, "description"), dialect,
            self.text(head, "regex_type"), tuple(self.variables(root.fields.get("variables"))),
            self.check(required, dialect, "requirements") if required is not None else None,
            tuple(self.checks(listed.items, dialect)),
        )  # fmt: skip
        if not policy.id:
            self.problem(head.line, head.column, "missing-key", "the policy has no id", "add `id:` below policy:")
        if not policy.checks and not self.problems:
            self.problem(listed.line, listed.column, "no-rules", "the policy has no checks")
        if self.problems:
            raise DocumentsError(tuple(self.problems))
        return policy

    def dialect(self, root: Node, checks: list[Node]) -> int:
        """Return 4 or 5. Wazuh 4 needs `title` in each check, Wazuh 5 `name`; a file that has both is not guessed."""
        required = (root.fields or {}).get("requirements")
        named = [c for c in (*checks, required) if c is not None and c.fields is not None]
        old = [c for c in named if c.fields and "title" in c.fields]
        new = [c for c in named if c.fields and "name" in c.fields and "title" not in c.fields]
        if old and new:
            one = old[0] if len(old) < len(new) else new[0]
            self.problem(one.line, one.column, "mixed-dialects", "some checks have `title` (Wazuh 4), others `name` "
                         "(Wazuh 5): the same rule means different things in the two", "use one of the two")
        return 4 if old else 5

    def variables(self, node: Node | None) -> Iterator[tuple[str, str]]:
        if node is None or (node.fields is None and not node.text and not node.items):
            return
        if node.fields is None:
            self.problem(node.line, node.column, "unexpected-type", "`variables` is a mapping of $name to text")
            return
        for name, value in node.fields.items():
            if not name.startswith("$") or value.text is None:
                self.problem(value.line, value.column, "invalid-name", f"{one_line(name, 60)} is not a variable",
                             "write `$name: text`")  # fmt: skip
            else:
                yield name, value.text

    def checks(self, nodes: list[Node], dialect: int) -> Iterator[Check]:
        seen: dict[str, int] = {}
        for node in nodes:
            check = self.check(node, dialect, "check")
            if check is None:
                continue
            if not check.id:
                self.problem(node.line, node.column, "missing-key", "the check has no id", "give it a number")
            count = seen[check.id] = seen.get(check.id, 0) + 1
            if count > 1:
                name = f"{check.id}-{count}"
                note = f"the id {check.id} is used more than once: this one is called {name}"
                check = replace(check, id=name, notes=(*check.notes, note))
            yield check

    def check(self, node: Node, dialect: int, what: str) -> Check | None:
        if node.fields is None:
            self.problem(node.line, node.column, "unexpected-type", f"a {what} is a mapping with condition and rules")
            return None
        condition = self.text(node, "condition")
        # "all required" and "any required" are an older spelling that Wazuh 4 still takes.
        bare = condition.removesuffix(" required") if dialect == 4 else condition
        if bare not in CONDITIONS:
            place = node.fields.get("condition", node)
            self.problem(place.line, place.column, "invalid-check",
                         f"condition is {one_line(condition, 40)!r}" if condition else "there is no condition",
                         f"one of {', '.join(CONDITIONS)}")  # fmt: skip
        notes = tuple(f"the key {one_line(k, 40)} is set twice: the first one counts" for k in node.twice)
        return Check(
            self.text(node, "id"), self.text(node, "title" if dialect == 4 else "name"), bare,
            tuple(self.rules(node, what)), self.text(node, "description"), self.text(node, "rationale"),
            self.text(node, "remediation"), self.text(node, "regex_type"), tuple(_references(node)), node.line, notes,
        )  # fmt: skip

    def rules(self, node: Node, what: str) -> Iterator[str]:
        listed = (node.fields or {}).get("rules")
        if listed is None or not listed.items:
            place = listed or node
            self.problem(place.line, place.column, "no-rules", f"the {what} has no list of rules")
            return
        for item in listed.items:
            if not item.text:
                self.problem(item.line, item.column, "invalid-check", "a rule is text", "quote it")
            else:
                yield item.text

    def text(self, node: Node, key: str) -> str:
        found = (node.fields or {}).get(key)
        if found is None:
            return ""
        if found.text is None:
            message = f"{key} is text, not a list or mapping"
            self.problem(found.line, found.column, "unexpected-type", message, "quote it")
            return ""
        return found.text

    def tree(self, data: bytes) -> Node:
        """Build the tree of a file's one document."""
        if len(data) > MAX_BYTES:
            raise self.stop(0, 0, "too-large", f"larger than {MAX_BYTES // 1024 // 1024} MiB", "split it")
        try:
            return self.build(yaml.parse(data.decode("utf-8-sig"), Loader=_PARSER))
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
            raise self.stop(line, column, "not-utf8", "the file is not UTF-8", "save it as UTF-8") from None
        except yaml.MarkedYAMLError as error:
            mark: Any = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)
            raise self.stop(line, column, "yaml-syntax", one_line(error.problem or "not YAML", 200)) from None
        except yaml.YAMLError as error:
            raise self.stop(0, 0, "yaml-syntax", one_line(str(error), 200)) from None

    def build(self, stream: Any) -> Node:
        root: Node | None = None
        stack: list[tuple[Node, str | None]] = []
        """Open lists and mappings, with the key that waits for its value."""
        anchors: dict[str, Node] = {}
        count = 0
        for event in stream:
            if isinstance(event, (events.SequenceEndEvent, events.MappingEndEvent)):
                stack.pop()
                continue
            if not isinstance(event, events.NodeEvent):
                continue
            count += 1
            mark: Any = event.start_mark
            node = Node(mark.line + 1, mark.column + 1)
            if count > MAX_NODES or len(stack) >= MAX_DEPTH:
                raise self.stop(node.line, node.column, "too-large", "too many values, or nested too deeply")
            if isinstance(event, events.AliasEvent):
                if event.anchor not in anchors:
                    raise self.stop(node.line, node.column, "unknown-alias", f"no anchor &{event.anchor} before this")
                node = anchors[event.anchor]
            elif isinstance(event, events.ScalarEvent):
                node.text = str(event.value)
            elif isinstance(event, events.SequenceStartEvent):
                node.items = []
            else:
                node.fields = {}
            anchor = getattr(event, "anchor", None)
            if anchor and not isinstance(event, events.AliasEvent):
                anchors[anchor] = node
            root = root or node
            if stack:
                stack[-1] = self.attach(*stack[-1], node)
            if isinstance(event, events.CollectionStartEvent):
                stack.append((node, None))
        if root is None:
            raise self.stop(1, 1, "not-a-policy", "the file is empty")
        return root

    def attach(self, parent: Node, key: str | None, node: Node) -> tuple[Node, str | None]:
        """Put a node into its parent; return the parent with the key that waits now."""
        if parent.items is not None:
            parent.items.append(node)
            return parent, None
        if key is None:
            if node.text is None:
                raise self.stop(node.line, node.column, "unexpected-type", "a key is text")
            return parent, node.text
        if parent.fields is not None:
            if key in parent.fields:
                parent.twice.append(key)
            else:
                parent.fields[key] = node
        return parent, None


def _references(node: Node) -> Iterator[tuple[str, str]]:
    """Yield (system, identifier) of compliance (v4: list of mappings, v5: mapping), mitre and references."""
    count = 0
    for name in ("compliance", "mitre", "references"):
        found = (node.fields or {}).get(name)
        if found is None:
            continue
        for system, identifier in _leaves(found, name if name != "compliance" else "", 0):
            count += 1
            if count > MAX_REFERENCES:
                return
            yield system, identifier


def _leaves(node: Node, system: str, depth: int) -> Iterator[tuple[str, str]]:
    if node.text:
        yield system, one_line(node.text, 200)
    elif depth < 6:
        for item in node.items or ():
            yield from _leaves(item, system, depth + 1)
        for key, item in (node.fields or {}).items():
            yield from _leaves(item, ".".join(p for p in (system, one_line(key, 60)) if p), depth + 1)
