"""Ansible's INI inventories: [group], [group:children], [group:vars], hosts with ranges, ports and key=value pairs."""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

from patchctl.documents.draft import Draft, Place, Setting, put_setting
from patchctl.documents.names import NAME_HINT, first_bad_name
from patchctl.documents.ranges import expand_range, has_range
from patchctl.documents.source import Findings, Source

_SECTION = re.compile(r"\[(?P<group>[^:\]\s]+)(?::(?P<kind>\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"(?P<group>[^:\]\s]+)\s*(?:#.*)?")
_PORT = re.compile(r"(?P<host>.+):(?P<port>\d{1,5})")
_IPV6 = re.compile(r"\[(?P<host>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)\](?::(?P<port>\d{1,5}))?")


def parse_value(text: str) -> Any:
    """Given the text behind `key=`, return a Python literal if it is one, else the text: Ansible's own rule."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    try:
        return _plain_data(value)
    except TypeError:
        return text


def _plain_data(value: Any) -> Any:
    """Return a literal as what JSON could hold. Raise TypeError for what it cannot (complex numbers, ...)."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (tuple, list, set)):
        return [_plain_data(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain_data(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(type(value).__name__)


def split_host(text: str) -> tuple[list[str], int | None]:
    """Given `web[01:50]:2222`, return the host names and the port. Raise ValueError for a bad range."""
    address = _IPV6.fullmatch(text)
    if address and not re.fullmatch(r"\[\d*:\d+(:\d+)?\]", text):
        return [address["host"]], int(address["port"]) if address["port"] else None
    port = None
    found = _PORT.fullmatch(text)
    # More than one colon outside a range is an IPv6 address without brackets.
    if found and ":" not in re.sub(r"\[[^\]]*\]", "", found["host"]):
        text, port = found["host"], int(found["port"])
    return (expand_range(text) if has_range(text) else [text]), port


class IniReader:
    """Reads one INI inventory into the draft."""

    def __init__(self, source: Source, draft: Draft, rank: int, findings: Findings) -> None:
        self.source = source
        self.draft = draft
        self.rank = rank
        self.findings = findings
        self.declared: set[str] = {"all", "ungrouped"}
        self.wanted: list[tuple[str, str, int, int]] = []

    def read(self) -> None:
        group, kind = "ungrouped", "hosts"
        for number, raw in enumerate(self.source.lines, 1):
            line = raw.strip()
            if not line or line[0] in "#;":
                continue
            column = len(raw) - len(raw.lstrip()) + 1
            section = _SECTION.fullmatch(line)
            if section:
                group, kind = section["group"], section["kind"] or "hosts"
                if kind not in ("hosts", "children", "vars"):
                    self.problem(number, column + line.index(":") + 1, "unknown-section",
                                 f"a section [{group}:{kind}] is not known", "[NAME], [NAME:children] or [NAME:vars]")
                    kind = "skip"
                elif kind == "vars":
                    self.wanted.append((group, "vars", number, column))
                else:
                    self.declare(group)
            elif line.startswith("["):
                self.read_odd_bracket(line, group, kind, number, column)
            elif kind == "hosts":
                self.read_host(line, group, number, column)
            elif kind == "vars":
                self.read_variable(line, group, number, column)
            elif kind == "children":
                self.read_child(line, group, number, column)
        for group, kind, number, column in self.wanted:
            if group not in self.declared and group not in self.draft.groups:
                message = f"[{group}:vars] is for a group that is not there" if kind == "vars" else (
                    f"there is no group {group!r}")
                self.problem(number, column, "unknown-group", message)

    def declare(self, group: str) -> None:
        self.declared.add(group)
        if group not in ("all", "ungrouped"):
            self.draft.group(group)

    def read_odd_bracket(self, line: str, group: str, kind: str, number: int, column: int) -> None:
        """Read a line that begins with a bracket and is no section: a range, an IPv6 address, or a mistake."""
        if kind == "hosts" and (("]" in line and not line.endswith("]")) or _IPV6.fullmatch(line)):
            self.read_host(line, group, number, column)
        else:
            self.problem(number, column, "invalid-section", f"not a section: {line}",
                         "[NAME], [NAME:children] or [NAME:vars], a name has no spaces and no ':'")

    def read_host(self, line: str, group: str, number: int, column: int) -> None:
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            self.problem(number, column, "invalid-line", f"cannot be split into words: {error}", "balance the quotes")
            return
        if not words:
            return
        try:
            names, port = split_host(words[0])
        except ValueError as error:
            self.problem(number, column, "invalid-range", str(error))
            return
        bad = first_bad_name(names)
        if bad is not None:
            self.problem(number, column, "invalid-name", f"not a host name: {bad!r}", NAME_HINT)
            return
        pairs: list[tuple[str, Any]] = [("ansible_port", port)] if port is not None else []
        for word in words[1:]:
            key, equals, value = word.partition("=")
            if not equals or not key:
                at = column + max(line.find(word), 0)
                self.problem(number, at, "invalid-line", f"expected key=value, found {word!r}",
                             "one host per line, then key=value pairs")
                return
            pairs.append((key, parse_value(value)))
        place = Place(self.source, number, column)
        for name in names:
            entry = self.draft.host(name)
            for key, value in pairs:
                put_setting(entry.inline.variables, key, Setting(value, place, self.rank, override=True), self.findings)
        if group not in ("all", "ungrouped"):
            self.draft.group(group).hosts.update(dict.fromkeys(names))

    def read_variable(self, line: str, group: str, number: int, column: int) -> None:
        key, equals, value = line.partition("=")
        if not equals:
            self.problem(number, column, "invalid-line", f"expected key=value, found {line!r}")
            return
        set_group_variable(self.draft, group, key.strip(), Setting(
            parse_value(value.strip()), Place(self.source, number, column), self.rank, override=True), self.findings)

    def read_child(self, line: str, group: str, number: int, column: int) -> None:
        found = _CHILD.fullmatch(line)
        if not found:
            self.problem(number, column, "invalid-line", f"not a group name: {line!r}", "one group per line")
            return
        child = found["group"]
        self.wanted.append((child, "child", number, column))
        if group not in ("all", "ungrouped") and child not in ("all", "ungrouped"):
            self.draft.group(group).children.setdefault(child, Place(self.source, number, column))

    def problem(self, line: int, column: int, code: str, message: str, hint: str = "") -> None:
        self.findings.add(self.source.problem(line, column, code, message, hint))


def set_group_variable(draft: Draft, group: str, key: str, setting: Setting, findings: Findings) -> None:
    """Set a variable of a group as an inventory states it; ansible_group_priority orders groups and is no variable."""
    if key == "ansible_group_priority" and group not in ("all", "ungrouped"):
        if str(setting.value).isdecimal():
            draft.group(group).priority = int(setting.value)
        return
    if group == "ungrouped":
        entry = draft.ungrouped
    else:
        entry = draft.everyone if group == "all" else draft.group(group)
    put_setting(entry.inline.variables, key, setting, findings)
